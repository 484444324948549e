# SPDX-License-Identifier: Apache-2.0
"""Differences between a method and the best of the others, with intervals of the paired bootstrap.

The best baseline of a method is the other federated method with the best mean on the seeds that both have; for the
base, "alone" and "centralised" it is the best federated method. For test notes it is chosen on validation notes, else
on the very rows that are compared, which favours it: a lead that remains is rather too small, a lag rather too large.

A bootstrap of few seeds is much too narrow, so a difference counts only if a paired t-test over seeds finds it too. Of
two methods that are alike, with 3 seeds of 3 sites half of whose noise is common, the bootstrap's interval leaves out 0
in 27 of 100 cases, and both together find a difference in 4 (1,500 simulated; a smaller run is in
tests/unit/test_lab_compare.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ..storage.results import ResultRow, SiteRow

Measure = Literal["loss", "f1"]
Numbers = NDArray[np.float64]

RESAMPLES: Final = 10_000
LEVEL: Final = 0.95
FEW_SEEDS: Final = 5  # below, pairs are of (seed, site): three pairs have ten resamples in all

Rows = dict[str, dict[int, ResultRow]]
"""By label and seed."""


@dataclass(frozen=True)
class Difference:
    """A method's mean less that of `baseline`, over pairs: the same seed, or the same site in the same seed.

    `relative`: over the baseline's mean, None if that is 0. Intervals are 95 % percentile intervals of the paired
    bootstrap; None with one seed. `beyond_chance`: a paired t-test over seeds, two-sided at 5 %, finds a difference.
    `is_better`: None if it does not, or if the interval holds 0.
    """

    measure: Measure
    baseline: str
    absolute: float
    relative: float | None
    interval: tuple[float, float] | None
    relative_interval: tuple[float, float] | None
    pairs: int
    paired_by: Literal["seed", "seed and site"]
    beyond_chance: bool

    @property
    def is_better(self) -> bool | None:
        if not self.beyond_chance or self.interval is None or self.interval[0] <= 0 <= self.interval[1]:
            return None
        return (self.interval[1] < 0) == (self.measure == "loss")


def difference(label: str, final: Rows, measure: Measure, chosen_on: Rows | None = None) -> Difference | None:
    """The difference to the best baseline of `chosen_on` (default: of `final`, the last rounds); None without one."""
    baseline = _best_baseline(label, chosen_on or final, measure)
    own, other = final.get(label, {}), final.get(baseline or "", {})
    seeds = sorted(own.keys() & other.keys())
    if baseline is None or not seeds:
        return None
    pairs = [np.array([(_value(own[seed], measure), _value(other[seed], measure))], np.float64) for seed in seeds]
    paired_by: Literal["seed", "seed and site"] = "seed"
    if 1 < len(seeds) < FEW_SEEDS:
        by_site = [np.array(site_pairs(own[seed], other[seed], measure), np.float64) for seed in seeds]
        if all(map(len, by_site)):
            pairs, paired_by = by_site, "seed and site"
    by_seed = np.array([float((one[:, 0] - one[:, 1]).mean()) for one in pairs])
    together = np.concatenate(pairs)
    ends = bootstrap(together) if len(seeds) > 1 else None
    change, base = float((together[:, 0] - together[:, 1]).mean()), float(together[:, 1].mean())
    return Difference(
        measure=measure,
        baseline=baseline,
        absolute=change,
        relative=change / base if base else None,
        interval=ends[0] if ends else None,
        relative_interval=ends[1] if ends else None,
        pairs=len(together),
        paired_by=paired_by,
        beyond_chance=is_beyond_chance(by_seed),
    )


def is_beyond_chance(changes: Numbers) -> bool:
    """True if a two-sided t-test at 5 % finds that the mean is not 0; never for a single value."""
    if len(changes) < 2:
        return False
    if np.ptp(changes) <= 1e-9 * np.abs(changes).max():  # no spread to compare with
        return bool(changes.any())
    return bool(stats.ttest_1samp(changes, 0.0).pvalue < 1 - LEVEL)


def bootstrap(pairs: Numbers) -> tuple[tuple[float, float], tuple[float, float] | None]:
    """95 % percentile intervals of the mean difference and of that difference relative to the second's mean.

    `pairs`, shape (pairs, 2): value and baseline. The relative interval is None where a resample's baseline is 0.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        found = stats.bootstrap(
            (pairs[:, 0], pairs[:, 1]),
            _changes,
            paired=True,
            n_resamples=RESAMPLES,
            confidence_level=LEVEL,
            method="percentile",
            rng=np.random.Generator(np.random.PCG64(0)),
        )
    absolute, relative = zip(*found.confidence_interval, strict=True)
    is_finite = np.isfinite(found.bootstrap_distribution[1]).all()
    return (float(absolute[0]), float(absolute[1])), (float(relative[0]), float(relative[1])) if is_finite else None


def _changes(own: Numbers, base: Numbers, axis: int) -> Numbers:
    """Mean difference, and that relative to the mean of `base`, of the same resamples; shape (2, resamples)."""
    change = (own - base).mean(axis)
    return np.stack([change, change / base.mean(axis)])


def _best_baseline(label: str, final: Rows, measure: Measure) -> str | None:
    """The one that shares most seeds, of several the best on those seeds: the first in the experiment's order."""
    own = final.get(label, {})
    sign = 1 if measure == "loss" else -1
    found: list[tuple[int, float, str]] = []
    for other, rows in final.items():
        if other == label or next(iter(rows.values())).kind != "federation":
            continue
        shared = own.keys() & rows.keys()
        values = [_value(rows[seed], measure) for seed in shared]
        mine = [_value(own[seed], measure) for seed in shared]
        if values and None not in (*values, *mine):
            found.append((-len(values), sign * float(np.mean(np.array(values, np.float64))), other))
    return min(found, key=lambda one: one[:2])[2] if found else None


def _value(row: ResultRow | SiteRow, measure: Measure) -> float | None:
    return row.loss if measure == "loss" else row.f1


def site_pairs(own: ResultRow, other: ResultRow, measure: Measure) -> list[tuple[float, float]]:
    """Values of the same site; none where the rows' sites are not the same."""
    others = {site.site: _value(site, measure) for site in other.sites}
    if others.keys() != {site.site for site in own.sites}:
        return []
    pairs = [(_value(site, measure), others[site.site]) for site in own.sites]
    return [(mine, its) for mine, its in pairs if mine is not None and its is not None]
