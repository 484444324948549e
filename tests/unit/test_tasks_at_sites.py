# SPDX-License-Identifier: Apache-2.0
"""Sites of a federation with several tasks, each with labels for some; on a tiny real model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedmed_desktop.clinical import read_notes_folder
from fedmed_desktop.events import Event, Warned
from fedmed_desktop.federation import Control, Given
from fedmed_desktop.federation.plan import TrainingSettings
from fedmed_desktop.lora import Adapter
from fedmed_desktop.lora.base_model import decoder_linears
from fedmed_desktop.wording.lines import line
from tests.parts.federation import small_spec
from tests.parts.told import told_as
from tests.parts.training import plan_of, train

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    from fedmed_desktop.training.preparation import LoadedBase, trainer_factory
    from fedmed_desktop.training.trainer import SiteTrainer

SETTINGS = TrainingSettings(steps=16, batch_size=4, learning_rate=0.02, max_tokens=128, max_new_tokens=8)
SPEC = {"tasks": ("entities", "questions", "summaries"), "shared_notes": ()}


def question(number: int) -> dict[str, Any]:
    drug = ("aspirin", "insulin")[number % 2]
    return {
        "id": f"q{number}",
        "text": f"Patient {number} was given {drug}.",
        "question": "Was aspirin given?",
        "options": ["yes", "no, as far as anybody knows"],
        "answer": number % 2,
    }


def marked(number: int) -> dict[str, Any]:
    entity = {"id": "T1", "start": 0, "end": 7, "type": "drug", "text": "Aspirin"}
    return {"id": f"e{number}", "text": f"Aspirin {number} times.", "entities": [entity]}


def visit(number: int) -> dict[str, Any]:
    return {"id": f"v{number}", "text": f"Pain for {number} days after a fall.", "summary": "Rest."}


def site(folder: Path, loaded: LoadedBase, *rows: dict[str, Any]) -> SiteTrainer:
    folder.mkdir()
    for split in ("train", "validation"):
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return trainer_factory(loaded, folder.name, read_notes_folder(folder), folder)(small_spec(**SPEC))


def test_that_a_site_trains_on_the_tasks_that_it_has_labels_of(loaded: LoadedBase, tmp_path: Path) -> None:
    asking = site(tmp_path / "asking", loaded, *map(question, range(8)))
    marking = site(tmp_path / "marking", loaded, *map(marked, range(8)))
    mixed = site(tmp_path / "mixed", loaded, question(1), question(2), visit(3), marked(4))
    names = [[task.name for task in one.tasks] for one in (asking, marking, mixed)]
    assert names == [["questions"], ["entities"], ["entities", "questions", "summaries"]]
    sources = mixed.examples("train", SETTINGS).sources
    assert [(one.task.name, one.note.id) for one in sources] == [
        ("questions", "q1"), ("questions", "q2"), ("summaries", "v3"), ("entities", "e4")
    ]  # fmt: skip


def test_that_questions_are_learnt_and_scored_by_their_own_name(
    loaded: LoadedBase, tiny_model: Path, tmp_path: Path
) -> None:
    trainer = site(tmp_path / "asking", loaded, *map(question, range(8)))
    start = Adapter.initial(decoder_linears(tiny_model), rank=4, scale=2.0, seed=1)
    report = train(trainer, start, tmp_path / "checkpoints", plan_of(start, SETTINGS)).update.report
    assert report.loss_before is not None and report.loss_after is not None
    assert report.loss_after < report.loss_before - 0.3
    assert report.scores_after.scored == ("questions",)
    counts = report.scores_after["questions"].strict["answer"]
    assert counts.tp + counts.fn == counts.tp + counts.fp == 8
    assert report.scores_after.headline == counts.tp / 8


def test_that_a_site_without_a_label_for_any_task_is_told_so(loaded: LoadedBase, tmp_path: Path) -> None:
    bare = {key: value for key, value in question(1).items() if key != "answer"}
    spec = small_spec(tasks=("questions",), types=(), shared_notes=())
    folder = tmp_path / "bare"
    folder.mkdir()
    for split in ("train", "validation"):
        (folder / f"{split}.jsonl").write_text(json.dumps(bare) + "\n", encoding="utf-8")
    with told_as(r"None of the training notes has labels for the federation's tasks \(questions\)"):
        trainer_factory(loaded, "bare", read_notes_folder(folder), folder)(spec)


def test_that_an_operator_is_told_once_of_what_is_not_learned_and_of_what_is_not_scored(
    loaded: LoadedBase, tiny_model: Path, tmp_path: Path
) -> None:
    endless = question(1) | {"id": "endless", "options": ["yes", "no " * 200]}
    folder = tmp_path / "mixed"
    folder.mkdir()
    for split, rows in {"train": [question(2), marked(3), visit(4), endless], "validation": [marked(5)]}.items():
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    trainer = trainer_factory(loaded, "mixed", read_notes_folder(folder), folder)(small_spec(**SPEC))
    start = Adapter.initial(decoder_linears(tiny_model), rank=4, scale=2.0, seed=1)
    seen: list[Event] = []
    plan = plan_of(start, SETTINGS.model_copy(update={"steps": 1}))
    for number in (1, 2):
        trainer.train_round(plan, Given(start), tmp_path / str(number), seen.append, Control())
    told = [line(event) or "" for event in seen if isinstance(event, Warned)]
    assert len(told) == 2
    assert "too long and are left out: 1." in told[0] and "128 tokens" in told[0]
    assert "No validation note has labels for questions, summaries" in told[1]


def test_that_notes_without_any_label_do_not_weigh(loaded: LoadedBase, tiny_model: Path, tmp_path: Path) -> None:
    unread = [{"id": f"u{number}", "text": "Nobody has read this.", "tasks": []} for number in range(5)]
    trainer = site(tmp_path / "mixed", loaded, question(1), question(2), visit(3), *unread)
    start = Adapter.initial(decoder_linears(tiny_model), rank=4, scale=2.0, seed=1)
    plan = plan_of(start, SETTINGS.model_copy(update={"steps": 1}))
    result = train(trainer, start, tmp_path / "checkpoints", plan)
    assert result.update.report.notes == result.evidence.validation_notes == 3
