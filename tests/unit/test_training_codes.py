# SPDX-License-Identifier: Apache-2.0
"""Codes of ICD-10-CM at a site: taught with passages, and scored by the likelihood of each candidate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fedmed_desktop.clinical import Note, SiteNotes
from fedmed_desktop.clinical.icd10 import CodeIndex, CodeTable
from fedmed_desktop.clinical.icd10.words import Synonyms
from fedmed_desktop.clinical.tasks import Codes
from fedmed_desktop.events import Event, GenerationProgress
from fedmed_desktop.federation.work import Control, Given
from fedmed_desktop.lora import Adapter
from tests.parts.training import SETTINGS, plan_of, train

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    from fedmed_desktop.clinical.tasks import made_tasks
    from fedmed_desktop.training.base import BaseModel
    from fedmed_desktop.training.batches import Encoder
    from fedmed_desktop.training.evaluation import Evaluator
    from fedmed_desktop.training.trainer import SiteTrainer

TABLE = CodeTable(
    {"R05": "Cough", "R50.9": "Fever, unspecified", "R52": "Pain, unspecified", "R50.2": "Fever of drugs"}, {}
)
NOTES = [
    Note(id=f"n{i}", text=f"Patient {i} had fever. No cough and no pain.", codes=("R50.9",) if i % 2 else ())
    for i in range(8)
]


@pytest.fixture(scope="module")
def task() -> Codes:
    return Codes(CodeIndex(TABLE, Synonyms()))


def test_that_a_site_is_taught_codes_and_scored_on_them(
    base: BaseModel, shapes: dict[str, tuple[int, int]], task: Codes, tmp_path: Path
) -> None:
    trainer = SiteTrainer(base, "North", SiteNotes(NOTES, NOTES[:3], None), [task])
    start = Adapter.initial(shapes, 4, 2.0, seed=1)
    result = train(trainer, start, tmp_path, plan_of(start, SETTINGS.model_copy(update={"steps": 20})))
    report = result.update.report
    assert report.loss_after is not None and report.loss_before is not None
    assert report.loss_after < report.loss_before
    for scores in (report.scores_before, report.scores_after):
        assert scores.scored == ("codes",)
        assert scores["codes"].means["recall@10 code"].of == 1  # the two others have no codes
        assert scores["codes"].means["recall@10 code"].value == 1


def test_that_a_resumed_round_scores_again_where_labels_or_candidates_have_changed(
    base: BaseModel, shapes: dict[str, tuple[int, int]], task: Codes, tmp_path: Path
) -> None:
    """Of neither is anything taught: a code without a word in the text, an option that is not right."""
    start = Adapter.initial(shapes, 4, 2.0, seed=1)
    plan = plan_of(start, SETTINGS.model_copy(update={"steps": 2}))
    more = Codes(CodeIndex(CodeTable({**TABLE.codes, "R05.1": "Acute cough"}, {}), Synonyms()))
    coded = [note.model_copy(update={"codes": (*(note.codes or ()), "I10")}) for note in NOTES[:3]]
    scored = []
    for code_task, validation in ((task, NOTES[:3]), (task, coded), (more, coded), (more, coded)):
        trainer = SiteTrainer(base, "North", SiteNotes(NOTES, validation, None), [code_task])
        told: list[Event] = []
        trainer.train_round(plan, Given(start), tmp_path, told.append, Control())
        scored.append(sum(isinstance(event, GenerationProgress) and event.done == 1 for event in told))
    assert scored == [2, 2, 2, 1], "before and after training; the last time nothing had changed"


def test_that_each_candidate_has_its_own_likelihood(base: BaseModel, task: Codes) -> None:
    encoder = Encoder(base.tokenizer, [task])
    base.lora.attach(None)
    questions = encoder.encode(NOTES[1:2], 128, reading=True)
    assert [len(item.options) for item in questions.items] == [2, 2]
    ((_, prediction),) = Evaluator(base, encoder).predictions(questions, 8)
    by_words = [candidate.code for candidate in task.index.find(NOTES[1].text)]
    assert sorted(code for code, _ in prediction.codes) == sorted(by_words)
    assert prediction != task.predict(NOTES[1], [], [])


def test_that_a_federation_may_name_codes() -> None:
    (made,) = made_tasks(["codes"], ())
    assert isinstance(made, Codes)
