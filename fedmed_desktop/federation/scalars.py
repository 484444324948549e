# SPDX-License-Identifier: Apache-2.0
"""Scalars of a report in words: the list that every face shows before an approval."""

from __future__ import annotations

from collections.abc import Iterator

from ..scores import Counts, Scores, TaskScores
from .update import Report


def scalars(report: Report) -> Iterator[tuple[str, str]]:
    """(name, value) of everything that leaves beside blobs, in the report's order; values not given are left out.

    Iterates over the report itself, so that a new field cannot be forgotten.
    """
    for name, value in report:
        words = name.replace("_", " ")
        if isinstance(value, Scores):
            for task in value.scored:
                # One task needs no name: it is the federation's.
                yield from _of_task(words if len(value.tasks) == 1 else f"{words}, {task}", value[task])
        elif isinstance(value, dict):
            for kind, number in sorted(value.items()):
                yield f"{words}, {kind}", str(number)
        elif value is not None:
            yield words, f"{value:.4f}" if isinstance(value, float) else str(value)


def _of_task(words: str, scores: TaskScores) -> Iterator[tuple[str, str]]:
    for sort, counts in (("strict", scores.strict), ("lenient", scores.lenient)):
        for kind, count in sorted(counts.items()):
            yield f"{words}, {sort}, {kind}", _counted(count)
    if scores.strict:
        yield f"{words}, any type", _counted(scores.unified)
    for name, mean in sorted(scores.means.items()):
        yield f"{words}, {name}", f"{mean.value:.4f}, mean of {mean.of}"


def _counted(counts: Counts) -> str:
    return f"{counts.tp} found, {counts.fp} invented, {counts.fn} missed"
