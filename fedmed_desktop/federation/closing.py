# SPDX-License-Identifier: Apache-2.0
"""What closes a round: the terms, the combination and what the method makes of it.

The coordinator and the lab run this. Pure in its inputs: carried out again after a crash it gives the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..lora.module import ModuleSource
from .combine import Goal, Term
from .methods import Closing, MethodState, Outcome
from .rounds import Combine
from .spec import FederationSpec


def close_round(
    due: Combine,
    spec: FederationSpec,
    sources: Mapping[str, ModuleSource],
    start: ModuleSource,
    frozen: ModuleSource | None,
    state: MethodState,
) -> tuple[Outcome, float]:
    """What the next round starts from, and the residual (see combine.Combination).

    `sources` holds each site's adapter part by site, completed with the start's factors where it is a half blob. Raises
    UserFacingError where updates do not fit together.
    """
    method = spec.method
    reports = {site: update.report for site, update in due.updates.items()}
    kept = method.start_weight(reports)
    terms = [Term(update.sha256, (1 - kept) * due.weights[site], sources[site]) for site, update in due.updates.items()]
    if kept:
        terms.append(Term(due.start, kept, start))
    goal = Goal(
        rank=max(due.ranks.values()),
        frozen=frozen,
        frozen_rank=spec.lora.frozen_rank,
        seed=spec.site_seed("", due.round + 1),
    )
    combination = method.combiner(spec.combine)(terms, goal)
    closing = Closing(due.round, combination, reports, due.weights, due.ranks, start, state)
    return method.finish(closing), combination.residual
