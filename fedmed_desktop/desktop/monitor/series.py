# SPDX-License-Identifier: Apache-2.0
"""Lines of the Monitor's charts, from the numbers of the training: over steps or time, smoothed or not. No Qt."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np

from ...scores import Scores
from ...storage.journal import MOST_STEPS
from ..charts.columns import NAN, Numbers
from ..charts.scales import Axis
from ..work.curves import Curves
from ..work.scored import INDENT, Key, is_f1, parts, plain_name, value
from ..work.steps import Weight


class RankChange(NamedTuple):
    """A change of this site's rank: from which round on, and the combined drift that was known then (NaN: none)."""

    round: int
    before: int
    after: int
    drift: float


class Series:
    """A reading of `curves` as they are just now. What nobody has measured is NaN."""

    def __init__(self, curves: Curves) -> None:
        self.curves = curves
        self._steps, self._rounds = curves.steps, curves.rounds

    @property
    def is_thinned(self) -> bool:
        """Tells whether only a selection of steps is kept of some closed round."""
        closed = self._rounds["round"] < (self.curves.current[0] if self.curves.current else 0)
        return bool((self._rounds["steps"][closed] > MOST_STEPS).any())

    def _origin(self) -> float:
        """Seconds since 1970 at the first measurement, where the time axis begins."""
        began = self._rounds["began"]
        return float(np.fmin.reduce(began)) if len(began) else NAN

    def training(self, axis: Axis, weight: Weight = "0") -> tuple[Numbers, Numbers]:
        """x and training loss, smoothed by `weight`, shape (steps,); over time with a gap between rounds."""
        x, loss = self.positions(axis), self._steps.smoothed(weight)
        if axis == "step":
            return x, loss
        first = np.flatnonzero(np.diff(self._steps["round"])) + 1
        return np.insert(x, first, x[first - 1]), np.insert(loss, first, NAN)

    def positions(self, axis: Axis) -> Numbers:
        """x of each step: its number through all rounds, or seconds since the first measurement; it never falls."""
        if axis == "step":
            return self._steps["index"]
        return np.maximum.accumulate(self._steps["time"] - self._origin())  # a clock may be set back

    def latest(self, name: Literal["loss", "learning_rate", "tokens_per_second", "memory_mib"]) -> float:
        """The last step's value; NaN before the first."""
        return float(self._steps[name][-1]) if len(self._steps) else NAN

    def _ends(self, axis: Axis) -> tuple[Numbers, Numbers]:
        """x where each round begins and ends, shape (rounds,) each."""
        if axis == "time":
            return self._rounds["began"] - self._origin(), self._rounds["ended"] - self._origin()
        starts = self.curves.round_starts()
        return starts, starts + self._rounds["steps"]

    def extent(self, axis: Axis) -> float:
        """The greatest x of anything; 0 before there is anything."""
        ends = self._ends(axis)[1]
        return float(np.fmax.reduce(ends, initial=0.0))

    def step_at(self, axis: Axis, x: float) -> tuple[int, int] | None:
        """(round, step in it) of the step nearest to an x; None before the first."""
        if not len(self._steps):
            return None
        xs = self.positions(axis)
        row = min(int(np.searchsorted(xs, x)), len(xs) - 1)
        row -= bool(row and x - xs[row - 1] <= xs[row] - x)
        return int(self._steps["round"][row]), int(self._steps["step"][row])

    def boundaries(self, axis: Axis) -> list[tuple[int, float]]:
        """(round, x at which it begins) of each round in which this site trained."""
        begins, ends = self._ends(axis)
        there = (self._rounds["steps"] > 0) & np.isfinite(begins) & np.isfinite(ends)
        return [(int(r), float(x)) for r, x in zip(self._rounds["round"][there], begins[there], strict=True)]

    def validation(self, axis: Axis) -> tuple[Numbers, Numbers]:
        """x and validation loss before and after each round's training, shape (2 * rounds,)."""
        begins, ends = self._ends(axis)
        x = np.stack([begins, ends], axis=1).ravel()
        return _known(x, np.stack([self._rounds["loss_before"], self._rounds["loss_after"]], axis=1).ravel())

    def drift(self, name: str, axis: Axis) -> tuple[Numbers, Numbers]:
        """x (the round's end) and drift: as the coordinator recorded it, else as this site measured it."""
        return _known(self._ends(axis)[1], self.curves.drift(name))

    def rank(self, axis: Axis) -> tuple[Numbers, Numbers]:
        """Rank of this site as a step line: two points for each round that has one."""
        return self._step_line(self._rounds["rank"], axis)

    def other_ranks(self, axis: Axis) -> tuple[Numbers, Numbers]:
        """Ranks of other sites as step lines, one after the other with a gap between: nobody knows whose they are."""
        told = [self.curves.other_ranks.get(int(number), ()) for number in self._rounds["round"]]
        most = max(map(len, told), default=0)
        x, y = [np.empty(0)], [np.empty(0)]
        for place in range(most):
            ranks = np.array([r[place] if place < len(r) else NAN for r in told], np.float64)
            line = self._step_line(ranks, axis)
            x += [line[0], np.array([line[0][-1] if line[0].size else 0.0])]
            y += [line[1], np.array([NAN])]
        return np.concatenate(x), np.concatenate(y)

    def _step_line(self, values: Numbers, axis: Axis) -> tuple[Numbers, Numbers]:
        """A value holds from where its round begins to where the next one does."""
        begins, ends = self._ends(axis)
        there = np.isfinite(begins) & np.isfinite(ends) & np.isfinite(values)
        begins, ends, values = begins[there], ends[there], values[there]
        return np.stack([begins, np.append(begins[1:], ends[-1:])], axis=1).ravel(), np.repeat(values, 2)

    def rank_changes(self) -> list[RankChange]:
        """Every change of this site's rank that is known, in order."""
        there = np.flatnonzero(np.isfinite(self._rounds["rank"]))
        ranks, rounds, drift = (self._rounds[name] for name in ("rank", "round", "combined"))
        return [
            RankChange(int(rounds[now]), int(ranks[then]), int(ranks[now]), float(drift[then]))
            for then, now in pairwise(there)
            if ranks[then] != ranks[now]
        ]

    def rank_marks(self, axis: Axis) -> tuple[Numbers, Numbers]:
        """x and rank where it changed."""
        begins = dict(zip(self._rounds["round"].tolist(), self._ends(axis)[0].tolist(), strict=True))
        changes = self.rank_changes()
        x = np.array([begins[change.round] for change in changes], np.float64)
        return _known(x, np.array([change.after for change in changes], np.float64))

    def ranks(self) -> list[int]:
        """Every rank that occurs, ascending."""
        own = {int(rank) for rank in self._rounds["rank"] if rank == rank}
        return sorted(own.union(*self.curves.other_ranks.values()))

    def last_scores(self) -> tuple[int, list[tuple[str, float, float]], bool]:
        """The last scored round; (name, score before, after) of each task, type and mean, NaN where not scored; and
        whether all of these are F1. Among several tasks, types stand below their task, a little to the right."""
        if not self.curves.scores:
            return 0, [], True
        last = max(self.curves.scores)
        moments = self.curves.scores[last]
        before, after = moments.get("before", Scores()), moments.get("after", Scores())
        both = before + after
        several = len(both.scored) > 1
        named: list[tuple[Key, str]] = []
        for task in both.scored:
            own, whole = parts(task, both[task]), Key(task, "all")
            if several or not any(key.kind == "type" for key in own):
                named.append((whole, plain_name(whole, several=several)))
            if several and both[task].strict:
                own = [key for key in own if key.kind == "type"]  # the narrow card has no room for more
            named += [(key, f"{INDENT if several else ''}{plain_name(key, several=several)}") for key in own]
        scored = [(name, _known_value(before, key), _known_value(after, key)) for key, name in named]
        return last, scored, is_f1(both)

    def bytes_moved(self) -> tuple[int, int]:
        """Bytes of adapters sent and received, as far as this program saw; a blob that came twice counts once."""
        return sum(self.curves.moved["up"].values()), sum(self.curves.moved["down"].values())


def _known_value(scores: Scores, key: Key) -> float:
    found = value(scores, key)
    return NAN if found is None else found


def _known(x: Numbers, y: Numbers) -> tuple[Numbers, Numbers]:
    """Points that have both coordinates."""
    there = np.isfinite(x) & np.isfinite(y)
    return x[there], y[there]
