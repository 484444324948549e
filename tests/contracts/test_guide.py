# SPDX-License-Identifier: Apache-2.0
"""Agreement of the guide with the program: its pictures can be made, and the names that it quotes are there."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from fedmed_desktop.cli import MODES, main
from fedmed_desktop.desktop.guide.files import PAGES, UNDER, guide_picture, guide_text
from fedmed_desktop.desktop.guide.search import anchors
from fedmed_desktop.wording.catalogue import read_catalogue
from tests.parts.sources import PACKAGE, ROOT

GUIDE = ROOT / "resources" / "guide"
ALL = (*PAGES, *UNDER)
MOST_BYTES = 600 * 1024  # of all pictures: they are in every wheel
PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)]+)\)")
FENCED = re.compile(r"```.*?```", re.DOTALL)
NAME = re.compile(
    r"(?<![*\w])\*([A-Z][^*]*[^*\s])\*(?![*\w])"
)  # in italics, with a capital: of a page, a button, a label
PRESSED = re.compile(r"(?:[Pp]ress|[Tt]icks?|[Cc]hoose|[Cc]lick) (?:on )?\*\*([^*]+)\*\*")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
COMMAND = re.compile(r"^(?:\.venv/bin/)?fedmed-desktop (--.*)$", re.MULTILINE)
HELP = re.compile(r"""HelpLink\([^"]*"[^"]*"\)?, "([^"]+)"|place: str = "([^"]+)"|parent, "([a-z-]+#[^"]+)\"""")
# Options of other programs that the guide names: torchrun, and our script that starts the modes.
OTHERS = frozenset({"--standalone", "--nproc-per-node", "--help"})


@cache
def program_texts() -> str:
    """All texts of the desktop, one to a line."""
    found = read_catalogue(ROOT / "resources" / "i18n" / "fedmed_de.ts", "de").texts
    return "\n".join(" ".join(source.replace("&", "").split()) for _, source, _ in found)


def is_in_program(name: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", program_texts()) is not None


@cache
def help_of(mode: str) -> frozenset[str]:
    """Options of a mode, as its help tells them; "" for the desktop's own."""
    said = io.StringIO()
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(said):
        main([mode, "--help"] if mode else ["--help"])
    return frozenset(OPTION.findall(said.getvalue())) | {mode}


@cache
def all_options() -> frozenset[str]:
    return OTHERS.union(*(help_of(mode) for mode in ("", *MODES)))


def pictures() -> Iterator[tuple[str, str, str]]:
    """Page, alternative text and name of each picture."""
    for page in ALL:
        for told, name in PICTURE.findall(guide_text(page)):
            yield page, told, name


def test_that_each_picture_is_there_is_told_in_words_and_can_be_made_anew() -> None:
    spec = importlib.util.spec_from_file_location("guide_pictures", ROOT / "packaging" / "guide_pictures.py")
    assert spec is not None and spec.loader is not None
    command = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(command)
    shown = {name for _, _, name in pictures()}
    assert len(shown) >= 8 and all(guide_picture(name).is_file() for name in shown)
    assert [told for _, told, _ in pictures() if len(told) < 30] == []
    assert {f"pictures/{name}.webp" for name in command.PICTURES} == shown
    source = Path(command.__file__).read_text("utf-8")
    assert [name for name in command.PICTURES if f'picture("{name}"' not in source] == []


def test_that_pictures_are_small_and_none_is_left_over() -> None:
    files = [path for path in (GUIDE / "pictures").iterdir() if path.is_file()]
    assert {f"pictures/{path.name}" for path in files} == {name for _, _, name in pictures()}
    assert sum(path.stat().st_size for path in files) < MOST_BYTES


@pytest.mark.parametrize("page", ALL)
def test_that_names_of_pages_and_buttons_are_the_program_s(page: str) -> None:
    text = " ".join(FENCED.sub("", PICTURE.sub("", guide_text(page))).split())
    quoted = [*NAME.findall(text), *PRESSED.findall(text)]
    assert [name for name in quoted if not is_in_program(name.rstrip(".:…"))] == []


def test_that_a_name_which_the_program_does_not_have_is_seen() -> None:
    assert NAME.findall("Press *Start* or *Not there*, **bold**, 2 * 3 * 4, *small*") == ["Start", "Not there"]
    assert is_in_program("Send adapter") and not is_in_program("Send the adapters") and not is_in_program("Sen")


@pytest.mark.parametrize("page", ALL)
def test_that_options_on_the_command_line_are_those_of_help(page: str) -> None:
    text = guide_text(page)
    assert sorted(set(OPTION.findall(text)) - all_options()) == []
    for command in COMMAND.findall(text.replace("\\\n", " ")):
        options = OPTION.findall(command.partition("#")[0])
        mode = next((option for option in options if option in MODES and option != "--sites"), options[0])
        assert set(options) <= help_of(mode if mode in MODES else "") | {mode}, command


def test_that_each_question_mark_leads_to_a_place_in_the_guide() -> None:
    places = [
        next(filter(None, found))
        for path in sorted((PACKAGE / "desktop").rglob("*.py"))
        for found in HELP.findall(path.read_text("utf-8"))
    ]
    assert len(places) >= 7
    for place in places:
        page, _, heading = place.partition("#")
        assert page in ALL and (not heading or heading in anchors(guide_text(page))), place


def test_that_technical_words_are_explained_in_one_place() -> None:
    explained = {
        word.lower() for word in re.findall(r"^- \*\*([^*(]+?)(?: \([^*]*)?\*\*", guide_text("words"), re.MULTILINE)
    }
    assert {"adapter", "drift", "rank", "loss", "f1", "residual", "quorum", "epsilon", "norm", "token"} <= explained
