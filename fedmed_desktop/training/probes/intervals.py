# SPDX-License-Identifier: Apache-2.0
"""Measures of attacks, with their 95 % intervals."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Final

import numpy as np

from .reader import Floats

RESAMPLES: Final = 1000
_LEVEL: Final = (2.5, 97.5)
_Z: Final = 1.959964


def auc(members: Floats, others: Floats) -> float:
    """Chance that a member scores higher than another (Mann-Whitney); ties count half."""
    return float(_wins(members, others).mean())


def auc_interval(
    members: Floats, others: Floats, of_members: Sequence[Hashable], of_others: Sequence[Hashable], seed: int
) -> tuple[float, float]:
    """Percentile bootstrap; notes of one document (`of_...`) are drawn together.

    Of a single document nothing tells what another one would change: the interval then reaches to guessing, 0.5.
    """
    if min(len(set(of_members)), len(set(of_others))) < 2:
        return _reaching(auc(members, others), 0.5)
    rng = np.random.Generator(np.random.PCG64(seed))
    wins = _wins(members, others)
    left, right = _draws(rng, of_members), _draws(rng, of_others)
    drawn = ((left @ wins) * right).sum(1) / (left.sum(1) * right.sum(1))
    low, high = np.percentile(drawn, _LEVEL)
    return float(low), float(high)


def mean_interval(values: Floats, groups: Sequence[Hashable], seed: int) -> tuple[float, float]:
    """Percentile bootstrap of a mean; values of one group are drawn together. Of a single group it reaches to 0."""
    if len(set(groups)) < 2:
        return _reaching(float(values.mean()), 0.0)
    weights = _draws(np.random.Generator(np.random.PCG64(seed)), groups)
    low, high = np.percentile((weights @ values) / weights.sum(1), _LEVEL)
    return float(low), float(high)


def hits_at(members: Floats, others: Floats, false: float) -> float:
    """Share of the members above the value that at most a share `false` of the others is above."""
    allowed = math.floor(false * len(others))
    return float((members > np.sort(others)[::-1][allowed]).mean())


def wilson(hits: int, of: int) -> tuple[float, float]:
    """Interval of a share (Wilson 1927)."""
    share, z2 = hits / of, _Z**2
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = _Z / (1 + z2 / of) * math.sqrt(share * (1 - share) / of + z2 / (4 * of**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def _reaching(value: float, nothing: float) -> tuple[float, float]:
    return min(value, nothing), max(value, nothing)


def _wins(members: Floats, others: Floats) -> Floats:
    difference = members[:, None] - others[None, :]
    return np.asarray((difference > 0) + 0.5 * (difference == 0), dtype=np.float64)


def _draws(rng: np.random.Generator, groups: Sequence[Hashable]) -> Floats:
    """Number of times that each value counts in each resample, (RESAMPLES, values)."""
    names = {name: at for at, name in enumerate(dict.fromkeys(groups))}
    counts = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), RESAMPLES)
    return np.asarray(counts[:, [names[name] for name in groups]], dtype=np.float64)
