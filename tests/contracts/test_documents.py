# SPDX-License-Identifier: Apache-2.0
"""Agreement of the documents with the repository: links and paths lead somewhere, the floors are the tested ones."""

from __future__ import annotations

import re
from pathlib import Path

from tests.contracts.test_floors import FLOORS
from tests.parts.sources import ROOT

README = ROOT / "README.md"
DOCUMENTS = [
    README,
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "resources").rglob("*.md")),
    *sorted((ROOT / "packaging").rglob("*.md")),
]
LINK = re.compile(r"\]\(([^)#]+)\)")
PATH = re.compile(r"(?<![\w/])(?:fedmed_desktop|packaging|resources|tests)/[\w./-]*\w")
STEP = re.compile(r'\["\d+\. [^<"]+<br>([^"]+)"\]')


def broken(text: str, folder: Path) -> list[str]:
    """Links to files that are not there; a web address is somebody else's."""
    return [link for link in LINK.findall(text) if "://" not in link and not (folder / link).exists()]


def steps(text: str) -> list[str]:
    """Files that the README's diagram of a round names."""
    return [path for paths in STEP.findall(text) for path in paths.split(", ")]


def test_that_links_lead_to_files() -> None:
    assert len(DOCUMENTS) > 25
    found = {path.name: lost for path in DOCUMENTS if (lost := broken(path.read_text("utf-8"), path.parent))}
    assert not found
    assert [path for path in PATH.findall(README.read_text("utf-8")) if not (ROOT / path).exists()] == []
    assert broken("[a](no/such.md) [b](README.md) [c](https://example.org)", ROOT) == ["no/such.md"]


def test_that_the_diagram_of_a_round_names_files_that_exist() -> None:
    text = README.read_text("utf-8")
    named = steps(text)
    assert len(STEP.findall(text)) == 13 and {"federation/rounds.py", "federation/part.py"} <= set(named)
    assert [path for path in named if not (ROOT / "fedmed_desktop" / path).exists()] == []


def test_that_the_readme_stays_short() -> None:
    assert README.read_text("utf-8").count("\n") < 200


def test_that_the_guide_shows_the_floors_as_they_are_tested() -> None:
    shown: dict[str, int] = {}
    floor = 0
    for line in (ROOT / "resources/guide/architecture.md").read_text("utf-8").split("```")[1].splitlines():
        number, *_ = words = line.split() or [""]
        if number.isdigit():
            floor, words = int(number), words[1:]
        shown |= dict.fromkeys(filter(None, words), floor)
    assert shown == {name: number for name, number in FLOORS.items() if name != "__main__"}
