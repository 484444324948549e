# SPDX-License-Identifier: Apache-2.0
"""Comparison of methods: means over seeds, and each one's difference from the best of the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from ..storage.results import ResultRow, SiteRow
from ..wording import tr
from .differences import Difference, Rows, difference, site_pairs

Split = Literal["validation", "test"]

NAN: Final = float("nan")
_KINDS: Final = {"federation": 0, "centralised": 1, "alone": 2, "base": 3, "encoder": 4}


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation over seeds; `sd` is None for a single one. NaN: nothing to compare."""

    mean: float
    sd: float | None
    seeds: int


@dataclass(frozen=True)
class Line:
    """One method in one setting after its last round. None: not measured. An encoder's losses are NaN: they are of
    tags, others' of tokens. `bytes` are of all sites, both ways; `share` is one site's in one round, beside the whole
    base model's in bfloat16.

    `drift` is the mean of the measured drifts (model, performance, semantic) over sites and rounds, `rank` the mean
    rank, `last_rank` that of the last round with training. `worse_than_alone`: of all sites in all seeds, the number
    with a loss above that of training alone, and the number that could be compared.
    """

    label: str
    method: str
    kind: str
    loss: Spread
    worst_loss: Spread
    f1: Spread | None
    worst_f1: Spread | None
    bytes: Spread
    share: Spread | None
    drift: Spread | None
    rank: Spread | None
    last_rank: Spread | None
    loss_difference: Difference | None
    f1_difference: Difference | None
    worse_than_alone: tuple[int, int] | None


@dataclass(frozen=True)
class Setting:
    """The number of sites, and of those asked per round (None: all)."""

    sites: int
    clients: int | None = None

    @property
    def title(self) -> str:
        """Heading such as "5 sites" or "5 sites, 3 asked per round"."""
        if self.clients is None:
            return tr("{sites} sites").format(sites=self.sites)
        return tr("{sites} sites, {asked} asked per round").format(sites=self.sites, asked=self.clients)

    def holds(self, row: ResultRow) -> bool:
        return row.sites_count == self.sites and (row.kind != "federation" or row.clients == self.clients)


@dataclass(frozen=True)
class Comparison:
    """One setting: federated methods in the experiment's order, then centralised, alone, base and encoders."""

    setting: Setting
    split: Split
    lines: tuple[Line, ...]


def share_of(row: ResultRow) -> float | None:
    """Bytes that a site moved in a round, on average, beside the whole base model's; None where that is not known."""
    if not row.model_bytes or not row.round:
        return None
    return row.bytes / (row.clients or row.sites_count) / row.round / row.model_bytes


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
    """Labels in the experiment's order; federated methods first."""
    kinds = {row.label: row.kind for row in rows}
    return tuple(sorted(kinds, key=lambda label: _KINDS[kinds[label]]))


def _comparison(setting: Setting, rows: Sequence[ResultRow], split: Split) -> Comparison:
    here = [row for row in rows if setting.holds(row)]
    final, chosen_on = _final(here, split), _final(here, "validation")
    return Comparison(setting, split, tuple(_line(label, final, chosen_on, here) for label in final))


def _final(rows: Sequence[ResultRow], split: Split) -> Rows:
    """The rows of the last round, in the order of `labels_of`."""
    found: Rows = {label: {} for label in labels_of(rows)}
    for row in sorted(rows, key=lambda row: row.round):
        if row.split == split:
            found[row.label][row.seed] = row
    return {label: of_seeds for label, of_seeds in found.items() if of_seeds}


def _line(label: str, final: Rows, chosen_on: Rows, rows: Sequence[ResultRow]) -> Line:
    last = list(final[label].values())
    seeds = _by_seed(row for row in rows if row.label == label and row.split == "validation")
    ranks = [[rank_of(row.sites) for row in seed] for seed in seeds]
    tags = last[0].kind == "encoder"
    return Line(
        label=label,
        method=last[0].method,
        kind=last[0].kind,
        loss=_over([NAN if tags else row.loss for row in last]),
        worst_loss=_over([NAN if tags else row.worst_loss for row in last]),
        f1=_spread(row.f1 for row in last),
        worst_f1=_spread(row.worst_f1 for row in last),
        bytes=_over([row.bytes for row in last]),
        share=_spread(share_of(row) for row in last),
        drift=_spread(_mean(drift_of(row.sites) for row in seed) for seed in seeds),
        rank=_spread(map(_mean, ranks)),
        last_rank=_spread(next((rank for rank in reversed(one) if rank is not None), None) for one in ranks),
        loss_difference=None if tags else difference(label, final, "loss", chosen_on),
        f1_difference=difference(label, final, "f1", chosen_on),
        worse_than_alone=None if tags else _worse_than_alone(final[label], final),
    )


def _worse_than_alone(own: dict[int, ResultRow], final: Rows) -> tuple[int, int] | None:
    alone = next((rows for rows in final.values() if next(iter(rows.values())).kind == "alone"), {})
    if alone is own:
        return None
    pairs = [pair for seed in own.keys() & alone.keys() for pair in site_pairs(own[seed], alone[seed], "loss")]
    return (sum(mine > its for mine, its in pairs), len(pairs)) if pairs else None


def _spread(values: Iterable[float | None]) -> Spread | None:
    """None where nothing was measured, or not in every seed: a mean over some seeds only would flatter."""
    found = list(values)
    measured = [value for value in found if value is not None]
    return _over(measured) if measured and len(measured) == len(found) else None


def _over(values: Sequence[float]) -> Spread:
    found = np.array(values, np.float64)
    return Spread(float(found.mean()), float(found.std(ddof=1)) if len(found) > 1 else None, len(found))


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
    drifts = [(site.model_drift, site.performance_drift, site.semantic_drift) for site in sites]
    return _mean(map(_mean, zip(*drifts, strict=True)))


def rank_of(sites: Iterable[SiteRow]) -> float | None:
    """Mean rank of the sites that trained."""
    return _mean(site.rank for site in sites)
