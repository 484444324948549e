# SPDX-License-Identifier: Apache-2.0
"""Decisions of a person who hosts on the rounds: what keeps one from being carried out, and a pause. Pure.

A pause lets the rounds stand still: nothing is opened, closed or missed. What sites were asked they go on with, and
what they send or decline counts. A combination that runs comes to its end, and the next round waits. Once a host
resumes, the deadlines of the open round are later by the time that it stood, and operators who were asked meanwhile
have their whole time. A round that lacks its quorum stands too, and is resumed otherwise (`Rounds`): its sites are
asked once more.

Publishing ends the federation with the common adapter of its last closed round. That adapter is what sites could fetch
anyway, as after each round: what is new is that no round follows. Updates of the open round keep their receipts and are
combined with nothing.
"""

from __future__ import annotations

from datetime import datetime

from ..errors import UserFacingError
from ..overview import ActName
from . import masked
from .actions import Offer, Step, TellMasking
from .inputs import ClosedByHost, Decided, PausedByHost, Published, Resumed
from .record import Held, RoundsState
from .spec import FederationSpec


def objection(spec: FederationSpec, state: RoundsState, given: Decided) -> UserFacingError | None:
    """Reason why a decision cannot be carried out now; None if it can."""
    if state.phase == "finished":
        return UserFacingError("hosting.finished")
    match given:
        case PausedByHost():
            return UserFacingError("hosting.is_paused") if _stands(state) else None
        case Resumed():
            return None if _stands(state) else UserFacingError("hosting.not_paused")
        case ClosedByHost():
            return _not_closed(spec, state, given.round, given.attempt)
        case Published():
            return _not_published(state, given.adapter)


def refusals(spec: FederationSpec, state: RoundsState) -> dict[ActName, str]:
    """Acts that would be refused now, with the code of the reason; for a face, which need not offer them."""
    if state.phase == "finished":
        return dict.fromkeys(("pause", "resume", "close", "publish"), "hosting.finished")
    found: dict[ActName, UserFacingError | None] = {
        "pause": UserFacingError("hosting.is_paused") if _stands(state) else None,
        "resume": None if _stands(state) else UserFacingError("hosting.not_paused"),
        "close": _not_closed(spec, state, state.round, state.attempt),
        "publish": _not_published(state, state.start),
    }
    return {act: error.code for act, error in found.items() if error}


def _stands(state: RoundsState) -> bool:
    return state.held is not None or state.phase == "paused"


def _not_closed(spec: FederationSpec, state: RoundsState, number: int, attempt: int) -> UserFacingError | None:
    if (number, attempt) != (state.round, state.attempt):
        return UserFacingError("hosting.other_round", round=state.round, attempt=state.attempt)
    if state.held:
        return UserFacingError("hosting.is_paused")
    if state.phase == "combining":
        return UserFacingError("hosting.combining", round=state.round)
    if state.phase == "gathering":
        sites, quorum = len(state.sites), spec.round.quorum
        return UserFacingError("hosting.too_few_sites", sites=sites, quorum=quorum) if sites < quorum else None
    updates, quorum = len(state.updates), masked.quorum(spec, state)
    if state.round <= spec.rounds and updates < quorum:
        return UserFacingError("hosting.no_quorum", round=state.round, updates=updates, quorum=quorum)
    return None


def _not_published(state: RoundsState, adapter: str) -> UserFacingError | None:
    if state.due:  # a masked round that waits for shares, which may never come, combines nothing yet
        return UserFacingError("hosting.combining", round=state.round)
    if not state.closed:
        return UserFacingError("hosting.nothing_closed")
    return UserFacingError("hosting.other_adapter") if adapter != state.start else None


def hold(state: RoundsState, now: datetime) -> None:
    """The rounds stand still from now on; while they combine, once that is done."""
    state.held = Held(phase=state.phase, since=now)
    if state.phase != "combining":
        state.phase, state.reason = "paused", "host"


def hold_next(state: RoundsState) -> None:
    """The combination has ended, and the next round is not opened yet."""
    state.phase, state.reason, state.closes = "paused", "host", None
    drop_open(state)
    state.updates = {}


def drop_open(state: RoundsState) -> None:
    """Nobody is asked or waited for any more. Updates stay: their receipts hold."""
    state.plans, state.declined, state.awaiting, state.shared_losses = {}, {}, {}, {}
    state.masking = None


def go_on(state: RoundsState, now: datetime, step: Step) -> Held:
    """The rounds go on where they stood; a round that is open asks those that have not answered."""
    held, state.held, state.resumed = state.held, None, now
    assert held is not None
    if state.phase == "combining":
        return held
    state.reason, stood = "", now - held.since
    if held.phase == "gathering":
        state.phase = "gathering"
        state.gathering_since = state.gathering_since and min(now, state.gathering_since + stood)
    elif held.phase in ("open", "evaluating"):
        state.phase = held.phase
        state.closes = state.closes and state.closes + stood
        state.awaiting = {site: min(now, at + stood) for site, at in state.awaiting.items()}
        masked.wait_again(state, now)
        unanswered = state.unanswered()
        step.actions += [Offer(site, state.plans[site]) for site in unanswered]
        step.actions += [TellMasking(site) for site in unanswered if state.masking]
        masked.look(state, now, step)
    return held
