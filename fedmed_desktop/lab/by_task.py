# SPDX-License-Identifier: Apache-2.0
"""Scores by task in the rows and tables of an experiment, and where a method's validation score stopped rising."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypedDict

import numpy as np

from ..scores import TASKS, Counts, Scores, TaskName, total
from ..storage.results import ResultRow
from .beyond import Table, mean_and_spread
from .compare import Setting, Split, labels_of

_OF: Final = ": "  # between a task and its measure, in the name of a row's measure
_F1, _MEAN = "strict F1", "mean"  # a task's headline, beside other tasks


def task_measures(scores: Scores) -> dict[str, float]:
    """Measures beside the one number for all tasks: each task's own, and those that are no F1 of its types."""
    found = {}
    for task in scores.scored:
        own = scores[task]
        if len(scores.scored) > 1:
            found[f"{task}{_OF}{_F1 if own.strict else _MEAN}"] = own.headline
        if task == "codes":
            found |= {f"codes{_OF}category F1": own.f1_lenient, f"codes{_OF}chapter F1": own.f1_unified}
        found |= {f"{task}{_OF}{name}": mean.value for name, mean in sorted(own.means.items())}
    return found


def averaged(rows: Iterable[ResultRow]) -> tuple[TaskName, ...]:
    """The tasks over which `ResultRow.f1` is a mean; none where one task alone was scored, whose own score it is."""
    named = {name for row in rows for name in row.measures}
    return tuple(task for task in TASKS if named & {f"{task}{_OF}{_F1}", f"{task}{_OF}{_MEAN}"})


class SiteScores(TypedDict):
    """Scores of a SiteRow."""

    counts: Counts
    tasks: dict[TaskName, Counts]
    score: float


def site_scores(scores: Scores) -> SiteScores:
    """The scores of one site's row; a task that is a mean alone, as summaries are, is in `score` only."""
    counted = {task: total(scores[task].strict.values()) for task in scores.scored if scores[task].strict}
    return {"counts": total(counted.values()), "tasks": counted, "score": scores.headline}


def task_table(rows: Iterable[ResultRow], setting: Setting, split: Split) -> Table | None:
    """The measures of `task_measures` after the last round, a line each: mean and standard deviation over seeds.

    None where there are none.
    """
    here = [row for row in rows if row.split == split and setting.holds(row)]
    last = {(row.label, row.seed): row for row in sorted(here, key=lambda row: row.round)}
    names = dict.fromkeys(name for row in last.values() for name in row.measures if name.partition(_OF)[0] in TASKS)
    if not names:
        return None
    labels = labels_of(here)
    lines: list[tuple[str, ...]] = []
    for name in names:  # measures are many, methods few
        values = [
            [row.measures[name] for (one, _), row in last.items() if one == label and name in row.measures]
            for label in labels
        ]
        lines.append((name, *map(mean_and_spread, values)))
    return ("measure", *labels), lines


def settled(rows: Iterable[ResultRow], setting: Setting) -> str | None:
    """A sentence on the round after which each method's validation score no longer rose; None with one round.

    The score is F1, or the loss where nothing else was measured, as a mean over seeds. A best that is the last round's
    may not be the end of it.
    """
    here = [row for row in rows if row.split == "validation" and row.kind != "base" and setting.holds(row)]
    rounds = max((row.round for row in here), default=0)
    if rounds < 2:
        return None
    told = []
    for label in labels_of(here):
        best = _best([row for row in here if row.label == label and row.round > 0])
        if best is not None:
            told.append(f"{label} {best}" + (" (the last: it may still rise)" if best == rounds else ""))
    return f"Highest validation score after round: {'; '.join(told)}." if told else None


def _best(rows: Sequence[ResultRow]) -> int | None:
    scores: dict[int, list[float]] = {}
    for row in rows:
        scores.setdefault(row.round, []).append(-row.loss if row.f1 is None else row.f1)
    return max(sorted(scores), key=lambda number: float(np.mean(scores[number])), default=None)
