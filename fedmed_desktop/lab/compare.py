# SPDX-License-Identifier: Apache-2.0
"""Which method did better: means over seeds, and what each differs from the best of the others, with intervals.

The best baseline of a method is the other federated method with the best mean on the seeds that both have; of what is
not federated (the base, each site alone, all notes in one place) it is the best of all federated methods. That choice
is made on the very rows that are then compared, so it favours the baseline: a lead that remains is rather too small.

Needs numpy only, so that the desktop can use it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from ..storage.results import ResultRow, SiteRow

Measure = Literal["loss", "f1"]
Split = Literal["validation", "test"]
Numbers = NDArray[np.float64]

RESAMPLES: Final = 10_000
LEVEL: Final = 0.95
FEW_SEEDS: Final = 5  # below, pairs are of (seed, site): three pairs have ten resamples in all
_KINDS: Final = {"federation": 0, "centralised": 1, "alone": 2, "base": 3}


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation over seeds; `sd` is None for a single one."""

    mean: float
    sd: float | None
    seeds: int


@dataclass(frozen=True)
class Difference:
    """A method's mean less that of `baseline`, over pairs: the same seed, or the same site in the same seed.

    `relative` is that sum over the baseline's, None where the latter is 0. Intervals are 95 % percentile intervals of
    the paired bootstrap; None with one seed, where nothing is known of how much another seed would have changed.
    `is_better`: None where the interval holds 0 or there is none.
    """

    measure: Measure
    baseline: str
    absolute: float
    relative: float | None
    interval: tuple[float, float] | None
    relative_interval: tuple[float, float] | None
    pairs: int
    paired_by: Literal["seed", "seed and site"]

    @property
    def is_better(self) -> bool | None:
        if self.interval is None or self.interval[0] <= 0 <= self.interval[1]:
            return None
        return (self.interval[1] < 0) == (self.measure == "loss")


@dataclass(frozen=True)
class Line:
    """One method in one setting after its last round. None: not measured. Bytes are of all sites, both ways.

    `drift` is the mean of the drifts that were measured (model, performance, semantic) over sites and rounds, `rank`
    the mean over sites and rounds, `last_rank` that of the last round in which sites trained.
    """

    label: str
    kind: str
    loss: Spread
    worst_loss: Spread
    f1: Spread | None
    worst_f1: Spread | None
    bytes: Spread
    drift: Spread | None
    rank: Spread | None
    last_rank: Spread | None
    loss_difference: Difference | None
    f1_difference: Difference | None


@dataclass(frozen=True)
class Setting:
    """So many sites, of which so many are asked per round; None: all of them."""

    sites: int
    clients: int | None = None

    def holds(self, row: ResultRow) -> bool:
        return row.sites_count == self.sites and (row.kind != "federation" or row.clients == self.clients)


@dataclass(frozen=True)
class Comparison:
    """One setting: federated methods in the experiment's order, then centralised, alone and base."""

    setting: Setting
    split: Split
    lines: tuple[Line, ...]


def settings_of(rows: Iterable[ResultRow]) -> list[Setting]:
    """All settings, fewest sites first. What is not federated belongs to every setting with its number of sites."""
    rows = tuple(rows)
    found = {Setting(row.sites_count, row.clients) for row in rows if row.kind == "federation"}
    federated = {setting.sites for setting in found}
    found |= {Setting(row.sites_count) for row in rows if row.sites_count not in federated}
    return sorted(found, key=lambda setting: (setting.sites, setting.clients or setting.sites + 1))


def compare(rows: Iterable[ResultRow], split: Split = "validation") -> list[Comparison]:
    """One comparison per setting that has rows of this split. Deterministic: resamples are drawn from PCG64(0)."""
    rows = tuple(rows)
    return [found for setting in settings_of(rows) if (found := _comparison(setting, rows, split)).lines]


def labels_of(rows: Iterable[ResultRow]) -> tuple[str, ...]:
    """In the experiment's order; federated methods first."""
    kinds = {row.label: row.kind for row in rows}
    return tuple(sorted(kinds, key=lambda label: _KINDS[kinds[label]]))


def _comparison(setting: Setting, rows: Sequence[ResultRow], split: Split) -> Comparison:
    here = [row for row in rows if setting.holds(row)]
    final = {label: last for label in labels_of(here) if (last := _final(here, label, split))}
    lines = tuple(_line(label, final, here) for label in final)
    return Comparison(setting, split, lines)


def _final(rows: Iterable[ResultRow], label: str, split: Split) -> dict[int, ResultRow]:
    """By seed, the row of the last round."""
    found: dict[int, ResultRow] = {}
    for row in rows:
        if row.label == label and row.split == split and (row.seed not in found or found[row.seed].round <= row.round):
            found[row.seed] = row
    return found


