# SPDX-License-Identifier: Apache-2.0
"""Values of a round that opens, closes or has been combined, derived from the rounds' state. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from . import masked
from .actions import Combine
from .drift import measure_drift
from .inputs import RoundCombined
from .methods import Opening
from .plan import Plan
from .record import RoundRecord, RoundsState, SiteRecord
from .screened import recent_norms, weights_of
from .spec import FederationSpec


def opening(spec: FederationSpec, state: RoundsState) -> Opening:
    """The round that opens now, for the method to plan."""
    return Opening(
        round=state.round,
        rounds=spec.rounds,
        start=state.start,
        rank=state.rank,
        training=spec.training,
        modules=spec.base.modules,
        cut=spec.cut,
        seeds={site: spec.site_seed(site, state.round) for site in masked.asked(spec, state)},
        seed=spec.site_seed("", state.round),
        frozen=state.frozen,
        control=state.control,
        references=state.references,
        caps=state.caps,
        clients=None if state.round > spec.rounds else spec.round.clients,
        transfer=spec.transfer,
        masking=spec.masking,
        differences=state.differences,
        cuts=state.cuts,
        state=state.method,
    )


def asked_again(spec: FederationSpec, state: RoundsState) -> dict[str, Plan]:
    """Plans of a round that is asked again: where too few sites are left of it for a quorum, since the others were shut
    out, sites that have come since, or were not asked, take their places.
    """
    if len(state.plans) >= masked.quorum(spec, state):
        return state.plans
    plans = spec.method.plan(replace(opening(spec, state), clients=None))
    others = [site for site in sorted(plans) if site not in state.plans and masked.may_come(state, site)]
    free = len(others) if spec.round.clients is None else spec.round.clients - len(state.plans)
    return state.plans | {site: plans[site] for site in others[:free]}


def closed(spec: FederationSpec, state: RoundsState) -> Combine:
    """The round that closes now, with everything needed to combine it."""
    reports = state.reports()
    weights = spec.method.weigh(reports)
    if spec.client_privacy:  # a site that weighed more would need more noise to hide it
        weights = dict.fromkeys(reports, 1 / len(reports))
    drifts, references = measure_drift(reports, weights, state.references)
    window = spec.screening.window
    recent = [one.screening for one in state.history[-window:]]  # each round has one at least that counted
    return Combine(
        round=state.round,
        rounds=spec.rounds,
        rank=state.rank,
        start=state.start,
        frozen=state.frozen,
        control=state.control,
        lost=state.lost,
        updates=state.updates,
        reports=reports,
        plans={site: state.plans[site] for site in state.updates},
        weights=weights,
        drifts=drifts,
        references=references,
        sites=len({*state.sites, *state.counted_sites()}),
        caps=state.caps,
        state=state.method,
        recent_norms=recent_norms(recent, window) if spec.screening.looks_at_norms else (),
        opening=masked.opening(spec, state),
    )


def record(state: RoundsState, due: Combine, given: RoundCombined, now: datetime) -> RoundRecord:
    """The record of a round that has just been combined."""
    assert state.opened is not None
    weights = weights_of(given.screening, due.weights)
    sites = {
        site: SiteRecord(
            update=update,
            sha256=update.sha256,
            weight=weights[site],
            drift=due.drifts[site],
            rank=due.ranks[site],
            effective_rank=update.report.effective_rank,
            shared_loss=due.reports[site].shared_loss,
        )
        for site, update in sorted(due.updates.items())
    }
    return RoundRecord(
        round=due.round,
        attempt=state.attempt,
        opened=state.opened,
        closed=now,
        reason=state.reason,
        start=due.start,
        adapter=given.adapter,
        frozen=given.frozen,
        control=given.control,
        measures=given.measures,
        sites=sites,
        declined=dict(state.declined),
        missing=tuple(state.unanswered()),
        residual=given.residual,
        norm=given.norm,
        effective_rank=given.effective_rank,
        screening=given.screening,
        difference=given.difference,
        rounding=given.rounding,
        lost=given.lost,
        cuts=given.cuts,
    )
