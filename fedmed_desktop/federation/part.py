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
from typing import Final, Literal

from .. import events
from ..errors import UserFacingError
from . import part_actions as do
from .consent import check_plan
from .plan import Plan
from .spec import FederationSpec
from .work import Entry, LocalResult

# Later than every round.
_AFTER_ALL_ROUNDS: Final = 2**31
# What stands still while paused. All else (downloads, approval, uploads, their outcome) goes on and is told as it is.
_COMPUTING: Final[frozenset[events.Phase]] = frozenset(
    {"waiting", "scoring_before", "training", "scoring_after", "measuring", "evaluating"}
)
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
        self.joined = False  # whether the coordinator has welcomed this site on the line as it is now
        self.paused = False
        self._rank_cap = rank_cap
        self._attempt = 1
        self._kept_at = dict(kept_at or {})
        self._tries = 0
        self._waits = False  # for the coordinator's word on earlier updates
        self._offered: set[str] = set()
        self._round = 0
        self._phase: events.Phase = "joining"
        self._shown: tuple[int, events.Phase] | None = None
        self._out: list[do.Action | do.Tell | events.Event] = []

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

    def check_spec(self, spec: FederationSpec) -> None:
        """Raises UserFacingError where this site has joined another federation."""
        if self.spec is not None and self.spec != spec:
            raise UserFacingError("join.other_federation", known=self.spec.name, found=spec.name)

    def welcomed(self, spec: FederationSpec, round_number: int) -> None:
        """A new connection is up, on which nothing of earlier offers is known to have arrived; the spec is on disk."""
        self.check_spec(spec)
        self.spec, self.joined = spec, True
        self._offered.clear()
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
        for entry in self._in("released"):
            self._offer(entry)

    def line_lost(self) -> None:
        """Nothing is offered until the next welcome."""
        self.joined = False

    # -- what the coordinator says -----------------------------------------------------------------------------------

    def asked(self, plan: Plan, attempt: int = 1) -> None:
        """Starts answering a plan; work for another one ends. A higher attempt asks again for what was kept."""
        self._attempt = attempt
        if plan == self.plan and self.due is not None:
            # The coordinator may have missed it, or counts from the start again; a person's time depends on it.
            self._out.append(do.Tell(plan.round, "paused" if self._is_held else self._phase))
            return
        if plan != self.plan:
            self._drop(plan.round)
        self.plan = plan
        made = next((entry for entry in self.entries.values() if entry.plan == plan), None)
        if made is not None:
            self._answer(made)
            return
        assert self.spec is not None  # nothing is taken before the welcome
        try:
            check_plan(plan, self.spec, self._rank_cap)
        except UserFacingError as error:
            self._fail(error)
            return
        self._enter(plan.round, "downloading")
        self._begin(do.Fetch(plan.round, plan.blobs, do.Train(plan)))

    def not_asked(self, round_number: int) -> None:
        """The round goes on without this site: work for an earlier one ends."""
        if self.plan is None or self.plan.round < round_number:
            self._drop(round_number)
            self._enter(round_number, "not_asked")

    def finished(self, adapter: str, frozen: str | None = None) -> None:
        """There are no more rounds; the final adapter is to be fetched."""
        self._drop(_AFTER_ALL_ROUNDS)
        self.plan = None
        self._begin(do.Fetch(0, tuple(one for one in (adapter, frozen) if one), do.Conclude(adapter, frozen)))

    def receipt(self, sha256: str, peer_head: str = "") -> None:
        """The update is on the coordinator's disk and counts; its audit chain ended with `peer_head` then."""
        if self._is_released(sha256):
            self._out.append(do.Record(sha256, "acknowledged", "coordinator", peer_head=peer_head))

    def refused(self, sha256: str, code: str, params: Mapping[str, str | int | float]) -> None:
        """The update does not count, and why."""
        if self._is_released(sha256):
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
            self._begin(do.Store(action.plan, result))

    def decided(self, action: do.AskPerson, approve: bool, by: str, reason: str, delay: timedelta) -> None:
        """A person, or a rule, has decided; it counts once it is recorded, and an approval `delay` after that."""
        if action is self.due:
            decision: Literal["approved", "kept"] = "approved" if approve else "kept"
            self._begin(do.Record(action.entry.sha256, decision, by, reason, delay=delay, attempt=self._attempt))

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
        """Does what was waiting for this time; to be called at `wake_at`."""
        if self.due is not None and self.wake_at is not None and now >= self.wake_at:
            self.wake_at = None
            self._out.append(self.due)

    # -- phases ------------------------------------------------------------------------------------------------------

    def computes(self, round_number: int, phase: events.Phase) -> None:
        """The working thread has reached this phase."""
        self._enter(round_number, phase)

    def works(self) -> None:
        """The work makes progress: the coordinator is told its phase once more, as a sign."""
        if not self._is_held:
            self._out.append(do.Tell(self._round, self._phase))

    def pause(self, paused: bool) -> None:
        """Computing stands still from now on, or goes on; repeating changes nothing."""
        if paused != self.paused:
            self.paused = paused
            self._show("paused" if paused else self._phase)

    @property
    def _is_held(self) -> bool:
        return self.paused and self._phase in _COMPUTING

    def _enter(self, round_number: int, phase: events.Phase) -> None:
        """The site's true phase from here on; while paused, one that needs computing is shown as "paused"."""
        self._round, self._phase = round_number, phase
        if not self._is_held or self._shown != (round_number, "paused"):
            self._show("paused" if self._is_held else phase)

    def _show(self, phase: events.Phase) -> None:
        self._shown = (self._round, phase)
        self._say(events.PhaseChanged, self._round, phase=phase)
        self._out.append(do.Tell(self._round, phase))

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
                self._begin(do.AskPerson(entry))
            case "approved":
                self.due, self.wake_at, self._tries = do.Record(sha256, "released", "agent"), entry.effective, 0
            case "released":
                self._offer(entry)
            case "kept" if self._attempt > self._kept_at.setdefault(sha256, self._attempt):
                self._begin(do.Record(sha256, "asked_again", "coordinator"))
            case "kept":
                self._out.append(do.Decline(number, "kept"))
            case "expired":
                self._out.append(do.Decline(number, "expired"))
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
            case ("approved" | "released" | "kept" | "taken_back" | "expired") as decision, state:
                if state == ("pending" if decision == "taken_back" else decision):
                    who = {"by": action.by, "reason": action.reason}
                    self._say(events.DecisionRecorded, number, update=sha256, decision=decision, **who)
                if decision == state == "kept":
                    self._kept_at[sha256] = action.attempt
                    self._enter(number, "kept")
        if isinstance(self.due, do.Train) and self._waits:
            self._train_if_answered(self.due)

    def _train_if_answered(self, train: do.Train) -> None:
        """Trains, but under SCAFFOLD only once each earlier update has been answered: c_i moves only with those that
        count. A receipt that a cut has swallowed is told again after the next welcome, perhaps after this plan.
        """
        earlier = [entry for entry in self._in("released") if entry.plan.round < train.plan.round]
        self._waits = bool(train.plan.variate and earlier)
        if not self._waits:
            self._begin(train)

    def _offer(self, entry: Entry) -> None:
        if self.joined and entry.sha256 not in self._offered:
            self._offered.add(entry.sha256)
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