def _line(label: str, final: dict[str, dict[int, ResultRow]], rows: Sequence[ResultRow]) -> Line:
    last = list(final[label].values())
    course = [row for row in rows if row.label == label and row.split == "validation"]
    return Line(
        label=label,
        kind=last[0].kind,
        loss=_needed(_spread(row.loss for row in last)),
        worst_loss=_needed(_spread(row.worst_loss for row in last)),
        f1=_spread(row.f1 for row in last),
        worst_f1=_spread(row.worst_f1 for row in last),
        bytes=_needed(_spread(float(row.bytes) for row in last)),
        drift=_spread(_drift(seed) for seed in _by_seed(course)),
        rank=_spread(_rank(seed) for seed in _by_seed(course)),
        last_rank=_spread(_last_rank(seed) for seed in _by_seed(course)),
        loss_difference=difference(label, final, "loss"),
        f1_difference=difference(label, final, "f1"),
    )


def _needed(spread: Spread | None) -> Spread:
    if spread is None:
        raise AssertionError("every row has a loss")
    return spread


def _spread(values: Iterable[float | None]) -> Spread | None:
    """None where nothing was measured, or not in every seed: a mean over some seeds only would flatter."""
    found = list(values)
    measured = np.array([value for value in found if value is not None], np.float64)
    if not found or len(measured) != len(found):
        return None
    return Spread(float(measured.mean()), float(measured.std(ddof=1)) if len(measured) > 1 else None, len(measured))


def _by_seed(rows: Iterable[ResultRow]) -> list[list[ResultRow]]:
    found: dict[int, list[ResultRow]] = {}
    for row in sorted(rows, key=lambda row: row.round):
        found.setdefault(row.seed, []).append(row)
    return list(found.values())


def _mean(values: Iterable[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return float(np.mean(found)) if found else None


def drift_of(sites: Iterable[SiteRow]) -> float | None:
    """The mean of those drifts that were measured, each as its mean over the sites."""
    sites = tuple(sites)
    return _mean(
        _mean(drifts)
        for drifts in (
            [site.model_drift for site in sites],
            [site.performance_drift for site in sites],
            [site.semantic_drift for site in sites],
        )
    )


def rank_of(sites: Iterable[SiteRow]) -> float | None:
    """Mean rank of the sites that trained."""
    return _mean(site.rank for site in sites)


def _drift(rows: Sequence[ResultRow]) -> float | None:
    return _mean(drift_of(row.sites) for row in rows)


def _rank(rows: Sequence[ResultRow]) -> float | None:
    return _mean(rank_of(row.sites) for row in rows)


def _last_rank(rows: Sequence[ResultRow]) -> float | None:
    ranks = [rank for row in rows if (rank := rank_of(row.sites)) is not None]
    return ranks[-1] if ranks else None


# -- differences -------------------------------------------------------------------------------------------------------


def difference(label: str, final: dict[str, dict[int, ResultRow]], measure: Measure) -> Difference | None:
    """Against the best baseline; `final`: rows of the last round by label and seed. None: nothing to compare with."""
    baseline = _best_baseline(label, final, measure)
    if baseline is None:
        return None
    own, other = final[label], final[baseline]
    seeds = sorted(own.keys() & other.keys())
    by_seed = np.array([(_value(own[seed], measure), _value(other[seed], measure)) for seed in seeds], np.float64)
    paired_by: Literal["seed", "seed and site"] = "seed"
    if 1 < len(seeds) < FEW_SEEDS:
        by_site = [pair for seed in seeds for pair in _site_pairs(own[seed], other[seed], measure)]
        if by_site:
            by_seed, paired_by = np.array(by_site, np.float64), "seed and site"
    ends = bootstrap(by_seed) if len(seeds) > 1 else None
    change, base = float((by_seed[:, 0] - by_seed[:, 1]).mean()), float(by_seed[:, 1].mean())
    return Difference(
        measure=measure,
        baseline=baseline,
        absolute=change,
        relative=change / base if base else None,
        interval=ends[0] if ends else None,
        relative_interval=ends[1] if ends else None,
        pairs=len(by_seed),
        paired_by=paired_by,
    )


def bootstrap(pairs: Numbers) -> tuple[tuple[float, float], tuple[float, float] | None]:
    """95 % percentile intervals of the mean difference and of that difference relative to the second's mean.

    `pairs`, shape (pairs, 2): value and baseline. The relative interval is None where a resample's baseline is 0.
    """
    random = np.random.Generator(np.random.PCG64(0))
    drawn = random.integers(0, len(pairs), (RESAMPLES, len(pairs)))
    base = pairs[:, 1][drawn].mean(axis=1)
    change = (pairs[:, 0] - pairs[:, 1])[drawn].mean(axis=1)
    return _ends(change), _ends(change / base) if base.all() else None


def _ends(values: Numbers) -> tuple[float, float]:
    low, high = np.quantile(values, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return float(low), float(high)


def _best_baseline(label: str, final: dict[str, dict[int, ResultRow]], measure: Measure) -> str | None:
    """The one that shares most seeds, of several the best on those seeds: the first in the experiment's order."""
    own = final[label]
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


def _site_pairs(own: ResultRow, other: ResultRow, measure: Measure) -> list[tuple[float, float]]:
    """Values of the same site; none where the rows' sites are not the same."""
    others = {site.site: _value(site, measure) for site in other.sites}
    if others.keys() != {site.site for site in own.sites}:
        return []
    pairs = [(_value(site, measure), others[site.site]) for site in own.sites]
    return [(mine, its) for mine, its in pairs if mine is not None and its is not None]
