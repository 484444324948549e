# SPDX-License-Identifier: Apache-2.0
"""A site's part in a federation as a sans-I/O state machine, the mirror of `Rounds`.

Inputs are method calls, with the time where it matters; `take` returns the actions and events that follow, in order. It
reads no clock, opens no file and starts no thread: the site's driver and the tests run the same code.

A decision counts once it is in the outbox: the machine asks for a Record and trusts only the entry that comes back.
Repeated and late inputs change nothing: only the action that is due can be answered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from .. import events
from ..errors import UserFacingError
from . import part_actions as do
from .consent import check_plan
from .gate import Gate
from .part_offers import Offers
from .part_phases import Phases
from .plan import Plan
from .policy import InForce
from .spec import FederationSpec
from .work import Entry, LocalResult

# Later than every round.
_AFTER_ALL_ROUNDS: Final = 2**31
# Between tries after a fault that may pass, such as a full disk: doubling from the first to the longest (inferred).
_FIRST_RETRY, _LONGEST_RETRY = timedelta(seconds=2), timedelta(minutes=5)


class SitePart:
    """One site in one federation. Not thread-safe: its driver hands it one input at a time."""

    def __init__(
        self,
        site: str,
        entries: Iterable[Entry] = (),
        kept_at: Mapping[str, int] | None = None,
        spec: FederationSpec | None = None,
        rank_cap: int | None = None,
    ) -> None:
        """`entries` and `spec`: what the outbox holds; `kept_at`: the attempts that were remembered, by update."""
        self.site = site
        self.spec = spec
        self.entries = {entry.sha256: entry for entry in entries}
        self.plan: Plan | None = None
        self.due: do.Due | None = None  # what the plan, or the end, waits for
        self.wake_at: datetime | None = None  # when `due` is to be done, where it waits for the time
        self.gate = Gate(site, self.entries)  # the site's own policy
        self._rank_cap = rank_cap
        self.attempt = 1  # at the round, as the coordinator counts
        self._kept_at = dict(kept_at or {})
        self._tries = 0
        self.waits = False  # for the coordinator's word on earlier updates
        self.offers = Offers(self._offer)
        self._out: list[do.Action | do.Tell | events.Event] = []
        self._phases = Phases(site, lambda item: self._out.append(item))
        self._enter = self.computes = self._phases.enter  # `computes`: the working thread has reached this phase
        self.pause, self.works = self._phases.pause, self._phases.works

    def take(self) -> list[do.Action | do.Tell | events.Event]:
        """Return the actions and events since the last call, in order."""
        out, self._out = self._out, []
        return out

    # -- the program and its line ------------------------------------------------------------------------------------

    def restarted(self) -> None:
        """The program has started, or is ending: an approval that is not in effect becomes a question again."""
        self._drop(0)
        self.plan = None
        for entry in self._in("approved"):
            reason = "the program ended before the approval was in effect"
            self._out.append(do.Record(entry.sha256, "taken_back", "agent", reason))

    def policy_is(self, policy: InForce) -> None:
        """The site's policy, whenever it has changed. What waits for a decision or has not left is weighed anew."""
        self.gate.policy = policy
        match self.due:
            case do.AskPerson(entry=Entry(sha256=sha256)) | do.Record(sha256, "approved" | "first_approved"):
                self._out.append(do.Stop(0))  # an approval that waits for the disk was of another policy's rules
                self._answer(self.entries[sha256])
            case do.Record(sha256=sha256, decision="released"):
                self._begin(self.gate.taken_back(self.entries[sha256], self.spec, "the policy has changed"))
        self.offers.all(self._in("released"))

    def check_spec(self, spec: FederationSpec) -> None:
        """Raises UserFacingError where this site has joined another federation, or its policy rules this one out."""
        if self.spec is not None and self.spec != spec:
            raise UserFacingError("join.other_federation", known=self.spec.name, found=spec.name)
        if self.spec is None:
            self.gate.check_spec(spec)

    def welcomed(self, spec: FederationSpec, round_number: int) -> None:
        """A new connection is up, on which nothing of earlier offers is known to have arrived; the spec is on disk."""
        self.check_spec(spec)
        self.spec = spec
        self._say(
            events.Joined,
            min(round_number, spec.rounds),
            federation=spec.name,
            environment=spec.environment,
            method=spec.method.name,
            rounds=spec.rounds,
            sites=spec.round.sites,
            types=spec.types,
        )
        self.offers.welcomed(self._in("released"), round_number)

    def line_lost(self) -> None:
        """Nothing is offered until the next welcome."""
        self.offers.joined = False

    # -- what the coordinator says -----------------------------------------------------------------------------------

    def asked(self, plan: Plan, attempt: int = 1) -> None:
        """Starts answering a plan; work for another one ends. A higher attempt asks again for what was kept."""
        self.attempt = attempt
        if plan == self.plan and self.due is not None:
            # The coordinator may have missed it, or counts from the start again; a person's time depends on it.
            self._out.append(do.Tell(plan.round, self._phases.now))
            return
        if plan != self.plan:
            self._drop(plan.round)
            self.offers.all(self._in("released"))  # what was not asked for then is answered for good now
        self.plan = plan
        made = next((entry for entry in self.entries.values() if entry.plan == plan), None)
        if made is not None:
            self._answer(made)
            return
        assert self.spec is not None  # nothing is taken before the welcome
        try:
            check_plan(plan, self.spec, self._rank_cap)
            self.gate.check_plan(plan, self.spec)
        except UserFacingError as error:
            self._fail(error)
            return
        self._enter(plan.round, "downloading")
        self._begin(do.Fetch(plan.round, plan.blobs, do.Train(plan)))

    def not_asked(self, round_number: int) -> None:
        """The round goes on without this site: work for an earlier one ends."""
        if self.plan is None or self.plan.round < round_number or self.plan.masking:
            self._drop(round_number)
            self._enter(round_number, "not_asked")

    def finished(self, adapter: str, frozen: str | None = None) -> None:
        """Takes note that there are no more rounds; the final adapter is to be fetched."""
        self._drop(_AFTER_ALL_ROUNDS)
        self.plan = None
        self._begin(do.Fetch(0, tuple(one for one in (adapter, frozen) if one), do.Conclude(adapter, frozen)))

    def receipt(self, sha256: str, peer_head: str = "") -> None:
        """The update is on the coordinator's disk and counts; its audit chain ended with `peer_head` then."""
        entry = self.entries.get(sha256)
        if entry and (entry.state == "released" or (entry.state == "acknowledged" and entry.plan == self.plan)):
            self._out.append(do.Record(sha256, "acknowledged", "coordinator", peer_head=peer_head))

    def refused(self, sha256: str, code: str, params: Mapping[str, str | int | float]) -> None:
        """The update does not count, and why."""
        if code == "update.not_asked":  # perhaps not yet: its site may take the place of one that was shut out
            self.offers.forget(sha256)
        elif self._is_released(sha256):
            self._out.append(do.Record(sha256, "refused", "coordinator", code, code=code, params=params))

    # -- what became of actions --------------------------------------------------------------------------------------

    def done(self, action: do.Fetch | do.Conclude) -> None:
        """The blobs are here, or the final adapter is written down."""
        if action is not self.due:
            return
        match action:
            case do.Conclude(adapter=adapter):
                self.due = None
                self._say(events.FederationFinished, 0, adapter=adapter)
            case do.Fetch(then=do.Conclude() as conclude):
                self._begin(conclude)
            case do.Fetch(then=do.Train(plan=plan) as train):
                self._say(events.PlanFetched, plan.round, start=plan.start, frozen=plan.frozen)
                self.due = train
                self._train_if_answered(train)

    def trained(self, action: do.Train, result: LocalResult) -> None:
        """The plan is carried out; nothing of the result is on disk yet."""
        if action is self.due:
            self._begin(do.Store(action.plan, self.gate.prepared(result)))

    def decided(self, action: do.AskPerson, approve: bool, by: str, reason: str, delay: timedelta) -> None:
        """A person, or a rule, has decided. An approval that the policy does not take is asked for once more; any
        other decision counts once it is recorded, and an approval `delay` after that.
        """
        if action is not self.due:
            return
        given = do.Record(action.entry.sha256, "approved" if approve else "kept", by, reason, delay, self.attempt)
        found = self.gate.taken(action.entry, self.spec, given)
        if isinstance(found, do.Record):
            self._begin(found)
        elif not found.holds:
            self._say(events.Warned, action.entry.plan.round, code=found.code, params=found.params)
            self._answer(action.entry)

    def recorded(self, action: do.Store | do.Record, entry: Entry) -> None:
        """The outbox was written to; `entry` is what it says now, be it what was asked for or not."""
        self.entries[entry.sha256] = entry
        is_due = action is self.due
        if isinstance(action, do.Record):
            is_due |= isinstance(self.due, do.Record) and self.due.sha256 == entry.sha256  # taken back meanwhile
            self._note(action, entry)
        if is_due:
            self.due = self.wake_at = None
            self._answer(entry)

    def failed(self, action: do.Due, error: UserFacingError, now: datetime) -> None:
        """Tries again later if that may help, as with a full disk; otherwise the round has failed here.

        Raises the error where it is the federation's final adapter that cannot be had.
        """
        if action is not self.due:
            return
        if error.retryable:
            delay = min(_LONGEST_RETRY, _FIRST_RETRY * 2 ** min(self._tries, 16))
            self._tries += 1
            self.wake_at = now + delay
            self._fail(error, delay.total_seconds())
        elif self.plan is None:
            raise error
        else:
            self._fail(error)

    def time_passed(self, now: datetime) -> None:
        """Does what was waiting for this time; to be called at `wake_at` and `opens_at`."""
        if self.offers.opens_at and now >= self.offers.opens_at:
            self.offers.all(self._in("released"))
        if self.due is not None and self.wake_at is not None and now >= self.wake_at:
            self.wake_at = None
            if isinstance(self.due, do.Record) and self.due.decision == "released":
                entry = self.entries[self.due.sha256]
                self.due, self.wake_at = self.gate.release(entry, self.spec, now)
                self._out += self.gate.said(entry, self.spec, self.wake_at) if self.wake_at else []
            if self.wake_at is None:
                self._out.append(self.due)

    @property
    def paused(self) -> bool:
        return self._phases.paused

    # -- answering a plan --------------------------------------------------------------------------------------------

    def _begin(self, action: do.Due) -> None:
        self.due, self.wake_at, self._tries = action, None, 0
        self._out.append(action)

    def _drop(self, round_number: int) -> None:
        """End what is under way. Rounds before this one are closed: what waits there for a decision stays here."""
        self.due = self.wake_at = None
        self._out.append(do.Stop(round_number))
        for entry in self._in("pending", "approved"):
            if entry.plan.round < round_number:
                self._out.append(do.Record(entry.sha256, "expired", "agent", "round closed"))
                self._enter(entry.plan.round, "missed")

    def _answer(self, entry: Entry) -> None:
        """Takes the plan's update one step further, from whatever state it is in."""
        sha256, number = entry.sha256, entry.plan.round
        match entry.state:
            case "pending":
                self._say(events.UpdatePending, number, update=sha256, bytes=entry.update.size)
                self._enter(number, "approval")
                self._out += self.gate.said(entry, self.spec)
                self._begin(do.AskPerson(entry))
            case "approved":
                self.due, self.wake_at, self._tries = do.Record(sha256, "released", "agent"), entry.effective, 0
            case "released":
                self.offers.one(entry)
            case "acknowledged":  # who asks for it goes on from an older backup, and may not take it at once
                self._offer(entry)
            case "kept" if self.attempt > self._kept_at.setdefault(sha256, self.attempt):
                self._begin(do.Record(sha256, "asked_again", "coordinator"))
            case "kept" | "expired" as code:
                self._out.append(do.Decline(number, code))
            case "refused":
                self._out.append(do.Decline(number, "failed"))

    def _note(self, action: do.Record, entry: Entry) -> None:
        """Tells what was recorded; not what the outbox refused because something else was faster."""
        number, sha256 = entry.plan.round, entry.sha256
        match action.decision, entry.state:
            case "acknowledged", "acknowledged":
                self._say(events.ReceiptReceived, number, update=sha256)
                self._enter(number, "sent")
            case "refused", "refused":
                self._say(events.UpdateRefused, number, update=sha256, code=action.code, params=dict(action.params))
                if self.plan in (None, entry.plan):  # else another plan of the round is being answered
                    self._out.append(do.Decline(number, "failed"))
            case ("first_approved" | "approved" | "released" | "kept" | "taken_back" | "expired") as decision, state:
                if state == ("pending" if decision in ("taken_back", "first_approved") else decision):
                    who = {"by": action.by, "reason": action.reason, "rule": action.rule}
                    self._say(events.DecisionRecorded, number, update=sha256, decision=decision, **who)
                if decision == state == "kept":
                    self._kept_at[sha256] = action.attempt
                    self._enter(number, "kept")
        if isinstance(self.due, do.Train) and self.waits:
            self._train_if_answered(self.due)

    def _train_if_answered(self, train: do.Train) -> None:
        """Trains, but under SCAFFOLD or with feedback only once each earlier update has been answered: what is kept
        moves only with those that count. A lost receipt is told again after a welcome, perhaps after this plan.
        """
        earlier = [entry for entry in self._in("released") if entry.plan.round < train.plan.round]
        self.waits = bool((train.plan.variate or train.plan.transfer.feeds_back) and earlier)
        if not self.waits:
            self._begin(train)

    # -- the site's policy -------------------------------------------------------------------------------------------

    def may_send(self, sha256: str, now: datetime) -> bool:
        """Tells whether the policy lets a released update leave now. Where not, it is offered again once it may."""
        entry, opens = self.entries[sha256], self.gate.policy.opening(now)
        if not (may := self.offers.may_leave(entry, self.gate.word(entry, self.spec), opens, now)):
            self._out += self.gate.said(entry, self.spec, opens)
        return may

    # -- telling -----------------------------------------------------------------------------------------------------

    def _offer(self, entry: Entry) -> None:
        self._enter(entry.plan.round, "uploading")
        self._out.append(do.Offer(entry.update))

    def _fail(self, error: UserFacingError, retry_seconds: float | None = None) -> None:
        """Tells the fault. One for good costs the round; what is on disk counts when the plan is asked for again."""
        number = self.plan.round if self.plan else 0
        self._say(events.Failed, number, code=error.code, params=error.params, retry_seconds=retry_seconds)
        if retry_seconds is None:
            self.due = None
            self._out.append(do.Decline(number, "failed"))

    def _say(self, kind: Callable[..., events.Event], round_number: int, **facts: object) -> None:
        self._out.append(kind(site=self.site, round=round_number, **facts))

    def _in(self, *states: str) -> list[Entry]:
        return [entry for entry in self.entries.values() if entry.state in states]

    def _is_released(self, sha256: str) -> bool:
        return sha256 in self.entries and self.entries[sha256].state == "released"
