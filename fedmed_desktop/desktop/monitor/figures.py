# SPDX-License-Identifier: Apache-2.0
"""Numbers of the charts as rows: for the table beside them and for a CSV file. No Qt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ...scores import TASKS, TaskName
from ...wording import later
from ..charts.columns import NAN, Numbers
from ..work.curves import DRIFTS, Curves, score_of

ALONE: Final = "f1_strict"  # the score of a federation with one task, as it was called when there was one
SCORES: Final[dict[str, TaskName]] = {f"score_{task}": task for task in TASKS}
FIELDS: Final = (
    "round", "step", "time", "training_loss", "learning_rate", "tokens_per_second", "memory_mib", "validation_loss",
    ALONE, *SCORES, *(f"drift_{name}" for name in DRIFTS), "rank",
)  # fmt: skip
MOMENTS: Final = (later("before training"), later("training"), later("after training"))
_COUNTS: Final = ("round", "step", "rank")


@dataclass(frozen=True)
class Table:
    """`values` (rows, FIELDS), NaN where not measured; `moments` (rows,) number MOMENTS; `time`: seconds since 1970."""

    values: Numbers
    moments: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.values)

    def fields(self) -> tuple[str, ...]:
        """Fields that a file has: of scores, the one of a federation with one task, or those of each of its tasks."""
        known = {name for name in SCORES if np.isfinite(self.values[:, FIELDS.index(name)]).any()}
        scores = known or {ALONE}
        return tuple(name for name in FIELDS if name in scores or name not in (ALONE, *SCORES))

    def heading(self) -> list[str]:
        """Names of the columns of a file."""
        return _with_moment("moment", list(self.fields()))

    def as_rows(self) -> Iterator[list[str]]:
        """The rows as they are written to a file: exact numbers, times in UTC, empty where nothing was measured."""
        fields = self.fields()
        values = self.values[:, [FIELDS.index(name) for name in fields]]
        for moment, row in zip(self.moments.tolist(), values.tolist(), strict=True):
            cells = [_exact(name, value) for name, value in zip(fields, row, strict=True)]
            yield _with_moment(MOMENTS[moment], cells)


def _with_moment(moment: str, cells: list[str]) -> list[str]:
    """Puts the moment between round, step and the others."""
    return [*cells[:2], moment, *cells[2:]]


def _exact(name: str, value: float) -> str:
    if value != value:
        return ""
    if name == "time":
        return datetime.fromtimestamp(value, UTC).isoformat(timespec="milliseconds")
    return str(int(value)) if name in _COUNTS else repr(value)


def table_of(curves: Curves) -> Table:
    """All that the charts show, in numbers, in the order in which it happened."""
    steps, rounds = curves.steps, curves.rounds
    trained = np.isfinite(steps["learning_rate"])  # not the gaps
    rows = TableRows(len(steps), len(rounds))
    rows.put(1, **{name: steps[name] for name in ("round", "step", "time", *FIELDS[4:7])}, training_loss=steps["loss"])
    rows.put(0, round=rounds["round"], step=np.zeros(len(rounds)), time=rounds["began"],
             validation_loss=rounds["loss_before"], **_scores(curves, "before"))  # fmt: skip
    drifts = {f"drift_{name}": curves.drift(name) for name in DRIFTS}
    rows.put(2, round=rounds["round"], step=rounds["steps"], time=rounds["ended"], rank=rounds["rank"],
             validation_loss=rounds["loss_after"], **_scores(curves, "after"), **drifts)  # fmt: skip
    return rows.table(trained)


def _scores(curves: Curves, moment: str) -> dict[str, Numbers]:
    """Field -> score of each round: one for each task, since the mean over several tells of none."""
    tasks = curves.scored_tasks()
    has_several = curves.has_several_tasks or len(tasks) > 1
    fields = {task: name for name, task in SCORES.items()} if has_several else dict.fromkeys(tasks, ALONE)
    return {fields[task]: curves.rounds[score_of(task, moment)] for task in tasks}


class TableRows:
    """A table in the making: the steps, and of each round a row before and one after its training."""

    def __init__(self, steps: int, rounds: int) -> None:
        self._values = np.full((steps + 2 * rounds, len(FIELDS)), NAN)
        self._moments = np.repeat(np.array([0, 1, 2], np.int8), (rounds, steps, rounds))

    def put(self, moment: int, **columns: Numbers) -> None:
        rows = self._moments == moment
        for name, column in columns.items():
            self._values[rows, FIELDS.index(name)] = column

    def table(self, kept_steps: NDArray[np.bool_]) -> Table:
        """Table in order, without rows that tell nothing; `kept_steps`: which of the steps count."""
        told = np.isfinite(self._values[:, FIELDS.index("validation_loss") :]).any(axis=1)
        told[self._moments == 1] = kept_steps
        values, moments = self._values[told], self._moments[told]
        order = np.lexsort((values[:, 1], moments, values[:, 0]))
        return Table(values[order], moments[order])
