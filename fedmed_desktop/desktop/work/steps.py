# SPDX-License-Identifier: Apache-2.0
"""Measurements at each step of training, through all rounds, with the smoothed loss beside them."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from ... import events
from ...storage.journal import MOST_STEPS, stride_of
from ..charts.columns import NAN, Columns, Numbers

Weight = Literal["0", "0.6", "0.9"]
WEIGHTS: Final[tuple[Weight, ...]] = ("0", "0.6", "0.9")
_MEASURED: Final = ("loss", "learning_rate", "tokens_per_second", "memory_mib")
_BLOCK: Final = 64
_CARRIED: Final = ("time", "finite", "sum 0.6", "sum 0.9")  # by a gap, from the row before


class Steps:
    """Rows in the order of (round, step). Where steps never arrived there is one row of NaN: a gap in every line.

    Of a closed round with more than MOST_STEPS steps an even selection is kept, as in the site's journal, without a gap
    between them; what was smoothed before stays as it was.

    Columns: round, step, index (the step's number through all rounds), time (seconds since 1970), loss, learning_rate,
    tokens_per_second, memory_mib.
    """

    def __init__(self) -> None:
        self._rows = Columns(
            "round", "step", "index", "time", "loss", "learning_rate", "tokens_per_second", "memory_mib",
            "finite", "sum 0.6", "shown 0.6", "sum 0.9", "shown 0.9",
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, name: str) -> Numbers:
        return self._rows[name]

    def smoothed(self, weight: Weight) -> Numbers:
        """The loss smoothed, shape (steps,); weight 0 is the loss itself."""
        return self._rows["loss"] if weight == "0" else self._rows[f"shown {weight}"]

    def append(self, event: events.TrainingStep, steps_before: float) -> None:
        """A step later than all there are; `steps_before`: of all earlier rounds."""
        rows = self._rows
        known = rows["step"][-1] if len(rows) and rows["round"][-1] == event.round else 0
        if len(rows) and event.step > known + 1:
            kept = {name: rows[name][-1] for name in _CARRIED}
            rows.append(round=event.round, step=event.step - 1, index=steps_before + event.step - 1, **kept)
        smooth = self._smoothed(event.loss)
        rows.append(
            round=event.round, step=event.step, index=steps_before + event.step, time=event.time.timestamp(),
            loss=event.loss, learning_rate=event.learning_rate, tokens_per_second=event.tokens_per_second,
            memory_mib=event.memory_mib, **smooth,
        )  # fmt: skip

    def _smoothed(self, loss: float) -> dict[str, float]:
        """Exponential moving averages with bias correction (Kingma and Ba 2015, section 3); NaN is skipped."""
        rows = self._rows
        count = float(rows["finite"][-1]) if len(rows) else 0.0
        is_finite = bool(np.isfinite(loss))
        values = {"finite": count + is_finite}
        for name in ("0.6", "0.9"):
            weight = float(name)
            total = float(rows[f"sum {name}"][-1]) if len(rows) else 0.0
            if is_finite:
                total = weight * total + (1 - weight) * loss
                values[f"shown {name}"] = total / (1 - weight ** (count + 1))
            values[f"sum {name}"] = total
        return values

    def extend(self, told: Sequence[events.TrainingStep], steps_before: float) -> None:
        """Rising steps of one round, later than all there are: as `append` one by one, in a fraction of the time. Steps
        that a closed round's selection left out are no gap.
        """
        rows = self._rows
        step = np.array(list(map(attrgetter("step"), told)), np.float64)
        columns = {
            "step": step,
            "index": step + steps_before,
            "time": np.array([event.time.timestamp() for event in told]),
            **{name: np.array(list(map(attrgetter(name), told)), np.float64) for name in _MEASURED},
        }
        columns |= self._all_smoothed(columns["loss"])
        known = rows["step"][-1] if len(rows) and rows["round"][-1] == told[0].round else 0.0
        missing = np.diff(step, prepend=known) > stride_of(told[-1].step)
        missing[0] &= len(rows) > 0
        if missing.any():
            columns = self._with_gaps(columns, np.flatnonzero(missing))
        rows.extend(round=np.full(len(columns["step"]), float(told[0].round)), **columns)

    def _with_gaps(self, columns: dict[str, Numbers], at: NDArray[np.intp]) -> dict[str, Numbers]:
        """One more row before each of these: the step before it, the time and the sums of the row before."""

        def added(name: str, values: Numbers) -> Numbers:
            if name in ("step", "index"):
                return values[at] - 1
            if name in _CARRIED:
                last = self._rows[name][-1:] if len(self._rows) else np.array([NAN])
                return np.concatenate([last, values])[at]
            return np.full(len(at), NAN)

        return {name: np.insert(values, at, added(name, values)) for name, values in columns.items()}

    def _all_smoothed(self, loss: Numbers) -> dict[str, Numbers]:
        """`_smoothed` of one loss after the other."""
        rows = self._rows
        is_finite = np.isfinite(loss)
        new = np.cumsum(is_finite)
        count = (rows["finite"][-1] if len(rows) else 0.0) + new
        values = {"finite": count}
        for name in ("0.6", "0.9"):
            weight = float(name)
            total = float(rows[f"sum {name}"][-1]) if len(rows) else 0.0
            values[f"sum {name}"] = _decayed(loss[is_finite], weight, total)[new]
            with np.errstate(divide="ignore", invalid="ignore"):  # before the first finite loss
                shown = values[f"sum {name}"] / (1 - weight**count)
            values[f"shown {name}"] = np.where(is_finite, shown, NAN)
        return values

    def thin(self, round_number: int) -> None:
        """The last round that there is has closed: where it is long, an even selection is kept, and every gap."""
        rows, first = self._rows, self._before(round_number, 0)
        step = rows["step"][first:]
        if len(step) > MOST_STEPS:
            kept = (step % stride_of(int(step[-1])) == 0) | np.isnan(rows["learning_rate"][first:])
            kept[[0, -1]] = True
            rows.keep(first, kept)

    def forget_from(self, round_number: int, step: int) -> None:
        """A training that is resumed repeats steps: those from here on do not hold any more."""
        rows = self._rows
        if len(rows) and (rows["round"][-1], rows["step"][-1]) >= (round_number, step):
            rows.truncate(self._before(round_number, step))

    def move_from(self, round_number: int, amount: int) -> None:
        """The rounds before this one turned out longer by so many steps."""
        self._rows.add("index", self._before(round_number, 0), amount)

    def _before(self, round_number: int, step: int) -> int:
        """Number of rows that lie before a step of a round."""
        rounds = self._rows["round"]
        low, high = np.searchsorted(rounds, round_number), np.searchsorted(rounds, round_number, side="right")
        return int(low + np.searchsorted(self._rows["step"][low:high], step))


def _decayed(values: Numbers, weight: float, total: float) -> Numbers:
    """total, then weight * total + (1 - weight) * value for each; shape (values + 1,). Blocks by one product each."""
    back = np.arange(_BLOCK)[:, None] - np.arange(_BLOCK)
    powers = np.where(back >= 0, (1 - weight) * weight ** np.maximum(back, 0), 0.0)
    blocks = np.pad(values, (0, -len(values) % _BLOCK)).reshape(-1, _BLOCK) @ powers.T
    decay = weight ** np.arange(1, _BLOCK + 1)
    sums = [np.array([total])]
    for block in blocks:
        sums.append(block + decay * sums[-1][-1])
    return np.concatenate(sums)[: len(values) + 1]
