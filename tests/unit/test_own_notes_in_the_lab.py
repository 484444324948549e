# SPDX-License-Identifier: Apache-2.0
"""Notes of one's own in the lab may have labels of any task; whether they have is seen when they are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fedmed_desktop.lab.corpora import read_corpora
from fedmed_desktop.lab.experiment import Experiment, with_cohorts
from fedmed_desktop.lab.partition import split_into_sites
from fedmed_desktop.lab.progress import LabProgress
from tests.parts.lab import experiment
from tests.parts.told import told_as

WORDS = [
    "fever",
    "cough",
    "rash",
    "pain",
    "nausea",
    "fatigue",
    "chills",
    "oedema",
    "vertigo",
    "tinnitus",
    "ataxia",
    "ulcer",
]


def notes(path: Path, **labels: Any) -> dict[str, str]:
    rows = [{"id": str(n), "text": f"{word} {n} " * 9, "entities": []} | labels for n, word in enumerate(WORDS)]
    path.write_text("\n".join(map(json.dumps, rows)))
    return {"name": path.stem, "path": str(path)}


def of_codes(*corpora: dict[str, str], **changes: Any) -> Experiment:
    return experiment(**{"types": [], "tasks": ["codes"], "corpora": list(corpora), "sites": [2]} | changes)


def test_that_own_notes_with_codes_are_read_for_the_task_codes(tmp_path: Path) -> None:
    asked = of_codes(notes(tmp_path / "ours.jsonl", codes=["I10"]))
    found = read_corpora(asked, None).notes
    assert len(found) == 12 and all(one.note.codes == ("I10",) for one in found)


def test_that_own_notes_without_entities_may_stand_beside_notes_that_have_some(tmp_path: Path) -> None:
    ours = notes(tmp_path / "ours.jsonl", codes=["I10"])
    asked = experiment(tasks=["entities", "codes"], corpora=[{"name": "bundled"}, ours], sites=[2])
    found = read_corpora(asked, None).notes
    assert {one.types for one in found if one.corpus == "ours"} == {()}


def test_that_own_notes_without_labels_for_any_task_are_told_when_read(tmp_path: Path) -> None:
    with told_as("No corpus of the sites has labels for the task codes"):
        read_corpora(of_codes(notes(tmp_path / "ours.jsonl")), None)
    both = notes(tmp_path / "ours.jsonl", codes=["I10"]), notes(tmp_path / "theirs.jsonl", summary="Short.")
    with told_as("The notes of theirs have labels for none of the experiment's tasks: codes"):
        read_corpora(of_codes(*both), None)


def test_that_sites_of_own_notes_with_codes_can_be_made(tmp_path: Path) -> None:
    asked = of_codes(notes(tmp_path / "ours.jsonl", codes=["I10"]), split={"by": "iid"})
    sites = split_into_sites(read_corpora(asked, None).notes, asked, 2, 1)
    assert [site.types for site in sites] == [(), ()]


def test_that_what_nothing_reads_of_own_notes_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("ours", "cohort"):
        (tmp_path / name).mkdir()
    notes(tmp_path / "ours" / "a.jsonl", codes=["I10"], ward="7")
    (tmp_path / "ours" / "letters.pdf").write_bytes(b"%PDF")
    notes(tmp_path / "cohort" / "test.jsonl", codes=["I10"])
    (tmp_path / "cohort" / "more.jsonl").write_text("")
    asked = of_codes({"name": "ours", "path": str(tmp_path / "ours")})
    found = read_corpora(with_cohorts(asked, [f"theirs={tmp_path / 'cohort'}"]), None)
    progress = LabProgress("own notes", 1, 1)
    for corpus, unread in found.unread.items():
        progress.unread(corpus, unread)
    assert capsys.readouterr().out.splitlines() == [
        "ours: Keys of rows that are not read: ward (12). Files that are not read: letters.pdf.",
        "theirs: Files that are not read: more.jsonl.",
    ]


def test_that_a_folder_of_several_files_is_read_as_the_check_reads_it(tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir()
    notes(tmp_path / "ours" / "a.jsonl", codes=["I10"])
    (tmp_path / "ours" / "b.csv").write_text("note_id,note_text,icd10\n77,Sore throat since Monday.,J02.9\n")
    asked = of_codes({"name": "ours", "path": str(tmp_path / "ours")})
    assert [one.note.id for one in read_corpora(asked, None).notes][-1] == "77"
