# SPDX-License-Identifier: Apache-2.0
"""Agreement of the documents with the repository: links and paths lead somewhere, the floors are the tested ones."""

from __future__ import annotations

import re
from pathlib import Path

from fedmed_desktop.federation.update import Report
from fedmed_desktop.protocol.messages import Hello
from tests.contracts.test_floors import FLOORS
from tests.parts.sources import ROOT

README = ROOT / "README.md"
DOCUMENTS = [
    README,
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "resources").rglob("*.md")),
    *sorted((ROOT / "packaging").rglob("*.md")),
]
LINK = re.compile(r"\]\(([^)#]+)\)|<img src=\"([^\"]+)\"")
PATH = re.compile(r"(?<![\w/])(?:fedmed_desktop|packaging|resources|tests)/[\w./-]*\w")
STEP = re.compile(r'\["\d+\. [^<"]+<br>([^"]+)"\]')


def broken(text: str, folder: Path) -> list[str]:
    """Links to files that are not there; a web address is somebody else's."""
    links = ["".join(found) for found in LINK.findall(text)]
    return [link for link in links if "://" not in link and not (folder / link).exists()]


def steps(text: str) -> list[str]:
    """Files that the README's diagram of a round names."""
    return [path for paths in STEP.findall(text) for path in paths.split(", ")]


def test_that_links_lead_to_files() -> None:
    assert len(DOCUMENTS) > 25
    found = {path.name: lost for path in DOCUMENTS if (lost := broken(path.read_text("utf-8"), path.parent))}
    assert not found
    assert [path for path in PATH.findall(README.read_text("utf-8")) if not (ROOT / path).exists()] == []
    assert broken("[a](no/such.md) [b](README.md) [c](https://example.org)", ROOT) == ["no/such.md"]
    assert broken('<img src="README.md"> <img src="no.webp" alt="none">', ROOT) == ["no.webp"]


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


# Each number of an update and each fact of a site's first message, and the words that tell of it on guide/leaves.md.
TOLD = {
    "kind": "one report without a blob",
    "notes": "training notes",
    "supervised_tokens": "supervised tokens",
    "steps": "optimiser steps",
    "train_loss": "training loss",
    "loss_before": "validation loss before and after",
    "loss_after": "validation loss before and after",
    "shared_loss": "the loss on notes that the federation shares",
    "histogram": "A histogram",
    "importance": "how much each matrix of the adapter mattered",
    "scores_before": "right, invented and missed on your validation notes, before and after",
    "scores_after": "right, invented and missed on your validation notes, before and after",
    "start_norm": "norms of the starting adapter and of the update",
    "update_norm": "norms of the starting adapter and of the update",
    "effective_rank": "effective rank",
    "seconds": "how many seconds",
    "epsilon_spent": "epsilon spent so far and what is left",
    "epsilon_left": "epsilon spent so far and what is left",
    "site": "site's name",
    "key": "site's public key",
    "code": "invitation's one-time code",
    "token": "random token of an earlier version",
    "signature": "signatures that prove",
    "base": "base model's fingerprint",
    "rank_cap": "largest rank that the site can train",
}


def test_that_the_guide_lists_all_that_leaves() -> None:
    text = " ".join((ROOT / "resources/guide/leaves.md").read_text("utf-8").split())
    assert TOLD.keys() == Report.model_fields.keys() | Hello.model_fields.keys() - {"type", "version"}
    assert [words for words in TOLD.values() if words not in text] == []
