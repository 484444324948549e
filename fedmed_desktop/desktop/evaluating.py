# SPDX-License-Identifier: Apache-2.0
"""Evaluation of the federation's adapter on a site's notes, beside the base model: for the composition root, which
hands in what the loaded base answers. The libraries are imported inside functions that the working thread calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..scores import TaskName
from .trial.files import load
from .work.news import EvaluatedRow, EvaluationShown
from .work.requests import EvaluationWanted

if TYPE_CHECKING:
    from ..evaluation import Comparison, EvaluationRequest, NoteResult, ScoreRow

    Answers = Callable[[EvaluationRequest, Callable[[int, int], None]], list[NoteResult]]
    """An evaluation of a loaded base, told how far it is; may raise Stopped."""

BASE = "base"
ADAPTER = "federation"


@dataclass(frozen=True)
class Outcome:
    """All that an evaluation found, to be written when somebody wants it."""

    about: dict[str, Any]
    results: dict[str, list[NoteResult]]
    rows: dict[str, list[ScoreRow]]
    differences: dict[str, list[Comparison]]


class Evaluating:
    """One evaluation at a time, of which the last one's outcome is kept until the next begins."""

    def __init__(self) -> None:
        self._outcome: Outcome | None = None

    def run(self, answers: Answers, wanted: EvaluationWanted, put: Callable[[EvaluationShown], None]) -> None:
        """Scores the wanted notes, on the working thread. Raises Stopped, UserFacingError."""
        from ..evaluation import EvaluationRequest, compare, score_rows, tasks_of
        from ..evaluation.notes import labelled_notes
        from ..evaluation.run import WINDOW

        self._outcome = None
        put(EvaluationShown("loading"))
        spec = wanted.spec
        notes, types, modifiers = labelled_notes(wanted.notes, spec, wanted.types_map)
        names = tuple(task for task in spec.tasks if task != "text") if spec else ()
        form = spec.answer_form if spec else "html"
        found = tasks_of(notes, (), types, modifiers, form)
        tasks = [task for task in found if not names or task.name in names] or found
        loaded = load(wanted.adapter) if wanted.adapter else None
        results: dict[str, list[NoteResult]] = {}
        models = {BASE: None, ADAPTER: loaded} if loaded else {BASE: None}
        for number, (name, sides) in enumerate(models.items()):
            request = EvaluationRequest(
                notes,
                tasks,
                sides.adapter if sides else None,
                sides.frozen if sides else None,
                sides.personal if sides else None,
                settings=spec.training if spec else WINDOW,
                prompting=spec.prompt if spec else "plain",
            )

            def tell(done: int, total: int, number: int = number) -> None:
                put(EvaluationShown("running", number * total + done, len(models) * total))

            results[name] = answers(request, tell)
        rows = {name: score_rows(one) for name, one in results.items()}
        differences = {ADAPTER: compare(results[ADAPTER], results[BASE])} if loaded else {}
        about = {"version": __version__, "model": str(wanted.model), "notes": str(wanted.notes)}
        self._outcome = Outcome(about, results, rows, differences)
        documents = len({one.document for one in results[BASE]})
        put(
            EvaluationShown(
                "done", rows=_rows(rows, differences), notes=len(notes), documents=documents, adapter=wanted.name
            )
        )

    def save(self, folder: Path) -> None:
        """Writes scores and predictions of the last evaluation. Not for the GUI thread. Raises UserFacingError."""
        from ..evaluation.output import write_evaluation

        if (outcome := self._outcome) is not None:
            write_evaluation(folder, outcome.about, outcome.results, outcome.rows, outcome.differences)


def _rows(
    rows: dict[str, list[ScoreRow]], differences: dict[str, Sequence[Comparison]] | dict[str, list[Comparison]]
) -> tuple[EvaluatedRow, ...]:
    """Rows of both models side by side."""
    adapted = {row.key: row for row in rows.get(ADAPTER, ())}
    compared = {one.key: one for one in differences.get(ADAPTER, ())}
    made = []
    for row in rows[BASE]:
        other, difference = adapted.get(row.key), compared.get(row.key)
        task: TaskName = row.key.task
        made.append(
            EvaluatedRow(
                task, row.key.measure, row.key.name, row.value, row.interval, row.support,
                other.value if other else None, other.interval if other else None,
                difference.difference if difference else None, bool(difference and difference.is_clear),
            )
        )  # fmt: skip
    return tuple(made)
