# SPDX-License-Identifier: Apache-2.0
"""LoRA rank from drift: three drifts are combined into one number, which moves the rank on a grid.

All inferred (guide/method-adaptive_fedlora.md). Pure; methods.adaptive_fedlora keeps the numbers between rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..arrays import np
from .drift import Drift

Sign = Literal["more", "less"]


def quantile_share(value: float, past: Sequence[float], quantile: float) -> float:
    """value / quantile of past values, in [0, 1]; `past` includes `value`. If the quantile is zero: 0 for 0, else 1.

    The quantile is exact, with linear interpolation between neighbours.
    """
    if value <= 0:
        return 0.0
    usual = float(np.quantile(past, quantile))
    return min(1.0, value / usual) if usual > 0 else 1.0


def components(drift: Drift) -> tuple[float | None, float | None, float | None]:
    """Model, performance and semantic drift, in the order of the weights."""
    return drift.model, drift.performance, drift.semantic


def drift_number(
    drift: Drift, past: Sequence[Sequence[float]], weights: Sequence[float], quantile: float
) -> float | None:
    """Weighted mean of the known components, each as `quantile_share` of its past; None if no component counts."""
    shares = [
        (weight, quantile_share(value, seen, quantile))
        for weight, value, seen in zip(weights, components(drift), past, strict=True)
        if value is not None and weight > 0
    ]
    total = sum(weight for weight, _ in shares)
    return sum(weight * share for weight, share in shares) / total if total else None


def smoothed(before: float | None, now: float, memory: float) -> float:
    """Exponential moving average; starts at the first value."""
    return now if before is None else memory * before + (1 - memory) * now


def snapped(rank: float, grid: Sequence[int], cap: int | None = None) -> int:
    """The smallest rank on the grid that is at least `rank`, else the largest; within the cap, even below the grid."""
    fitting = [one for one in grid if cap is None or one <= cap]
    if not fitting:
        assert cap is not None
        return cap
    return next((one for one in fitting if one >= rank), fitting[-1])


@dataclass(frozen=True)
class Steps:
    """Hysteresis: one step up the grid above `raise_above`, one down below `lower_below`, otherwise unchanged.

    The sign "less" reverses both.
    """

    grid: Sequence[int]
    raise_above: float
    lower_below: float
    sign: Sign = "more"

    def next_rank(self, rank: int, drift: float, cap: int | None = None) -> int:
        at = self.grid.index(snapped(rank, self.grid))
        way = (drift > self.raise_above) - (drift < self.lower_below)
        at += way if self.sign == "more" else -way
        return snapped(self.grid[min(max(at, 0), len(self.grid) - 1)], self.grid, cap)


def continuous_rank(
    drift: float, grid: Sequence[int], gamma: float, sign: Sign = "more", cap: int | None = None
) -> int:
    """r_min + (r_max - r_min) D^gamma, rounded up to the grid; the sign "less" takes 1 - D."""
    share = drift if sign == "more" else 1 - drift
    return snapped(grid[0] + (grid[-1] - grid[0]) * share**gamma, grid, cap)
