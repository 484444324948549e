# SPDX-License-Identifier: Apache-2.0
"""Aggregation of a closed round: a pure function of values, which the coordinator and the lab both run.

It may run on any thread, and again after a crash: the same values and blobs give the same bits.
"""

from __future__ import annotations

import math

from threadpoolctl import threadpool_limits

from ..bounds import within
from ..lora import algebra
from ..lora.algebra import CutSource
from .actions import Combine
from .combine import Combination, Goal, Sources, Term
from .inputs import RoundCombined
from .spec import FederationSpec


def combine(due: Combine, spec: FederationSpec, sources: Sources) -> Combination:
    """Combines the updates and lets the method finish the round; reads `sources` one module at a time.

    Raises UserFacingError where updates do not fit together or a source cannot be read.
    """
    method = spec.method
    of_starts = method.start_weights(due.reports)
    rest = 1 - math.fsum(of_starts.values())
    terms = [Term(one.sha256, rest * due.weights[site], sources.updates[site]) for site, one in due.updates.items()]
    for rank in sorted({due.ranks[site] for site in of_starts}):
        weight = math.fsum(one for site, one in of_starts.items() if due.ranks[site] == rank)
        terms.append(Term(due.start, weight, CutSource(sources.start, rank, spec.cut)))
    goal = Goal(
        rank=max(due.ranks.values()),
        frozen=sources.frozen,
        frozen_rank=spec.lora.frozen_rank,
        seed=spec.site_seed("", due.round + 1),
    )
    combination = method.combiner(spec.combine)(terms, goal)
    with threadpool_limits(limits=1):  # the last bits must not depend on the number of threads
        return method.finish(due, sources, combination)


def combined(due: Combine, combination: Combination) -> RoundCombined:
    """The input for the rounds, to be fed once the combination's adapters are stored."""
    adapter, frozen, control = combination.adapter, combination.frozen, combination.control
    with threadpool_limits(limits=1):  # these figures go into the ledger, so their bits must not vary either
        norm, effective_rank = algebra.norm(adapter), algebra.effective_rank(adapter)
    return RoundCombined(
        round=due.round,
        adapter=adapter.sha256,
        frozen=frozen.sha256 if frozen is not None else due.frozen,
        control=control.sha256 if control is not None else due.control,
        state=combination.state,
        measures={name: within(value) for name, value in combination.measures.items()},
        residual=within(combination.residual),
        norm=within(norm),
        effective_rank=effective_rank,
    )
