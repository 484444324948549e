# SPDX-License-Identifier: Apache-2.0
"""Masked rounds at the coordinator: what the rounds do where updates are masked (secure_aggregation). Pure.

    keys of all -> shares of all -> masked updates -> round closed -> agreements -> shares of secrets -> combination

Keys and shares are exchanged while sites train. Who has not sent them in `exchange_minutes` sits the round out; where
shares are missing the others begin anew, since sites mask with all that were named to them or not at all. Once
the round is closed all that mask are asked to open the sum, also those whose update is not in it; the round waits for
as many as the threshold says, however long they take, since nobody else can open it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from . import inputs
from .actions import Step, TellMasking
from .record import RoundsState
from .secure_aggregation import LEAST_SITES, Layout, Opening, agrees, fits, opens
from .secure_aggregation.exchange import Exchange
from .spec import FederationSpec


def asked(spec: FederationSpec, state: RoundsState) -> list[str]:
    """Sites that may be asked in the round that opens: those that began together, where updates are masked."""
    if not spec.secure_aggregation.on or state.round > spec.rounds:
        return state.sites
    return [site for site in state.sites if site in state.founders]


def begin(spec: FederationSpec, state: RoundsState, now: datetime) -> None:
    """Begins the masking of a round that opens."""
    trains = spec.secure_aggregation.on and state.round <= spec.rounds
    state.masking = Exchange(since=now) if trains else None


def wait_again(state: RoundsState, now: datetime) -> None:
    """Restarts the wait for sites without an update, where a round that lacks updates is asked again."""
    if state.masking:
        state.masking = state.masking.model_copy(update={"since": now})


def may_come(state: RoundsState, site: str) -> bool:
    """Tells whether a site that the open round does not ask could still take part: secrets are shared once."""
    among = state.masking and (state.masking.members or state.masking.roster)
    return not among or site in among


def layout(spec: FederationSpec, state: RoundsState) -> Layout:
    """The layout of the open round's updates; all plans have the same."""
    plan = next(iter(state.plans.values()))
    assert plan.masking is not None
    return Layout.of(plan.start, spec.base.modules, plan.shared, plan.rank, plan.masking)


def quorum(spec: FederationSpec, state: RoundsState) -> int:
    """Number of updates a round needs to be combined."""
    masking = spec.masking
    if masking is None or state.masking is None:
        return spec.round.quorum
    return max(spec.round.quorum, state.masking.least(masking))


def ends(spec: FederationSpec, state: RoundsState) -> datetime | None:
    """Time when the wait for keys or shares ends; None where nothing would follow."""
    exchange = state.masking
    if exchange is None or exchange.members or state.phase != "open":
        return None
    if not exchange.roster and len(exchange.keys) < LEAST_SITES:
        return None
    return exchange.since + timedelta(minutes=spec.secure_aggregation.exchange_minutes)


def time_passed(spec: FederationSpec, state: RoundsState, now: datetime, step: Step) -> None:
    """Goes on with the sites that are there, once the others have had their time."""
    due, exchange = ends(spec, state), state.masking
    if due is None or exchange is None or now < due:
        return
    step.changed = True
    masking = spec.masking
    assert masking is not None
    if not exchange.roster:
        _fix_roster(state, exchange, exchange.keys, now, step)
        return
    # Nobody can have masked anything: all begin anew, with those that come back where too few have shared.
    state.masking = Exchange(number=exchange.number + 1, since=now, federation=exchange.federation)
    enough = len(exchange.boxes) >= exchange.least(masking)
    _leave_out(state, tuple(exchange.boxes if enough else state.plans), step)


def refuses(state: RoundsState, site: str) -> bool:
    """Tells whether an update of this site cannot count, since it does not mask with the others."""
    return state.masking is not None and site not in state.masking.members


