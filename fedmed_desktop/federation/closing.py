# SPDX-License-Identifier: Apache-2.0
"""What closes a round: the terms, the combination and what the method makes of it.

The coordinator and the lab run this. Pure in its inputs: carried out again after a crash it gives the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from ..lora.algebra import CutSource
from ..lora.module import ModuleSource
from .actions import Combine
from .combine import Goal, Term
from .drift import measure_drift
from .methods import Closing, Outcome
from .record import RoundsState
from .spec import FederationSpec


def close_round(
    due: Combine,
    spec: FederationSpec,
    sources: Mapping[str, ModuleSource],
    start: ModuleSource,
    frozen: ModuleSource | None,
    control: ModuleSource | None,
    controls: Mapping[str, ModuleSource],
    state: RoundsState,
) -> tuple[Outcome, float]:
    """What the next round starts from, and the residual (see combine.Combination).

    `sources` holds each site's adapter part by site, completed with the start's factors where it is a half blob, and
    `controls` its control part where the method has one. Raises UserFacingError where updates do not fit together.
    """
    method = spec.method
    reports = state.reports()
    of_starts = method.start_weights(reports)
    rest = 1 - math.fsum(of_starts.values())
    terms = [Term(update.sha256, rest * due.weights[site], sources[site]) for site, update in due.updates.items()]
    for rank in sorted({due.ranks[site] for site in of_starts}):
        weight = math.fsum(one for site, one in of_starts.items() if due.ranks[site] == rank)
        terms.append(Term(due.start, weight, CutSource(start, rank, spec.cut)))
    goal = Goal(
        rank=max(due.ranks.values()),
        frozen=frozen,
        frozen_rank=spec.lora.frozen_rank,
        seed=spec.site_seed("", due.round + 1),
    )
    combination = method.combiner(spec.combine)(terms, goal)
    closing = Closing(
        round=due.round,
        rounds=spec.rounds,
        rank=state.rank,
        combination=combination,
        reports=reports,
        weights=due.weights,
        ranks=due.ranks,
        drifts=measure_drift(reports, due.weights, state.references)[0],
        start=start,
        sources=sources,
        control=control,
        controls=controls,
        sites=len(state.sites),
        caps=state.caps,
        state=state.method,
    )
    return method.finish(closing), combination.residual
