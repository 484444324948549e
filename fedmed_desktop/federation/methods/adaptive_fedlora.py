# SPDX-License-Identifier: Apache-2.0
"""AdaptiveFedLoRA, a re-design after its abstract (Yu, medRxiv, doi 10.64898/2026.01.18.26344237).

Only the abstract was available. It names the parts (drift of model, performance and semantics; a LoRA rank that follows
drift; client selection; aggregation by Jensen-Shannon divergence) but gives no formula, and does not say whether more
drift means more rank or less. So every formula and constant here is inferred and is a setting, and results cannot be
compared with the paper's. guide/method-adaptive_fedlora.md has the formulas.

- Drift: each of the three as a share of its running quantile, weighted, smoothed per site.   (federation.rank)
- Model drift: by default |u_k| / (|dW_g| + median_j |u_j|), which falls as the common adapter grows; see `model_drift`.
- Rank: a step on the grid with hysteresis, within the site's cap. The scale is constant, so no step moves delta W.
- Selection, where not all sites can take part.                                               (federation.selection)
- Weights: p_k ~ n_k exp(-JSD_2(P_k || Pbar) / tau), Pbar by notes; for equal n they differ by e^(1 / tau) at most.
- Modules: by importance, if wanted, at the same bytes.                                     (federation.allotment)
- Combining: in product space, guarded against rank collapse (combine.combine_product_by_level; whatever no site of the
  round could train is kept); or a stack, which starts each round with a fresh adapter and needs no guard.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from statistics import median
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from ...bounds import Number, PositiveFloat, PositiveInt, Scalar, Share
from ...lora import Adapter, Module, algebra
from ...lora.geometry import products_of_changes
from ...lora.module import ModuleSource, Ranks, rank_in
from ..actions import Combine
from ..allotment import allotted, moved_share, of_each, pooled_importance
from ..combine import Combination, Combiner, Combining, Sources, combine_product_by_level
from ..drift import Drift, direction_drift, excess_drift, pooled_histogram, semantic_drift
from ..rank import Sign, Steps, components, continuous_rank, drift_number, smoothed, snapped
from ..selection import Seen, Selection
from ..update import Report
from ..values import Frozen
from .method import Opening, Setting, normalised
from .product_split import ProductSplit

ModelDrift = Literal["global", "median", "direction"]


class SiteState(Seen):
    """One site: its last report, its rank from round `since` on and its smoothed drift."""

    rank: int
    since: int
    drift: float | None


class AdaptiveState(Frozen):
    """State from round to round, kept as JSON. `recent`: the latest values of the three drifts, over all sites.

    `importance` of each module, pooled and smoothed; `energy_ranks`: those that keep `keep_energy` of each module's.
    """

    recent: tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]] = ((), (), ())
    sites: dict[str, SiteState] = Field(default_factory=dict)
    importance: dict[str, Share] = Field({}, exclude_if=lambda value: not value)
    energy_ranks: dict[str, int] = Field({}, exclude_if=lambda value: not value)


class AdaptiveFedLora(ProductSplit):
    """Settings, explained in guide/method-adaptive_fedlora.md.

    `weights` are of model, performance and semantic drift; `window` is the number of values that each quantile is over.
    A rank holds for at least `hold` rounds, including the first. The rule "continuous" instead takes
    r_min + (r_max - r_min) D^gamma, rounded up to the grid, in every round. `sign` "more" gives a site with more drift
    a larger rank, "less" a smaller one. With a semantic weight of 0 no histogram is needed, and sites are weighted by
    notes unless all of them share one.

    `slowness`, Oort's penalty for slow sites, is 0 by default: training times differ between runs, and a selection that
    depends on them cannot be repeated from the seed.

    `model_drift`: "global" is the default above; "median" is how much further a site went than the round's median;
    "direction" is 1 - cos(u_k, sum_j w_j u_j), whatever the lengths. `keep_energy`: no rank shrinks below the smallest
    that keeps this share of the common adapter's energy (0: any may). `final`: the share of the rounds, the last ones,
    in which no rank changes, in whole rounds, rounded down. `split`: see ProductSplit. The defaults are as before these
    settings existed.

    `ranks_by` "importance": within a site's bytes, which its one rank decides, each module has a rank of its own from
    `least_rank` to the largest of the grid, or the site's cap. They follow the importance that sites report, smoothed
    by `memory`; round one has none to follow. With `keep_energy` a module first gets the rank that keeps this share of
    its own energy or, where bytes are too few for all of these, no less of it than the one rank would keep.

    Measures of a round: `drift.<site>` (smoothed), `rank.<site>` (for its next round), `mean_drift` of the sites that
    took part and, except for stacks, `energy_above_smallest_rank`, as a share of the new adapter's energy; with
    `keep_energy` the rank that keeps it, `energy_rank`; `model_drift.<site>` where it is not "global"; with ranks by
    importance `moved_rank`, the largest share of a site's values that lay elsewhere than at one rank.
    """

    name: Literal["adaptive_fedlora"] = "adaptive_fedlora"
    weights: tuple[Number, Number, Number] = (0.4, 0.3, 0.3)
    quantile: float = Field(0.95, gt=0, le=1)
    window: PositiveInt = Field(200, le=10_000)
    memory: float = Field(0.7, ge=0, lt=1)
    grid: tuple[PositiveInt, ...] = Field((4, 8, 16, 32), min_length=1)
    rule: Literal["hysteresis", "continuous"] = "hysteresis"
    sign: Sign = "more"
    raise_above: float = Field(0.6, ge=0, le=1)
    lower_below: float = Field(0.3, ge=0, le=1)
    hold: PositiveInt = 2
    gamma: PositiveFloat = 1.0
    tau: PositiveFloat = 0.5
    guard: bool = True
    coverage: Scalar = 0.5
    explore: float = Field(0.9, ge=0, le=1)
    explore_decay: float = Field(0.98, gt=0, le=1)
    explore_least: float = Field(0.2, ge=0, le=1)
    slowness: float = Field(0.0, ge=0, le=8)
    model_drift: ModelDrift = Field("global", exclude_if=lambda value: value == "global")
    keep_energy: float = Field(0.0, ge=0, lt=1, exclude_if=lambda value: value == 0)
    final: float = Field(0.0, ge=0, le=1, exclude_if=lambda value: value == 0)
    ranks_by: Literal["site", "importance"] = Field("site", exclude_if=lambda value: value == "site")
    least_rank: PositiveInt = Field(2, le=1024, exclude_if=lambda value: value == 2)

    @model_validator(mode="after")
    def _settings_agree(self) -> Self:
        if min(self.weights) < 0 or sum(self.weights) <= 0:
            raise ValueError("weights must not be negative, and not all 0")
        if list(self.grid) != sorted(set(self.grid)) or self.grid[-1] > 1024:
            raise ValueError("grid must be ranks from the smallest to the largest, of 1024 at most")
        if self.lower_below > self.raise_above:
            raise ValueError("lower_below must not be above raise_above")
        return self

    @property
    def needs(self) -> frozenset[str]:
        measured = {"start_norm", "loss_before"}
        measured |= {"histogram"} if self.weights[2] > 0 else set()
        measured |= {"seconds"} if self.slowness else set()
        measured |= {"importance"} if self.ranks_by == "importance" else set()
        return super().needs | measured

    @property
    def rank_follows(self) -> Literal["nothing", "drift", "schedule"]:
        return "drift"

    @property
    def rank_levels(self) -> tuple[float, ...]:
        return (self.lower_below, self.raise_above) if self.rule == "hysteresis" else ()

    def misfit(self, setting: Setting) -> str | None:
        if self.weights[2] > 0 and setting.histogram == "none":
            return "methods.needs_histogram"
        if self.ranks_by == "importance" and setting.combine == "stack":
            return "methods.importance_needs_product"
        return super().misfit(setting)

    def refusal(self, report: Report) -> str | None:
        return "methods.no_histogram" if self.weights[2] > 0 and not report.histogram else None

    def select(self, opening: Opening) -> list[str]:
        if opening.clients is None or len(opening.seeds) <= opening.clients:
            return sorted(opening.seeds)
        selection = Selection(self.coverage, self.explore, self.explore_decay, self.explore_least, self.slowness)
        seen = AdaptiveState.model_validate(opening.state).sites
        return selection.choose(opening.seeds, seen, opening.clients, opening.round, opening.seed)

    def rank(self, site: str, opening: Opening) -> int:
        known = AdaptiveState.model_validate(opening.state).sites.get(site)
        return snapped(known.rank if known else opening.rank, self.grid, opening.caps.get(site))

    def asks(self, site: str, opening: Opening) -> dict[str, Any]:
        return {} if self.ranks_by == "site" else {"importance": True, "ranks": self._ranks(site, opening)}

    def _ranks(self, site: str, opening: Opening) -> dict[str, int]:
        """The ranks of this site's modules; empty where nothing is known that they could follow."""
        state = AdaptiveState.model_validate(opening.state)
        if not state.importance:
            return {}
        rank = opening.capped(site, self.rank(site, opening))
        least, most = min(self.least_rank, rank), opening.capped(site, max(rank, self.grid[-1]))
        return allotted(opening.modules, state.importance, rank, least, most, state.energy_ranks)

    def weigh(self, reports: Mapping[str, Report]) -> dict[str, float]:
        return normalised(specialty_weights(reports, self.tau))

    def combiner(self, combine: Combining) -> Combiner:
        return combine_product_by_level if self.guard and combine == "product" else super().combiner(combine)

    def finish(self, closed: Combine, sources: Sources, combination: Combination) -> Combination:
        adapter, found, least = combination.adapter, self._drifts(closed, sources), 0
        if combination.frozen is None:
            if self.guard:
                adapter = with_unreached(adapter, sources.start, of_each(max, closed.by_module.values(), adapter))
            least = algebra.rank_of_energy(adapter, self.keep_energy) if self.keep_energy else 0
        state = self._next_state(closed, found, least, adapter)
        drifts = {site: one.drift for site, one in state.sites.items() if one.drift is not None}
        measures = {f"drift.{site}": drift for site, drift in drifts.items()}
        measures |= {f"rank.{site}": float(one.rank) for site, one in state.sites.items()}
        if now := [drift for site, drift in drifts.items() if site in closed.reports]:
            measures["mean_drift"] = sum(now) / len(now)
        if self.model_drift != "global":
            measures |= {f"model_drift.{site}": one.model for site, one in found.items()}
        if combination.frozen is None:
            _, above = algebra.shrink(adapter, of_each(min, closed.by_module.values(), adapter))
            measures["energy_above_smallest_rank"] = above
            measures |= {"energy_rank": float(least)} if self.keep_energy else {}
            adapter = self.as_split(adapter)
        if self.ranks_by == "importance":
            moved = (moved_share(adapter.shapes, one.rank, one.by_module) for one in closed.plans.values())
            measures["moved_rank"] = max(moved)
        return replace(combination, adapter=adapter, state=state.model_dump(mode="json"), measures=measures)

    def _drifts(self, closed: Combine, sources: Sources) -> dict[str, Drift]:
        """The round's drifts, with the model's as the settings want it."""
        if self.model_drift == "global":
            return closed.drifts
        norms = {site: report.update_norm for site, report in closed.reports.items()}
        usual = median(norms.values())
        model = {site: excess_drift(norm, usual) for site, norm in norms.items()}
        if self.model_drift == "direction":
            order = sorted(closed.updates, key=lambda site: (closed.updates[site].sha256, site))
            updates = [(closed.by_module[site], sources.updates[site]) for site in order]
            products = products_of_changes(sources.start, updates, "best")
            apart = direction_drift(products, [closed.weights[site] for site in order])
            model = dict(zip(order, apart, strict=True))
        return {site: one.model_copy(update={"model": model[site]}) for site, one in closed.drifts.items()}

    def _next_state(self, closed: Combine, found: Mapping[str, Drift], least: int, common: Adapter) -> AdaptiveState:
        before = AdaptiveState.model_validate(closed.state)
        drifts = [components(found[site]) for site in sorted(found)]
        model, performance, semantic = (
            (*past, *(one for one in now if one is not None))[-self.window :]
            for past, now in zip(before.recent, zip(*drifts, strict=True), strict=True)
        )
        after = AdaptiveState(recent=(model, performance, semantic), sites=before.sites)
        sites = before.sites | {site: self._next_site(site, closed, found[site], after, least) for site in found}
        worth = self._next_worth(closed, before, common)
        return after.model_copy(update={"sites": dict(sorted(sites.items())), **worth})

    def _next_worth(self, closed: Combine, before: AdaptiveState, common: Adapter) -> dict[str, dict[str, Any]]:
        """Fields of the state that the ranks of modules follow; as before where no rank may change."""
        if self.ranks_by == "site" or self._is_final(closed.round + 1, closed.rounds):
            return {"importance": before.importance, "energy_ranks": before.energy_ranks}
        told = {site: report.importance for site, report in closed.reports.items()}
        now = pooled_importance(told, closed.weights)
        smooth = {name: smoothed(before.importance.get(name), one, self.memory) for name, one in now.items()}
        modules = common.items() if self.keep_energy else ()
        kept = {name: algebra.rank_of_energy(Adapter({name: module}), self.keep_energy) for name, module in modules}
        return {"importance": {name: min(1.0, one) for name, one in smooth.items()}, "energy_ranks": kept}

    def _next_site(self, site: str, closed: Combine, found: Drift, state: AdaptiveState, least: int) -> SiteState:
        report, known, rank = closed.reports[site], state.sites.get(site), closed.ranks[site]
        now = drift_number(found, state.recent, self.weights, self.quantile)
        before = known.drift if known else None
        drift = before if now is None else smoothed(before, now, self.memory)
        # The plan has a smaller rank than the state where the site's cap has been lowered since.
        since = known.since if known and known.rank == rank else closed.round
        cap = closed.caps.get(site)
        planned = self._next_rank(rank, drift, closed.round + 1 - since, cap)
        if planned < rank and least:
            planned = max(planned, min(rank, snapped(least, self.grid, cap)))
        if self._is_final(closed.round + 1, closed.rounds):
            planned = rank
        return SiteState(
            rank=planned,
            since=since if planned == rank else closed.round + 1,
            drift=drift,
            round=closed.round,
            notes=report.notes,
            loss=report.loss_before or 0.0,
            seconds=report.seconds if self.slowness else 0.0,
            histogram=report.histogram,
        )

    def _is_final(self, number: int, rounds: int) -> bool:
        share = Fraction(repr(self.final))  # as written in decimals
        return number > rounds - math.floor(share * rounds)

    def _next_rank(self, rank: int, drift: float | None, held: int, cap: int | None) -> int:
        if drift is None:
            return rank
        if self.rule == "continuous":
            return continuous_rank(drift, self.grid, self.gamma, self.sign, cap)
        if held < self.hold:
            return rank
        return Steps(self.grid, self.raise_above, self.lower_below, self.sign).next_rank(rank, drift, cap)


