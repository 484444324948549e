# SPDX-License-Identifier: Apache-2.0
"""Rounds of a federation as a sans-I/O state machine: inputs and the time in, actions and events out.

It reads no clock, opens no file and starts no thread. The coordinator, the lab and the tests drive the same code.
Every action is idempotent by (site, round, sha256). The same inputs with the same times, fed to a fresh machine or to
one loaded from a dump, give the same state to the last bit.
"""

from __future__ import annotations

from datetime import datetime

from .. import events
from . import decided, masked
from .actions import Acknowledge, Combine, Offer, Reject, Step, TellMasking
from .deadlines import ends, passed
from .inputs import (
    AwaitsApproval,
    ClosedByHost,
    Decided,
    Input,
    Masked,
    PausedByHost,
    Published,
    Resumed,
    RoundCombined,
    SiteDeclined,
    SiteJoined,
    SiteShutOut,
    TimePassed,
    UpdateArrived,
)
from .plan import Plan
from .record import RoundsState
from .refusing import refusal
from .round_values import asked_again, closed, opening, record
from .screened import weights_of
from .screening_events import screened
from .spec import FederationSpec
from .update import Update
from .values import Sha256
from .way_down import came_whole, chained


class Rounds:
    """The state machine of one federation. Not thread-safe; owned by one event loop."""

    def __init__(self, spec: FederationSpec, dump: str | None = None) -> None:
        self.spec = spec
        self.state = (
            RoundsState.model_validate_json(dump)
            if dump is not None
            else RoundsState(start=spec.base.initial, rank=spec.lora.rank)
        )

    def dump(self) -> str:
        """The whole state as JSON; equal states give equal text."""
        return self.state.model_dump_json()

    def handle(self, given: Input, now: datetime) -> Step:
        """Takes one input at UTC time `now`."""
        step = Step()
        match given:
            case SiteJoined():
                self._joined(given, now, step)
            case AwaitsApproval():
                self._awaits_approval(given, now, step)
            case UpdateArrived():
                self._update(given, now, step)
            case SiteDeclined():
                self._declined(given, now, step)
            case SiteShutOut():
                self._shut_out(given, now, step)
            case TimePassed():
                self._time(given, now, step)
            case RoundCombined():
                self._combined(given, now, step)
            case Resumed() | PausedByHost() | ClosedByHost() | Published():
                self._decided(given, now, step)
            case _:
                self._masked(given, now, step)
        return step

    def plan_for(self, site: str) -> Plan | None:
        """The plan that this site has not answered yet; sent again whenever it connects."""
        if self.state.phase in ("open", "evaluating") and site in self.state.unanswered():
            return self.state.plans[site]
        return None

    def due(self) -> Combine | None:
        """The outstanding combination; asked for after a restart."""
        return self.state.due

    def receipt_for(self, site: str, round_number: int) -> Sha256 | None:
        return self.state.receipt_for(site, round_number)

    @property
    def wake_at(self) -> datetime | None:
        """Time at which TimePassed should be fed next; None while there is no deadline."""
        times = [at for at in (ends(self.spec, self.state), masked.ends(self.spec, self.state)) if at]
        return min(times, default=None)

    # -- inputs --------------------------------------------------------------------------------------------------

    def _joined(self, given: SiteJoined, now: datetime, step: Step) -> None:
        state = self.state
        if given.site in state.sites and state.caps.get(given.site) == given.rank_cap:
            return
        step.changed = True
        if given.rank_cap is None:
            state.caps.pop(given.site, None)
        else:
            state.caps[given.site] = given.rank_cap
            self._lower_plan(given.site, given.rank_cap)
        if given.site in state.sites:
            return
        state.sites = sorted([*state.sites, given.site])
        state.gathering_since = state.gathering_since or now
        step.events.append(events.SiteSeen(time=now, site=given.site, state="joined"))
        if state.phase == "gathering" and len(state.sites) >= self.spec.round.sites:
            self._open(now, step)

    def _lower_plan(self, site: str, cap: int) -> None:
        """Lowers the rank of a plan that has not been carried out yet to the site's new cap."""
        state, plan = self.state, self.state.plans.get(site)
        trained = site in state.updates or site in state.awaiting or state.declined.get(site, "failed") != "failed"
        if plan is not None and plan.largest_rank > cap and not trained:
            state.plans[site] = plan.model_copy(update={"rank": min(plan.rank, cap), "ranks": {}})

    def _awaits_approval(self, given: AwaitsApproval, now: datetime, step: Step) -> None:
        state = self.state
        asked = state.hears_answers and given.site in state.unanswered()
        if asked and given.round == state.round and given.site not in state.awaiting:
            step.changed = True
            state.awaiting[given.site] = now

    def _update(self, given: UpdateArrived, now: datetime, step: Step) -> None:
        state, site, update = self.state, given.site, given.update
        sha256 = update.sha256
        counted = self.receipt_for(site, update.round)
        if counted == sha256:
            step.actions.append(Acknowledge(site, update.round, sha256))
            return
        if code := self.refusal(site, update, given.shared_loss):
            step.actions.append(Reject(site, update.round, sha256, code))
            return
        step.changed = True
        state.declined.pop(site, None)
        state.updates[site] = update
        if given.shared_loss is not None:
            state.shared_losses[site] = given.shared_loss
        step.actions.append(Acknowledge(site, update.round, sha256))
        step.events.append(events.SiteSeen(time=now, site=site, round=update.round, state="update"))
        if state.phase != "paused":
            self._close_if_answered(now, step)

    def join_refusal(self, rank_cap: int | None) -> str | None:
        """Error code if a site with this cap cannot take part, else None."""
        summed = self.spec.secure_aggregation.on or self.spec.client_privacy is not None
        mixes = self.spec.method.mixes_ranks and not summed
        if rank_cap is not None and rank_cap < self.spec.lora.rank and not mixes:
            return "join.rank_cap"
        return None

    def refusal(self, site: str, update: Update, shared_loss: float | None = None) -> str | None:
        """Error code if this update would not count now; None if it would, or does already.

        `shared_loss` is given if the coordinator has measured it, which it does last.
        """
        return refusal(self.spec, self.state, site, update, shared_loss)

    def _declined(self, given: SiteDeclined, now: datetime, step: Step) -> None:
        state = self.state
        asked = state.hears_answers and given.site in state.unanswered()
        if not asked or given.round != state.round:
            return
        step.changed = True
        state.declined[given.site] = given.code
        step.events.append(events.SiteSeen(time=now, site=given.site, round=given.round, state="declined"))
        masked.look(state, now, step)
        if state.phase != "paused":
            self._close_if_answered(now, step)

    def _shut_out(self, given: SiteShutOut, now: datetime, step: Step) -> None:
        state, site = self.state, given.site
        if site not in state.sites:
            return
        step.changed = True
        state.sites = [one for one in state.sites if one != site]
        state.caps.pop(site, None)
        state.awaiting.pop(site, None)
        if site not in state.updates:
            state.plans.pop(site, None)
        if state.phase in ("open", "evaluating"):
            masked.look(state, now, step)
            self._close_if_answered(now, step)

    def _masked(self, given: Masked, now: datetime, step: Step) -> None:
        state = self.state
        masked.heard(self.spec, state, given, now, step)
        if step.changed and state.phase == "combining" and state.due is None and masked.can_open(self.spec, state):
            state.due = closed(self.spec, state)
            step.actions.append(state.due)

    def _time(self, given: TimePassed, now: datetime, step: Step) -> None:
        masked.time_passed(self.spec, self.state, now, step)
        deadline = passed(self.spec, self.state, given, now)
        if deadline is None:
            return
        step.changed = True
        if deadline == "join":
            self._open(now, step)
        else:
            self._close(now, deadline, step)

    def _decided(self, given: Decided, now: datetime, step: Step) -> None:
        state = self.state
        step.objection = decided.objection(self.spec, state, given)
        if step.objection:
            return
        step.changed = True
        match given:
            case Resumed():
                self._resumed(now, step)
            case PausedByHost():
                decided.hold(state, now)
                step.events.append(events.FederationPaused(time=now, round=state.round, reason="host"))
            case ClosedByHost() if state.phase == "gathering":
                self._open(now, step)
            case ClosedByHost():
                self._close(now, "host", step)
            case Published():
                decided.drop_open(state)
                self._finish(now, step)

    def _resumed(self, now: datetime, step: Step) -> None:
        state = self.state
        if state.held is None:
            self._reopen(now, step)
            self._close_if_answered(now, step)
            return
        held = decided.go_on(state, now, step)
        step.events.append(events.FederationResumed(time=now, round=state.round))
        if state.phase == "paused" or (state.phase == "gathering" and len(state.sites) >= self.spec.round.sites):
            self._open(now, step)
        elif held.phase in ("open", "evaluating"):
            self._close_if_answered(now, step)

    def _combined(self, given: RoundCombined, now: datetime, step: Step) -> None:
        state, due = self.state, self.state.due
        if due is None or given.round != due.round:
            return
        step.changed = True
        state.close_round(record(state, due, given, now), self.spec.screening.window)
        state.differences, state.lost = chained(state.differences, given), given.lost
        state.start, state.frozen, state.control = given.adapter, given.frozen, given.control
        state.cuts = given.cuts
        state.method, state.references, state.due = given.state, due.references, None
        step.events.append(
            events.RoundCombined(
                time=now,
                round=given.round,
                adapter=given.adapter,
                weights=weights_of(given.screening, due.weights),
                residual=given.residual,
                ranks=due.ranks,
                measures=given.measures,
            )
        )
        step.events += screened(self.spec.screening, given.round, given.screening, now)
        step.events += came_whole(given, now)
        state.round += 1
        state.attempt = 1
        if state.held:
            decided.hold_next(state)
        else:
            self._open(now, step)

    # -- transitions ---------------------------------------------------------------------------------------------

    def _open(self, now: datetime, step: Step) -> None:
        state, spec = self.state, self.spec
        state.updates, state.declined, state.awaiting, state.shared_losses = {}, {}, {}, {}
        state.opened, state.reason = now, ""
        state.founders = state.founders or (list(state.sites) if spec.secure_aggregation.on else [])
        masked.begin(spec, state, now)
        plans = spec.method.plan(opening(spec, state))
        final = state.round > spec.rounds
        state.plans = {site: plan.evaluation() for site, plan in plans.items()} if final else plans
        self._ask(now, step)

    def _ask(self, now: datetime, step: Step) -> None:
        state = self.state
        state.phase = "evaluating" if state.round > self.spec.rounds else "open"
        state.closes = now + self.spec.round.training_time
        unanswered = state.unanswered()
        step.actions += [Offer(site, state.plans[site]) for site in unanswered]
        step.actions += [TellMasking(site) for site in unanswered if state.masking]
        step.events.append(
            events.RoundOpened(
                time=now, round=state.round, attempt=state.attempt, sites=tuple(unanswered), closes=state.closes
            )
        )

    def _reopen(self, now: datetime, step: Step) -> None:
        """Asks again every site whose update is missing; accepted updates still count."""
        state = self.state
        state.attempt += 1
        masked.wait_again(state, now)
        state.declined, state.awaiting, state.reason = {}, {}, ""
        state.plans = asked_again(self.spec, state)
        self._ask(now, step)

    def _close_if_answered(self, now: datetime, step: Step) -> None:
        if not self.state.unanswered():
            self._close(now, "answered", step)

    def _close(self, now: datetime, reason: str, step: Step) -> None:
        state = self.state
        state.reason = reason
        if state.phase == "evaluating":
            self._finish(now, step)
            return
        if len(state.updates) >= masked.quorum(self.spec, state):
            state.phase = "combining"
            step.events.append(
                events.RoundClosed(time=now, round=state.round, reason=reason, updates=len(state.updates))
            )
            if state.masking:
                masked.close(state, step)
                return
            state.due = closed(self.spec, state)
            step.actions.append(state.due)
        elif state.attempt == 1:
            self._reopen(now, step)
        else:
            state.phase, state.reason = "paused", "quorum"
            step.events.append(events.FederationPaused(time=now, round=state.round, reason="quorum"))

    def _finish(self, now: datetime, step: Step) -> None:
        state = self.state
        state.phase, state.held = "finished", None
        if state.round > self.spec.rounds:
            state.evaluation = {site: update.report for site, update in sorted(state.updates.items())}
        step.events.append(events.FederationFinished(time=now, site="", round=state.round, adapter=state.start))
