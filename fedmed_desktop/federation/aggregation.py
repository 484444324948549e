# SPDX-License-Identifier: Apache-2.0
"""Aggregation of a closed round: a pure function of values, which the coordinator and the lab both run.

It may run on any thread, and again after a crash: the same values and blobs give the same bits.
"""

from __future__ import annotations

import math
from dataclasses import replace

from ..arrays import one_thread
from ..bounds import within
from ..lora import Adapter, algebra
from ..lora.algebra import CutSource
from .actions import Combine
from .combine import Combination, Goal, Sources, Term
from .inputs import RoundCombined
from .methods import Opening
from .methods.method import ServerStep
from .noised import Noise, combine_noised
from .screened import Screening, weights_of
from .screening import screen, terms_of, trimmed_each_end
from .spec import FederationSpec
from .trimming import combine_trimmed
from .way_down import Rounded, rounded


def combine(due: Combine, spec: FederationSpec, sources: Sources, noise: Noise | None = None) -> Combination:
    """Combines the updates and lets the method finish the round; reads `sources` one module at a time.

    Updates are screened first, where the specification wants that. `noise`: where it protects whole sites, and only
    there. Raises UserFacingError where updates do not fit together or a source cannot be read.
    """
    private = spec.client_privacy
    if (private is None) != (noise is None):
        raise ValueError("noise goes with client_privacy, and client_privacy with noise")
    if private is not None and noise is not None:
        step = spec.method.server_step if isinstance(spec.method, ServerStep) else 1.0
        combination = combine_noised(due, private, sources, noise, step)
    else:
        combination = _weighed(due, spec, sources)
    with one_thread():  # the last bits must not depend on the number of threads
        finished = spec.method.finish(due, sources, replace(combination, measures={}))
        finished = replace(finished, measures={**finished.measures, **combination.measures})
        if spec.transfer.cut:
            return replace(finished, cuts=cut_to_ranks(finished, due, spec))
        return _rounded(finished, sources, spec) if spec.transfer.down else finished


def _weighed(due: Combine, spec: FederationSpec, sources: Sources) -> Combination:
    """The weighted combination, which the method has not finished yet."""
    method, screening = spec.method, screen(due, spec, sources)
    weights = weights_of(screening, due.weights)
    counted = {site: one for site, one in due.reports.items() if screening is None or screening.sites[site].counts}
    of_starts = method.start_weights(counted)
    rest = 1 - math.fsum(of_starts.values())
    terms = terms_of({site: rest * weight for site, weight in weights.items()}, due, spec, sources, screening)
    for rank in sorted({due.ranks[site] for site in of_starts}):
        weight = math.fsum(one for site, one in of_starts.items() if due.ranks[site] == rank)
        terms.append(Term(due.start, weight, CutSource(sources.start, rank, spec.cut)))
    goal = Goal(
        rank=None if any(plan.ranks for plan in due.plans.values()) else max(due.ranks.values()),
        frozen=sources.frozen,
        frozen_rank=spec.lora.frozen_rank,
        seed=spec.site_seed("", due.round + 1),
    )
    if screening and spec.screening.robust == "trimmed_mean" and "trimmed_mean" not in screening.too_few:
        return _trimmed(due, spec, terms, screening)
    return replace(method.combiner(spec.combine)(terms, goal), screening=screening)


def _rounded(combination: Combination, sources: Sources, spec: FederationSpec) -> Combination:
    """The combination whose adapter is what sites make of a packed difference from the start, or travels whole."""
    start = Adapter({name: sources.start.module(name) for name in sources.start.names})
    way_down = rounded(combination.adapter, start, sources.lost, spec.transfer, spec.cut)
    return replace(combination, adapter=way_down.adapter, way_down=way_down)


def cut_to_ranks(combination: Combination, due: Combine, spec: FederationSpec) -> dict[int, Adapter]:
    """The new common adapter at each smaller rank that the next round's sites can have, as far as they are known now.

    The others, such as one that has just named a smaller rank, fetch it whole and cut it themselves.
    """
    method, adapter = spec.method, combination.adapter
    sites = sorted({*due.caps, *due.reports})
    opening = Opening(
        round=due.round + 1,
        rounds=due.rounds,
        start=adapter.sha256,
        rank=due.rank,
        training=spec.training,
        seeds=dict.fromkeys(sites, 0),
        cut=spec.cut,
        caps=due.caps,
        state=combination.state,
    )
    largest, cut = max(adapter.ranks.values()), method.cut(opening)
    ranks = sorted({opening.capped(site, method.rank(site, opening)) for site in sites})
    return {
        rank: adapter.map(lambda module: algebra.module_cut(module, rank, cut))  # noqa: B023
        for rank in ranks
        if rank < largest and opening.round <= opening.rounds
    }


def _trimmed(due: Combine, spec: FederationSpec, terms: list[Term], screening: Screening) -> Combination:
    """The trimmed mean of the one factor that all sites have trained, and what each site lost by it."""
    (factor,) = {factor for plan in due.plans.values() for factor in plan.shared}
    ends = trimmed_each_end(len(terms), spec.screening.trim)
    combination, lost = combine_trimmed(terms, ends, factor)
    sites = {
        site: screening.sites[site].model_copy(update={"trimmed": share})
        for site, share in zip(due.updates, lost, strict=True)
    }
    return replace(combination, screening=screening.model_copy(update={"sites": dict(sorted(sites.items()))}))


def combined(due: Combine, combination: Combination) -> RoundCombined:
    """The input for the rounds, to be fed once the combination's adapters are stored."""
    adapter, frozen, control = combination.adapter, combination.frozen, combination.control
    way_down = combination.way_down or Rounded(adapter)
    with one_thread():  # these figures go into the ledger, so their bits must not vary either
        norm, effective_rank = algebra.norm(adapter), algebra.effective_rank(adapter)
    return RoundCombined(
        round=due.round,
        adapter=adapter.sha256,
        frozen=frozen.sha256 if frozen is not None else due.frozen,
        control=control.sha256 if control is not None else due.control,
        state=combination.state,
        measures={name: within(value) for name, value in combination.measures.items()},
        residual=None if combination.residual is None else within(combination.residual),
        norm=within(norm),
        effective_rank=effective_rank,
        screening=combination.screening,
        difference=way_down.difference,
        lost=way_down.lost.sha256 if way_down.lost is not None else None,
        rounding=None if way_down.share is None else within(way_down.share),
        whole_because=way_down.whole_because,
        cuts={rank: one.sha256 for rank, one in combination.cuts.items()},
    )