def heard(spec: FederationSpec, state: RoundsState, given: inputs.Masked, now: datetime, step: Step) -> None:
    """Takes what a site says. What comes twice, late or out of order changes nothing."""
    exchange = state.masking
    if exchange is None or given.round != state.round:
        return
    match given:
        case inputs.KeysArrived(site=site) if _is_now(exchange, given) and not exchange.roster:
            if site in state.plans and site not in exchange.keys:
                keys = {**exchange.keys, site: given.keys}
                _becomes(state, exchange, step, keys=keys, federation=given.federation)
        case inputs.SharesArrived(site=site) if _is_now(exchange, given) and exchange.roster and not exchange.members:
            if site in exchange.roster and given.boxes.keys() == set(exchange.roster) - {site}:
                _becomes(state, exchange, step, boxes={**exchange.boxes, site: given.boxes})
        case inputs.AgreementArrived(site=site) if exchange.survivors and site in exchange.members:
            _agreed(spec, state, exchange, given, step)
        case inputs.RevealArrived(site=site) if site in exchange.agreements and site not in exchange.reveals:
            found = opening(spec, state)
            if state.due is None and found and fits(found, site, given.reveal):
                _becomes(state, exchange, step, reveals={**exchange.reveals, site: given.reveal})
    if step.changed:
        look(state, now, step)


def look(state: RoundsState, now: datetime, step: Step) -> None:
    """Goes on as soon as everybody who is waited for has come."""
    exchange = state.masking
    if exchange is None or exchange.members or state.phase != "open":
        return
    if exchange.roster:
        if exchange.boxes.keys() == set(exchange.roster):
            _becomes(state, exchange, step, members=exchange.roster)
            _tell(exchange.roster, step)
    elif len(exchange.keys) >= LEAST_SITES and {*state.plans} - state.declined.keys() <= exchange.keys.keys():
        _fix_roster(state, exchange, exchange.keys, now, step)


def close(state: RoundsState, step: Step) -> None:
    """The round is closed: who masked is asked to open the sum of what has come."""
    exchange = state.masking
    assert exchange is not None
    _becomes(state, exchange, step, survivors=tuple(sorted(state.updates)))
    _tell(exchange.members, step)


def opening(spec: FederationSpec, state: RoundsState) -> Opening | None:
    """Everything that is known for opening the sum; None where there is none to open."""
    exchange, masking = state.masking, spec.masking
    if exchange is None or masking is None or not exchange.survivors:
        return None
    return exchange.opening(state.round, layout(spec, state).sha256, masking)


def can_open(spec: FederationSpec, state: RoundsState) -> bool:
    """Tells whether the shares that are there open the sum; wrong ones among them only cost time."""
    found = opening(spec, state)
    return found is not None and opens(found)


def _agreed(
    spec: FederationSpec, state: RoundsState, exchange: Exchange, given: inputs.AgreementArrived, step: Step
) -> None:
    masking, session = spec.masking, exchange.session(state.round, layout(spec, state).sha256)
    assert masking is not None
    identity = exchange.keys[given.site].identity
    if given.site in exchange.agreements or not agrees(identity, session, exchange.survivors, given.signature):
        return
    agreements = {**exchange.agreements, given.site: given.signature}
    _becomes(state, exchange, step, agreements=agreements)
    if len(agreements) == exchange.threshold(masking):
        _tell(agreements, step)
    elif len(agreements) > exchange.threshold(masking):
        _tell([given.site], step)


def _is_now(exchange: Exchange, given: inputs.KeysArrived | inputs.SharesArrived) -> bool:
    return given.number == exchange.number


def _fix_roster(state: RoundsState, exchange: Exchange, there: Iterable[str], now: datetime, step: Step) -> None:
    roster = tuple(sorted(there))
    _becomes(state, exchange, step, roster=roster, since=now)
    _leave_out(state, roster, step)


def _leave_out(state: RoundsState, among: tuple[str, ...], step: Step) -> None:
    """The round goes on with these alone; the others are told so."""
    left_out = [site for site in state.plans if site not in among]
    for site in left_out:
        state.plans.pop(site)
        state.awaiting.pop(site, None)
    _tell([*among, *left_out], step)


def _becomes(state: RoundsState, exchange: Exchange, step: Step, **changes: object) -> None:
    step.changed = True
    state.masking = exchange.model_copy(update=changes)


def _tell(sites: Iterable[str], step: Step) -> None:
    step.actions += [TellMasking(site) for site in sorted(sites)]
