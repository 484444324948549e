# SPDX-License-Identifier: Apache-2.0
"""What was measured at each step of training, through all rounds, with the smoothed loss kept along."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np

from ... import events
from .columns import Columns, Numbers

Weight = Literal["0", "0.6", "0.9"]
WEIGHTS: Final[tuple[Weight, ...]] = ("0", "0.6", "0.9")


class Steps:
    """Rows in the order of (round, step). Where steps never arrived there is one row of NaN: a gap in every line.

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
            kept = {name: rows[name][-1] for name in ("time", "finite", "sum 0.6", "sum 0.9")}
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

    def forget_from(self, round_number: int, step: int) -> None:
        """A training that is resumed repeats steps: those from here on do not hold any more."""
        rows = self._rows
        if len(rows) and (rows["round"][-1], rows["step"][-1]) >= (round_number, step):
            rows.truncate(self._before(round_number, step))

    def move_from(self, round_number: int, amount: int) -> None:
        """The rounds before this one turned out longer by so many steps."""
        self._rows.add("index", self._before(round_number, 0), amount)

    def _before(self, round_number: int, step: int) -> int:
        """How many rows lie before a step of a round."""
        rounds = self._rows["round"]
        low, high = np.searchsorted(rounds, round_number), np.searchsorted(rounds, round_number, side="right")
        return int(low + np.searchsorted(self._rows["step"][low:high], step))
