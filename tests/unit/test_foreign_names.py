# SPDX-License-Identifier: Apache-2.0
"""Names in a report: the federation's own are taken, any others refused, since every site would see them."""

from __future__ import annotations

import pytest

from fedmed_desktop.clinical import Note
from fedmed_desktop.clinical.icd10 import score_codes
from fedmed_desktop.clinical.tasks import Prediction, Questions, Summaries
from fedmed_desktop.federation.foreign_names import has_foreign_names
from fedmed_desktop.federation.update import Report
from fedmed_desktop.scores import Counts, Mean, Scores, TaskName, TaskScores
from tests.parts.federation import small_spec

SPEC = small_spec(
    tasks=("entities", "relations", "codes", "questions", "summaries"), types=("drug",), modifiers=("dosage",)
)


def foreign(task: TaskName, scores: TaskScores) -> bool:
    told = Scores(tasks={task: scores})
    before, after = Report(notes=1, scores_before=told), Report(notes=1, scores_after=told)
    assert has_foreign_names(before, SPEC) == has_foreign_names(after, SPEC)
    return has_foreign_names(after, SPEC)


def test_that_all_that_tasks_report_is_known() -> None:
    note = Note(id="n", text="Was it?", options=("yes", "no"), answer=0, summary="It was.")
    own: dict[TaskName, TaskScores] = {
        "entities": TaskScores(strict={"drug": Counts(tp=1)}, lenient={"drug": Counts(tp=1)}),
        "relations": TaskScores(strict={"dosage": Counts(fn=1)}, lenient={"dosage": Counts(fn=1)}),
        "codes": score_codes(["R05", "E11.9"], 1, ["R05"]),
        "questions": Questions().score(note, Prediction(option=1)),
        "summaries": Summaries().score(note, Prediction(text="It was.")),
    }
    assert not any(foreign(task, scores) for task, scores in own.items())
    assert len(own["codes"].means) == 15


@pytest.mark.parametrize("task", ["entities", "relations", "codes", "questions", "summaries"])
def test_that_other_words_are_foreign_to_every_task(task: TaskName) -> None:
    name = "Mrs. Smith"
    assert foreign(task, TaskScores(strict={name: Counts(tp=1)}))
    assert foreign(task, TaskScores(lenient={name: Counts(tp=1)}))
    assert foreign(task, TaskScores(means={name: Mean(sum=0.5, of=1)}))


def test_that_a_task_that_the_federation_has_not_is_foreign() -> None:
    alone = small_spec(shared_notes=())
    scores = Scores(tasks={"summaries": TaskScores(means={"rouge_l": Mean(sum=1.0, of=1)})})
    assert not has_foreign_names(Report(notes=1, scores_after=scores), SPEC)
    assert has_foreign_names(Report(notes=1, scores_after=scores), alone)
    assert foreign("text", TaskScores())
