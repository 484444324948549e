# SPDX-License-Identifier: Apache-2.0
"""Scores of an evaluation as rows: by task and type, strict and lenient, each with its interval; and differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np

from ..scores import Counts, TaskName, TaskScores, total
from .bootstrap import Interval, Numbers, by_document, intervals, resampled
from .run import NoteResult

Measure = Literal["strict", "lenient", "unified", "mean"]

ALL: Final = "all"
"""The row of all types of a task."""


class Key(NamedTuple):
    """Measure of a row: by counts of a type or of all types, or one of the task's means."""

    task: TaskName
    measure: Measure
    name: str


@dataclass(frozen=True)
class ScoreRow:
    """One measure. `value` is F1 or a mean, in [0, 1]; `interval` is None with one document.

    `counts` are None for a mean; `support`: mentions (links, codes) that the notes have, or values that were averaged.
    """

    key: Key
    value: float
    interval: Interval | None
    counts: Counts | None
    support: int


@dataclass(frozen=True)
class Comparison:
    """The first adapter's value less the second's on the same documents; `interval` of the paired bootstrap."""

    key: Key
    difference: float
    interval: Interval | None

    @property
    def is_clear(self) -> bool:
        """True if the interval leaves out no difference at all."""
        return self.interval is not None and not self.interval[0] <= 0 <= self.interval[1]


def score_rows(results: Sequence[NoteResult]) -> list[ScoreRow]:
    """All rows, task by task: all types first, then each type, then means."""
    rows = []
    for task in dict.fromkeys(one.task for one in results):
        own = [one for one in results if one.task == task]
        keys = _keys(task, [one.scores for one in own])
        sums = by_document([one.document for one in own], _values([one.scores for one in own], keys))
        drawn = intervals(resampled(sums, _measures)) if len(sums) > 1 else [None] * len(keys)
        pooled = sum((one.scores for one in own), TaskScores())
        rows += [_row(key, pooled, interval) for key, interval in zip(keys, drawn, strict=True)]
    return rows


def compare(first: Sequence[NoteResult], second: Sequence[NoteResult]) -> list[Comparison]:
    """Differences on the notes that both have, measured in the same order.

    Raises ValueError where they are of other notes or tasks.
    """
    if [(one.task, one.note.id) for one in first] != [(one.task, one.note.id) for one in second]:
        raise ValueError("the two evaluations are not of the same notes")
    found = []
    for task in dict.fromkeys(one.task for one in first):
        sides = [[one for one in results if one.task == task] for results in (first, second)]
        keys = _keys(task, [one.scores for side in sides for one in side])
        documents = [one.document for one in sides[0]]
        sums = [by_document(documents, _values([one.scores for one in side], keys)) for side in sides]
        both = np.concatenate(sums, axis=1)  # side by side, so that a draw takes a document of both

        def difference(totals: Numbers, columns: int = 2 * len(keys)) -> Numbers:
            return _measures(totals[:, :columns]) - _measures(totals[:, columns:])

        values = difference(both.sum(axis=0, keepdims=True))[0]
        drawn = intervals(resampled(both, difference)) if len(both) > 1 else [None] * len(keys)
        found += [
            Comparison(key, float(value), interval) for key, value, interval in zip(keys, values, drawn, strict=True)
        ]
    return found


def _keys(task: TaskName, scores: Sequence[TaskScores]) -> list[Key]:
    types = sorted({name for one in scores for name in one.strict})
    means = sorted({name for one in scores for name in one.means})
    keys = [Key(task, measure, ALL) for measure in ("strict", "lenient", "unified")] if types else []
    if len(types) > 1:
        keys += [Key(task, measure, name) for name in types for measure in ("strict", "lenient")]
    return keys + [Key(task, "mean", name) for name in means]


def _values(scores: Sequence[TaskScores], keys: Sequence[Key]) -> Numbers:
    """Makes per note two numbers for each key, side by side: above and below the line of its quotient."""
    values = np.zeros((len(scores), 2 * len(keys)))
    for row, one in enumerate(scores):
        for at, key in enumerate(keys):
            values[row, 2 * at : 2 * at + 2] = _numbers(one, key)
    return values


def _numbers(scores: TaskScores, key: Key) -> tuple[float, float]:
    if key.measure == "mean":
        mean = scores.means.get(key.name)
        return (mean.sum, mean.of) if mean else (0.0, 0.0)
    counts = _counts(scores, key)
    # F1 = 2 tp / (2 tp + fp + fn), as a quotient like a mean's.
    return 2.0 * counts.tp, 2.0 * counts.tp + counts.fp + counts.fn


def _counts(scores: TaskScores, key: Key) -> Counts:
    if key.measure == "unified":
        return scores.unified
    by_type = scores.strict if key.measure == "strict" else scores.lenient
    return total(by_type.values()) if key.name == ALL else by_type.get(key.name, Counts())


def _measures(totals: Numbers) -> Numbers:
    """Quotients of (n, 2 x measures) totals; 0 where there was nothing to find and nothing found."""
    above, below = totals[:, 0::2], totals[:, 1::2]
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _row(key: Key, pooled: TaskScores, interval: Interval | None) -> ScoreRow:
    if key.measure == "mean":
        mean = pooled.means[key.name]
        return ScoreRow(key, mean.value, interval, None, mean.of)
    counts = _counts(pooled, key)
    return ScoreRow(key, counts.f1, interval, counts, counts.tp + counts.fn)
