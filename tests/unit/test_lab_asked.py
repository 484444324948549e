# SPDX-License-Identifier: Apache-2.0
"""Corpora of questions and summaries in the lab, made up in their published form; on a tiny real model."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fedmed_desktop.clinical import Unread
from fedmed_desktop.lab.cells import Cell
from fedmed_desktop.lab.corpora import read_corpora
from fedmed_desktop.lab.partition import split_into_sites
from fedmed_desktop.lab.run import Lab, LabOptions
from fedmed_desktop.storage.results import CellResult, ResultRow
from tests.parts.lab import experiment
from tests.parts.told import told_as

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    from fedmed_desktop.lab.engines.local import LocalEngine

YES = {"A": "yes", "B": "no", "C": "maybe"}
EXAM = {"A": "Liver", "B": "Heart", "C": "Lung", "D": "Skin"}


def words(number: int) -> str:
    """Words that no other number has, so that notes are not taken for near-duplicates."""
    chance = random.Random(number)
    return " ".join("".join(chance.choices("abcdefghij", k=7)) for _ in range(20))


class Unwatched:
    """Nobody follows the lab."""

    def unread(self, corpus: str, unread: Unread) -> None: ...
    def cell(self, cell: Cell) -> None: ...
    def row(self, row: ResultRow) -> None: ...
    def finished(self, result: CellResult) -> None: ...


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows: dict[str, list[dict[str, Any]]] = {
        "medqa/pubmedqa.jsonl.gz": [
            {"id": f"pubmedqa-{n}", "question": f"Does drug {n} help?", "context": f"Drug {n} was compared. {words(n)}",
             "options": YES, "answer": "ABC"[n % 3], "split": ("train", "test")[n % 2]}
            for n in range(12)
        ],
        "medqa/medmcqa.jsonl.gz": [
            {"id": f"medmcqa-a-{n}", "question": f"Which organ is {n}? {words(99 + n)}", "options": EXAM,
             "answer": "ABCD"[n % 4], "split": "dev"}
            for n in range(12)
        ],
        "text/aci_bench.jsonl.gz": [
            {"id": f"aci-D{n}",
             "text": f"CHIEF COMPLAINT\n\nPain. {words(1000 + n)}\n\nASSESSMENT AND PLAN\n\nRest {n} days.",
             "split": ("train", "dev", "test")[n % 3]}
            for n in range(12)
        ],
    }  # fmt: skip
    for name, records in rows.items():
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress("".join(json.dumps(one) + "\n" for one in records).encode()))
    return tmp_path / "data"


def asked(*corpora: str, **changes: Any) -> Any:
    usual = {"types": [], "tasks": ["questions", "summaries"], "corpora": [{"name": name} for name in corpora]}
    return experiment(**usual | changes)


def test_that_records_become_notes_with_questions_options_and_summaries(data: Path) -> None:
    of = {one.note.id: one for one in read_corpora(asked("pubmedqa", "medmcqa", "aci_bench"), data).notes}
    assert len(of) == len({one.group for one in of.values()}) == 36
    about, alone, visit = of["pubmedqa-1"].note, of["medmcqa-a-2"].note, of["aci-D5"].note
    assert (about.question, about.options, about.answer) == ("Does drug 1 help?", ("yes", "no", "maybe"), 1)
    assert (alone.question, alone.answer) == (None, 2)
    assert visit.text == f"CHIEF COMPLAINT\n\nPain. {words(1005)}"
    assert visit.summary == "ASSESSMENT AND PLAN\n\nRest 5 days."
    assert [of[name].split for name in ("pubmedqa-1", "medmcqa-a-2", "aci-D5")] == ["test", None, "test"]


def test_that_a_site_of_questions_needs_no_types_beside_sites_that_do() -> None:
    from tests.parts.lab import lab_note

    entity = {"id": "T1", "start": 8, "end": 15, "type": "drug", "text": "aspirin"}
    there = [lab_note(n, corpus="chia", types=("drug",), entities=(entity,)) for n in range(10)]
    there += [lab_note(n, corpus="pubmedqa") for n in range(10, 20)]
    both = experiment(types=["drug"], tasks=["entities", "questions"], corpora=[{"name": "chia"}, {"name": "pubmedqa"}])
    assert [site.types for site in split_into_sites(there, both, 2, 1)] == [("drug",), ()]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"corpora": [{"name": "mtsamples"}]}, "mtsamples has no questions"),
        ({"tasks": ["questions"]}, "aci_bench has no questions"),
        ({"tasks": ["questions"], "types": ["drug"]}, "reads no entities"),
        ({"corpora": [{"name": "pubmedqa"}]}, "no corpus here has summaries"),
        ({"corpora": [{"name": "pubmedqa", "characters": 100}]}, "asked about whole"),
        ({"histogram": "types"}, "read no entities"),
    ],
)
def test_that_an_experiment_whose_corpora_lack_its_labels_is_told_so(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        asked("pubmedqa", "aci_bench", **changes)


def test_that_a_federation_of_questions_and_summaries_runs_to_its_end(
    data: Path, tiny_model: Path, tmp_path: Path
) -> None:
    tried = asked(
        "pubmedqa",
        "aci_bench",
        model=str(tiny_model),
        sites=[2],
        rounds=1,
        training={"steps": 2, "batch_size": 2, "max_tokens": 200, "max_new_tokens": 8},
    )
    options = LabOptions(tried, tmp_path / "out", data)
    results = Lab(options).run(LocalEngine(tiny_model, 1), Unwatched())
    (last,) = [row for row in results.rows if row.split == "test" and row.round == 1]
    counts = last.sites[0].counts
    assert counts is not None
    assert counts.tp + counts.fn == counts.tp + counts.fp == 6
    assert [site.notes for site in last.sites] == [5, 4]


def test_that_a_missing_corpus_is_named(tmp_path: Path) -> None:
    with told_as("pubmedqa"):
        read_corpora(asked("pubmedqa", tasks=["questions"]), tmp_path)