def with_unreached(adapter: Adapter, start: ModuleSource, reaches: Ranks) -> Adapter:
    """The adapter plus the part of the start above the largest rank of the round, which no site could train.

    Without it, a round of sites of small rank would forget everything that sites of large rank have learned.
    """

    def whole(name: str, module: Module) -> Module:
        before, reach = start.module(name), rank_in(reaches, name)
        if before.rank <= min(reach, *before.shape):
            return module
        seen = algebra.module_cut(before, reach, "best")
        return algebra.module_truncated_sum([(1.0, module), (1.0, before), (-1.0, seen)], before.rank)[0]

    return Adapter({name: whole(name, module) for name, module in adapter.items()})


def specialty_weights(reports: Mapping[str, Report], tau: float) -> dict[str, float]:
    """n_k exp(-JSD_2(P_k || Pbar) / tau), not normalised; n_k alone if any site shares no histogram.

    Pbar is the mean of the sites' distributions, weighted by notes.
    """
    notes = {site: float(report.notes) for site, report in reports.items()}
    histograms = {site: report.histogram for site, report in reports.items()}
    pooled = pooled_histogram(histograms, notes)
    apart = {site: semantic_drift(histogram, pooled) for site, histogram in histograms.items()}
    if None in apart.values():
        return notes
    return {site: notes[site] * math.exp(-(apart[site] or 0.0) / tau) for site in notes}
