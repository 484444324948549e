# SPDX-License-Identifier: Apache-2.0
"""Improvement: scores before and after, on the site's own notes by type and for the whole federation. No Qt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ...federation.work import Entry
from ...scores import Counts, Scores
from ...standing import ClosedRound
from ...wording import tr
from ..work.desk import Desk
from ..work.judgement import hundredths
from ..work.scored import Key, is_f1, parts, plain_name, value

MOST_TYPES = 5  # the Monitor shows all of them

Way = Literal["ok", "bad", ""]


@dataclass(frozen=True)
class Change:
    """One line: strict F1, or another score in [0, 1], before and after; shown as so many of 100."""

    label: str
    before: float
    after: float

    @property
    def texts(self) -> tuple[str, str, str]:
        """Texts of before, after and their difference as they are shown, so that nobody finds the sum wrong."""
        return str(hundredths(self.before)), str(hundredths(self.after)), signed(self.delta)

    @property
    def delta(self) -> int:
        return hundredths(self.after) - hundredths(self.before)

    @property
    def way(self) -> Way:
        """Direction: up, down or neither; told by the sign, the colour only follows."""
        return "ok" if self.delta > 0 else "bad" if self.delta < 0 else ""


@dataclass(frozen=True)
class Improved:
    """`round` is that of the lines on the site's own notes; 0 before the first scores. `is_f1`: all of them are F1."""

    round: int
    own: tuple[Change, ...]
    federation: tuple[Change, ...]
    more_types: int = 0
    is_f1: bool = True


def improved(desk: Desk) -> Improved:
    """Improvement from the site's record and the coordinator's history; empty before the first score."""
    history = desk.standing.history if desk.standing else ()
    federation = _federation(history)
    entry = _last_scored(desk.record.entries)
    if entry is None:
        return Improved(0, (), federation)
    before, after = own_scores(entry)
    types = _by_support(before, after)
    several = len(after.tasks) > 1
    keys = _wholes(after) if several else [*_wholes(after), *types][:MOST_TYPES]
    own = tuple(_on_own(key, before, after, several=several) for key in keys)
    more = sum(key not in keys for key in types)
    return Improved(entry.plan.round, own, federation, more, is_f1(after))


def _wholes(after: Scores) -> list[Key]:
    """Tasks as wholes, where there are several or one has no types; then their means."""
    if len(after.tasks) > 1:
        return [Key(task, "all") for task in after.scored]
    return [
        key
        for task in after.scored
        for key in (Key(task, "all"), *parts(task, after[task]))
        if key.kind == "mean" or (key.kind == "all" and not any(one.kind == "type" for one in parts(task, after[task])))
    ]


def _on_own(key: Key, before: Scores, after: Scores, *, several: bool) -> Change:
    name = plain_name(key, several=several)
    return Change(name, value(before, key) or 0.0, value(after, key) or 0.0)


def own_scores(entry: Entry) -> tuple[Scores, Scores]:
    """Scores before and after on the site's own notes: the evidence has them also where the federation shares none."""
    source = entry.evidence if entry.evidence.scores_after else entry.update.report
    return source.scores_before, source.scores_after


def signed(value: int) -> str:
    """Writes a number with a real minus sign: "+13", "−2", "±0"."""
    return f"{'+' if value > 0 else '−' if value < 0 else '±'}{abs(value)}"


def _last_scored(entries: Iterable[Entry]) -> Entry | None:
    found = [e for e in entries if e.plan.kind == "train" and own_scores(e)[1]]
    return found[-1] if found else None


def _by_support(before: Scores, after: Scores) -> list[Key]:
    """Types that occur in the notes, the most frequent first; what is only ever invented comes last."""
    counts: dict[Key, Counts] = {}
    for scores in (before, after):
        for task in scores.scored:
            for key in parts(task, scores[task]):
                if key.kind == "type":
                    counts[key] = counts.get(key, Counts()) + scores[task].strict[key.name]
    seen = [key for key, found in counts.items() if found.tp + found.fn + found.fp]
    return sorted(seen, key=lambda key: (-(counts[key].tp + counts[key].fn), key))


def _federation(history: Iterable[ClosedRound]) -> tuple[Change, ...]:
    """The combined adapter from the first known round on, task by task; each round is scored with the adapter that the
    one before it was combined to. What the sites' own adapters were worth before they were combined is no score of it.
    """
    known = [(at, at.scores_before) for at in history]
    scored = [(at, before) for at, before in known if before]
    if len(scored) < 2:
        return ()
    (first, begun), (last, now) = scored[0], scored[-1]
    changes = []
    for task in now.scored:
        if task not in begun.tasks:
            continue
        label = tr("Combined model on notes of %n site(s) that sent, since round {round}", "", last.sent)
        if len(now.scored) > 1:
            name = plain_name(Key(task, "all"), several=True)
            label = tr("{task}, combined model, since round {round}").format(task=name, round=first.round)
        changes.append(Change(label.format(round=first.round), begun[task].headline, now[task].headline))
    return tuple(changes)
