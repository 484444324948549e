# SPDX-License-Identifier: Apache-2.0
"""Comparison with an earlier federation of this computer: its curves, and how the two stand in plain words. No Qt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from ...events import Event
from ...scores import Scores, TaskName
from ...storage.outbox import Record
from ...wording import later, tr, written
from ..work.curves import Curves
from ..work.judgement import Way, hundredths, judged_values
from .series import Series

_WORDS: Final[dict[Way, tuple[str, str]]] = {  # sure, not sure
    "better": (
        later("Better than {earlier} after as many rounds ({rounds}): {now} of 100 found correctly, {then} then"),
        later("Perhaps better than {earlier} after as many rounds ({rounds}), not sure: {now} of 100, {then} then"),
    ),
    "worse": (
        later("Worse than {earlier} after as many rounds ({rounds}): {now} of 100 found correctly, {then} then"),
        later("Perhaps worse than {earlier} after as many rounds ({rounds}), not sure: {now} of 100, {then} then"),
    ),
    "same": (
        later("As good as {earlier} after as many rounds ({rounds}): {now} of 100 found correctly"),
        later("As good as {earlier} after as many rounds ({rounds}): {now} of 100 found correctly"),
    ),
}


class EarlierRun(NamedTuple):
    """Curves that are drawn behind the present ones. `notes`: how many were scored in each round, where known."""

    name: str
    curves: Curves
    notes: dict[int, int]


def run_of(name: str, record: Record, measured: Sequence[Event]) -> EarlierRun:
    """Makes a run from what a site recorded; seconds where it has many steps, so not for a GUI thread."""
    curves = Curves()
    curves.fold_many(measured)
    curves.fold_record(record)
    return EarlierRun(name, curves, scored_notes(record))


def scored_notes(record: Record) -> dict[int, int]:
    known = ((entry.plan.round, entry.evidence.validation_notes) for entry in record.entries)
    return {number: notes for number, notes in known if notes is not None}


class Compared(NamedTuple):
    """`round`: after which both are compared, 0 where that cannot be done. `rows`: (name, now and then)."""

    words: str
    tone: Literal["ok", "warn", "dim"]
    round: int = 0
    rows: tuple[tuple[str, str], ...] = ()


def compared(now: Curves, notes: dict[int, int], earlier: EarlierRun) -> Compared:
    """Compares what each found in notes kept aside after the same number of rounds, in tasks and types both learned."""
    then = earlier.curves
    rounds = [number for number in _scored(now) if number in _scored(then)]
    if not rounds:
        words = tr("Not yet comparable with {earlier}: no round of both has been scored")
        return Compared(words.format(earlier=earlier.name), "dim")
    last = max(rounds)
    first, second = now.scores[last]["after"], then.scores[last]["after"]
    if not (tasks := _alike(first, second)):
        words = tr("{earlier} learned other tasks or types: its scores cannot be compared, its curves can")
        return Compared(words.format(earlier=earlier.name), "dim")
    mine, its = (sum(scores[task].headline for task in tasks) / len(tasks) for scores in (first, second))
    of = min((found for found in (notes.get(last), earlier.notes.get(last)) if found is not None), default=None)
    judgement = judged_values(its, mine, of, "")
    way: Way = "same" if judgement.way == "nothing" and round(its, 2) == 0 else judgement.way
    if way == "nothing":
        way = "worse"  # nothing is found now, and something was then
    words = tr(_WORDS[way][not judgement.is_sure])
    said = words.format(earlier=earlier.name, rounds=last, now=hundredths(mine), then=hundredths(its))
    tone: Literal["ok", "warn", "dim"] = "dim"
    if judgement.is_sure and way != "same":
        tone = "ok" if way == "better" else "warn"
    return Compared(said, tone, last, _rows(now, then, last, tasks))


def _scored(curves: Curves) -> list[int]:
    return [number for number, moments in curves.scores.items() if moments.get("after")]


def _alike(first: Scores, second: Scores) -> list[TaskName]:
    """Tasks that both have scores of, in the same types."""
    both = [task for task in first.scored if task in second.scored]
    return [task for task in both if first[task].strict.keys() == second[task].strict.keys()]


def _rows(now: Curves, then: Curves, last: int, tasks: Sequence[TaskName]) -> tuple[tuple[str, str], ...]:
    mine, its = (dict(_values(curves, last, tasks)) for curves in (now, then))
    return tuple((name, f"{its[name]} → {mine[name]}") for name in mine if name in its)


def _values(curves: Curves, last: int, tasks: Sequence[TaskName]) -> list[tuple[str, str]]:
    """Scores of 100, after this round, by the names that the Monitor's card of scores has."""
    alone = Curves()
    scores = {task: curves.scores[last]["after"][task] for task in tasks}
    alone.scores = {last: {"after": Scores(tasks=scores)}}
    _, found, _ = Series(alone).last_scores()
    return [(name, written(100 * after, ".0f")) for name, _, after in found if not math.isnan(after)]
