# SPDX-License-Identifier: Apache-2.0
"""Scales of an axis: a range that outliers do not spoil, round numbers on it, and how they are written."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np

from ...wording import tr, written
from .columns import Numbers

Axis = Literal["step", "time"]
Scale = Literal["linear", "log", "rank"]
Range = tuple[float, float]

_OUTLYING = 0.5  # beyond the 1-99 % band by more than this share of it: an outlier, cut off (inferred)
_TIMES = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)


def robust_range(columns: Iterable[Numbers], *, positive: bool = False) -> Range | None:
    """Least and greatest of all values, where far outliers of each column do not count; None without a finite value. A
    column's outliers lie beyond its 1st or 99th percentile by more than half the distance between the two.
    """
    ends: list[float] = []
    for column in columns:
        values = column[np.isfinite(column)]
        if positive:
            values = values[values > 0]
        if not values.size:
            continue
        low, high = np.percentile(values, (1, 99))
        reach = _OUTLYING * (high - low)
        ends += [max(float(values.min()), low - reach), min(float(values.max()), high + reach)]
    return (min(ends), max(ends)) if ends else None


def padded(ends: Range, scale: Scale, head: float = 0.0) -> Range:
    """A range with air below and above, in the axis' own unit (log10 for "log", log2 for "rank"). `head`: share of the
    height that is kept free on top. On a linear axis zero is shown where that costs little.
    """
    low, high = ends
    if scale == "log":
        low, high = math.log10(low), math.log10(high)
    elif scale == "rank":
        low, high = math.log2(low), math.log2(high)
    elif 0 <= low <= 0.4 * high:
        low = 0.0
    least = {"linear": max(abs(high) * 0.1, 1e-9), "log": 0.2, "rank": 1.6}[scale]
    if high - low < least:
        middle = (low + high) / 2
        low, high = middle - least / 2, middle + least / 2
    air = 0.06 * (high - low)
    low = low if scale == "linear" and low == 0 else low - air
    return low, low + (high + air - low) / (1 - head)


def mapped(values: Numbers, scale: Scale) -> Numbers:
    """Values in the axis' own unit; what has no logarithm is NaN, a gap."""
    if scale == "linear":
        return values
    found = np.full(values.shape, np.nan)
    positive = values > 0  # also false for NaN
    found[positive] = np.log10(values[positive]) if scale == "log" else np.log2(values[positive])
    return found


def nearest(x: Numbers, y: Numbers, at: float) -> float:
    """The finite value nearest to an x, the earlier of two that are equally near; NaN where there is none."""
    there = np.isfinite(y)
    x, y = x[there], y[there]
    if not x.size:
        return float("nan")
    place = int(np.searchsorted(x, at))
    if place and (place == x.size or at - x[place - 1] <= x[place] - at):
        place -= 1
    return float(y[place])


def linear_ticks(low: float, high: float, most: int) -> list[float]:
    """Ticks within the range: at most about `most` multiples of 1, 2 or 5 times a power of ten."""
    if not high > low or most < 1:
        return []
    step = _round_up((high - low) / most)
    first = math.ceil(low / step - 1e-9)
    return [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Ticks of 10^low to 10^high: log10 of powers of ten and, where these are few, of 2 and 5 times those too."""
    for digits in ((1, 2, 5), (1, 3), (1,)):
        powers = range(math.floor(low), math.ceil(high) + 1)
        found = [place for p in powers for d in digits if low <= (place := p + math.log10(d)) <= high]
        if len(found) <= most:
            break
    if len(found) < 2:  # within one decade: round numbers do better
        found = [math.log10(v) for v in linear_ticks(10**low, 10**high, most) if v > 0]
    return found[:: math.ceil(len(found) / most)] if len(found) > most else found


def time_ticks(low: float, high: float, most: int) -> list[float]:
    """Round moments, in seconds."""
    if not high > low or most < 1:
        return []
    step = next((s for s in _TIMES if (high - low) / s <= most), None) or _round_up((high - low) / most / 86400) * 86400
    first = math.ceil(low / step)
    return [float(n * step) for n in range(first, math.floor(high / step) + 1)]


def _round_up(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= value * (1 - 1e-9))


def tick_words(values: Sequence[float]) -> list[str]:
    """Numbers of one axis, all with the digits that tell neighbours apart."""
    if not values:
        return []
    gaps = [abs(b - a) for a, b in pairwise(values) if b != a]
    digits = max(0, -math.floor(math.log10(min(gaps)) + 1e-9)) if gaps else (0 if values[0] == round(values[0]) else 2)
    return [written(value, f",.{digits}f") for value in values]


def time_words(seconds: float) -> str:
    """Time since the first step: "40 s", "12 min", "1 h 30"."""
    if seconds < 60:
        return tr("{seconds:.0f} s").format(seconds=seconds) if seconds else "0"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return (tr("{minutes}:{rest:02d} min") if rest else tr("{minutes} min")).format(minutes=minutes, rest=rest)
    hours, minutes = divmod(minutes, 60)
    return (tr("{hours} h {minutes:02d}") if minutes else tr("{hours} h")).format(hours=hours, minutes=minutes)


def number(value: float) -> str:
    """A measured value in a sentence: three significant digits, no exponent where people do not expect one."""
    if not math.isfinite(value):
        return tr("not measured")
    size = abs(value)
    if size >= 1000:
        return written(value, ",.0f")
    if size >= 100:
        return written(value, ".0f")
    if size >= 10:
        return written(value, ".1f")
    if size >= 0.01 or size == 0:
        return written(value, ".2f")
    return written(value, ".1e").replace("e-0", "e-")
