# SPDX-License-Identifier: Apache-2.0
"""The files of translations: made from the present sources, nearly all translated, and with the sources' fields."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedmed_desktop.wording.catalogue import LANGUAGES
from tests.parts.translations import present, script

TEXT = ("Page", "Send {count:,} to <b>{name}</b>", "")
NUMBER = ("", "%n note(s)", "")
WANTED = {TEXT: False, NUMBER: True}


@pytest.mark.parametrize("language", script().languages())
def test_that_a_file_is_up_to_date_nearly_whole_and_has_the_fields_of_its_sources(language: str) -> None:
    assert language in LANGUAGES
    ts = script().FOLDER / f"fedmed_{language}.ts"
    assert not (found := list(script().faults(ts, present()))), "\n".join(found)


@pytest.mark.parametrize("language", sorted(set(script().languages()) - {"en"}))
def test_that_the_host_is_a_person_and_to_host_an_act(language: str) -> None:
    """English has one word for a button of the first page and for a row that names who hosts."""
    found = {message.key: message.forms for message in script().messages(script().FOLDER / f"fedmed_{language}.ts")}
    assert found["", "Host", ""] != found["", "Host", "who hosts"]


def written(folder: Path, text: str, few: str, many: str, *, kind: str = "", source: str = TEXT[1]) -> Path:
    ts = folder / "fedmed_de.ts"
    shown = {"text": text, "source": source, "few": few, "many": many}
    shown = {key: said.replace("&", "&amp;").replace("<", "&lt;") for key, said in shown.items()}
    ts.write_text(
        """<?xml version="1.0" encoding="utf-8"?><TS version="2.1" language="de">
        <context><name></name><message numerus="yes"><source>%n note(s)</source><translation>
        <numerusform>{few}</numerusform><numerusform>{many}</numerusform></translation></message></context>
        <context><name>Page</name><message><source>{source}</source>
        <translation{kind}>{text}</translation></message></context></TS>""".format(kind=kind, **shown),
        "utf-8",
    )
    return ts


GOOD = ("<b>{name}</b> {count:,} senden", "eine Notiz", "%n Notizen")


def test_that_a_good_file_has_no_fault(tmp_path: Path) -> None:
    assert not list(script().faults(written(tmp_path, *GOOD), WANTED))


@pytest.mark.parametrize(
    ("forms", "fault"),
    [
        (("<b>{name}</b> senden", *GOOD[1:]), "fields and marks differ"),
        (("<b>{nom}</b> {count:,} senden", *GOOD[1:]), "fields and marks differ"),
        (("{name} {count:,} senden", *GOOD[1:]), "fields and marks differ"),
        (("&Senden: <b>{name}</b> {count:,}", *GOOD[1:]), "letter for the keyboard"),
        ((f"{GOOD[0]} ", *GOOD[1:]), "blanks"),
        ((f"{GOOD[0]} %n", *GOOD[1:]), "never filled in"),
        ((*GOOD[:2], "Notizen"), "%n is missing"),
    ],
)
def test_that_a_wrong_translation_is_seen(forms: tuple[str, str, str], fault: str, tmp_path: Path) -> None:
    found = list(script().faults(written(tmp_path, *forms), WANTED))
    assert found and fault in found[0]


def test_that_a_new_text_names_the_script_and_an_unfinished_one_counts_against_the_share(tmp_path: Path) -> None:
    stale = list(script().faults(written(tmp_path, *GOOD, source="Send"), {NUMBER: True}))
    assert "run packaging/translations.py" in stale[0]
    unfinished = list(script().faults(written(tmp_path, "", *GOOD[1:], kind=' type="unfinished"'), WANTED))
    assert len(unfinished) == 1 and "50.0% of the texts translated, less than 95%" in unfinished[0]
    ts = tmp_path / "fedmed_fr.ts"
    ts.write_text("<TS><context>", "utf-8")
    assert "not valid XML" in next(script().faults(ts, WANTED))


def test_that_one_new_english_text_leaves_every_language_above_the_share() -> None:
    """Who adds a text runs the script, and need not know French."""
    for language in script().languages():
        found = script().messages(script().FOLDER / f"fedmed_{language}.ts")
        untranslated = script().Message(("", "New", ""), ("",), False, False)
        assert script().translated([*found, untranslated]) >= script().LEAST
