# SPDX-License-Identifier: Apache-2.0
"""Improvement: F1 before and after, on the site's own notes by type and for the whole federation. No Qt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from ...scores import Counts, Scores, TaskName, total
from ...standing import ClosedRound
from ...storage import Entry
from ...wording import task_name, tr
from ..work.desk import Desk

MOST_TYPES = 5  # the Monitor shows all of them

Way = Literal["ok", "bad", ""]
_ByType = Mapping[tuple[TaskName, str], Counts]


@dataclass(frozen=True)
class Change:
    """One line: strict F1 in [0, 1] before and after."""

    label: str
    before: float
    after: float

    @property
    def texts(self) -> tuple[str, str, str]:
        """Before, after and the difference of the two as they are shown, so that nobody finds the sum wrong."""
        return f"{self.before:.2f}", f"{self.after:.2f}", signed(self.delta)

    @property
    def delta(self) -> float:
        return round(round(self.after, 2) - round(self.before, 2), 2)

    @property
    def way(self) -> Way:
        """Up, down or neither; told by the sign, the colour only follows."""
        return "ok" if self.delta > 0 else "bad" if self.delta < 0 else ""


@dataclass(frozen=True)
class Improved:
    """`round` is that of the lines on the site's own notes; 0 before the first scores."""

    round: int
    own: tuple[Change, ...]
    federation: tuple[Change, ...]
    more_types: int = 0


def improved(desk: Desk) -> Improved:
    """From the site's record and the coordinator's history; empty before the first score."""
    history = desk.standing.history if desk.standing else ()
    federation = _federation(history)
    entry = _last_scored(desk.record.entries)
    if entry is None:
        return Improved(0, (), federation)
    before, after = own_scores(entry)
    was, now = _counts(before), _counts(after)
    types = _by_support(was, now)
    several = len(after.tasks) > 1
    own = tuple(
        Change(tr("{type}, on your notes").format(type=_named(one, several)), _f1(was, one), _f1(now, one))
        for one in types[:MOST_TYPES]
    )
    return Improved(entry.plan.round, own, federation, max(0, len(types) - MOST_TYPES))


def own_scores(entry: Entry) -> tuple[Scores, Scores]:
    """Before and after, on the site's own notes: the evidence has them also where the federation shares no scores."""
    source = entry.evidence if entry.evidence.scores_after else entry.update.report
    return source.scores_before, source.scores_after


def signed(value: float) -> str:
    """Two decimals with a real minus sign: "+0.13", "−0.02", "±0.00"."""
    shown = f"{abs(value):.2f}"
    return f"±{shown}" if float(shown) == 0 else f"{'+' if value > 0 else '−'}{shown}"


def _last_scored(entries: Iterable[Entry]) -> Entry | None:
    found = [e for e in entries if e.plan.kind == "train" and own_scores(e)[1]]
    return found[-1] if found else None


def _counts(scores: Scores) -> _ByType:
    return {(task, kind): counts for task, kind, counts in scores.by_type()}


def _named(one: tuple[TaskName, str], several: bool) -> str:
    """The type, behind its task's name where there are several tasks."""
    task, kind = one
    return f"{task_name(task)}: {kind}" if several else kind.capitalize()


def _by_support(before: _ByType, after: _ByType) -> list[tuple[TaskName, str]]:
    """Types that occur in the notes, the most frequent first; what is only ever invented comes last."""
    names = before.keys() | after.keys()
    counts = {name: total(s[name] for s in (before, after) if name in s) for name in names}
    seen = [name for name in names if counts[name].tp + counts[name].fn + counts[name].fp]
    return sorted(seen, key=lambda name: (-(counts[name].tp + counts[name].fn), name))


def _f1(scores: _ByType, name: tuple[TaskName, str]) -> float:
    return scores[name].f1 if name in scores else 0.0


def _federation(history: Iterable[ClosedRound]) -> tuple[Change, ...]:
    """The combined adapter from the first known round on, and the sites' own ones in the latest closed round."""
    known = [(at, at.scores_before, at.scores_after) for at in history]
    scored = [(at, before, after) for at, before, after in known if before and after]
    if not scored:
        return ()
    last, before, after = scored[-1]
    label = tr("Before combining, %n site(s), round {round}", "", last.sent).format(round=last.round)
    changes = [Change(label, before.headline, after.headline)]
    first = scored[0]
    if len(scored) > 1:  # each round is scored with the adapter that the one before it was combined to
        label = tr("Combined model, %n site(s), since round {round}", "", last.sent).format(round=first[0].round)
        changes.insert(0, Change(label, first[1].headline, before.headline))
    return tuple(changes)
