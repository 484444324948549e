# SPDX-License-Identifier: Apache-2.0
"""Running federation: feeds the rounds, writes the ledger before it answers, combines, and keeps the deadlines.

A fault that may pass, such as a full disk or a missing adapter, holds the federation up: it says so, keeps serving, and
continues by itself. Sockets live in `server`; here a session is only something that can be sent a message.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from .. import events
from ..errors import UserFacingError
from ..federation import FederationSpec, Rounds, Scorer, Update
from ..federation.actions import Acknowledge, Action, Combine, Offer, Reject, Step, TellMasking
from ..federation.inputs import Decided, Input, Proof, Resumed, RoundCombined, UpdateArrived
from ..protocol.messages import Ask, Finished, Message, NotAsked, Receipt, Refused
from ..storage import BlobStore, Ledger
from ..storage.ledger import FILE as LEDGER_FILE
from ..storage.releases import noise_from
from ..storage.secrets import load_key
from .admission import Admission
from .auditing import Trail
from .bulletin import Bulletin
from .checking import Checking
from .combining import Combining
from .held_up import HeldUp
from .masking import Masking
from .measuring import Measuring, check_scorer
from .progress import Progress
from .pruning import Pruning
from .recovery import LostParts, check_adapters

_LONGEST_SLEEP = 30.0
# Seconds until what failed is tried again. Inferred.
_FIRST_RETRY = 2.0
_RETRY = "retry"

_now = lambda: datetime.now(UTC)  # noqa: E731


class Session(Protocol):
    """A connected site. `send` never waits: a slow line must not hold up the federation."""

    def send(self, message: Message) -> None: ...


class Host:
    """Host of one federation. All methods run on one event loop; file work goes to threads."""

    def __init__(
        self,
        spec: FederationSpec,
        data_dir: Path,
        emit: Callable[[events.Event], None],
        clock: Callable[[], datetime] = _now,
        scorer: Scorer | None = None,
        confirm_sites: bool = False,
        keep_updates: int | None = None,
    ) -> None:
        """Opens the data folder; raises UserFacingError (in use, damaged, other specification, adapters missing).

        `confirm_sites`: a site that has joined with its invitation waits until the host has compared the six words.
        `keep_updates`: how many closed rounds keep the blobs of their updates; None for all.
        `scorer` where the method has the coordinator measure each update, and only there.
        """
        check_scorer(spec, scorer is not None)
        self._emit = emit
        self._clock = clock
        self.spec = spec
        self.blobs = BlobStore(data_dir / "blobs")
        if spec.base.initial not in self.blobs:
            raise UserFacingError("coordinator.no_initial", sha256=spec.base.initial, path=str(data_dir))
        under_way = not self.blobs.is_empty(but=spec.base.initial)
        self._ledger = Ledger(data_dir / LEDGER_FILE, spec, self._warn, under_way)
        with contextlib.ExitStack() as opened:
            opened.callback(self._ledger.close)
            self.rounds: Rounds = self._ledger.load_rounds(spec)
            check_adapters(self.blobs, self.rounds.state)
            noise = noise_from(data_dir, spec, self.rounds.state.closed)
            self.key, self.kept = load_key(data_dir, "coordinator")
            self.admission = Admission(data_dir, self._ledger, confirm_sites)
            opened.callback(self.admission.close)
            self.trail = Trail(data_dir, spec.name, self.key.fingerprint, clock)
            opened.callback(self.trail.audit.close)
            self.admission.keep_audit(self.trail.audit)
            opened.pop_all()  # they stay open
        self.federation = self._ledger.federation
        self.sessions: dict[str, Session] = {}
        self.lost = LostParts(self.blobs)
        self.retry = _FIRST_RETRY
        self._unwritten: Input | None = None
        self.started = asyncio.Event()
        self.held_up = HeldUp(emit, lambda: self.rounds.state.round, self._stood_or_went_on)
        self.progress = Progress(spec, lambda: self.rounds.state, clock, emit, lambda: self.bulletin.changed())
        at_hand = (lambda: self.rounds.state, lambda: self.sessions.keys(), self.settled, lambda: self.held_up.code)
        self.bulletin: Bulletin = Bulletin(spec, *at_hand, lambda: self.progress.quiet().values())
        self.checking = Checking(spec, self.blobs, self.held_up)
        self.masking = Masking(spec, self.federation, lambda: self.rounds.state, self.admission, self.apply)
        self._measuring = Measuring(scorer, self.blobs) if scorer else None
        self._order = asyncio.Lock()
        again = lambda: self.retry  # noqa: E731
        self.combining = Combining(
            spec, self.blobs, self.lost, self.held_up, self._combination_is, self._tell, self._may_pass, again, noise
        )
        at = (spec.base.initial, self.blobs, self.trail, lambda: self.rounds.state, self.still, clock)
        self.pruning = Pruning(keep_updates, *at)
        self._alarm: asyncio.Task[None] | None = None
        self._ringing = False
        self._fault: asyncio.Future[None] | None = None

    async def start(self, resume: bool = False) -> None:
        """Picks up an outstanding combination and the next deadline; `resume` resumes a paused federation."""
        self._fault = asyncio.get_running_loop().create_future()
        await self.trail.begin(self.rounds, self.published())
        await asyncio.to_thread(self.admission.keep_audit, self.trail.audit)
        await self.pruning.prune()
        if due := self.rounds.due():
            self.combining.spawn(due)
        if resume:
            await self.apply(Resumed())
        self._set_alarm()
        self.started.set()

    async def stop(self) -> None:
        """Ends background work, waiting for a running combination; it is done again at the next start."""
        if self._alarm:
            self._alarm.cancel()
            await asyncio.gather(self._alarm, return_exceptions=True)
        await self.combining.stop()
        await self.trail.end()
        self.admission.close()
        self._ledger.close()

    @contextlib.asynccontextmanager
    async def still(self) -> AsyncIterator[Ledger]:
        """Holds back all inputs meanwhile; the ledger is what it says."""
        async with self._order:
            yield self._ledger

    async def wait_for_fault(self) -> None:
        """Waits and never returns; raises the fault that made the federation unable to continue."""
        assert self._fault is not None
        await self._fault

    # -- inputs --------------------------------------------------------------------------------------------------

    async def apply(self, given: Input) -> Step:
        """Feeds one input to the state, then the ledger, then answers. One at a time, in the order of the calls."""
        async with self._order:
            now = self._clock()
            try:
                step = self.rounds.handle(given, now)
            except Exception:
                self._roll_back()
                raise
            if step.changed:
                try:
                    await asyncio.to_thread(self._record, given, now)
                except Exception as error:
                    self._roll_back()
                    if isinstance(given, Decided) and isinstance(error, UserFacingError) and error.retryable:
                        self.trail.undone(given, error.code)
                        raise  # who decided is told so, and may think better of it: it is not done later
                    self._unwritten = given
                    self._may_pass("ledger", error)
                    raise
                self._unwritten = None
                self.held_up.no_more("ledger")
            for action in step.actions:
                self._carry_out(action, now)
            self.trail.came(given, step, self.rounds.state.start)
            if self.rounds.state.phase == "finished" and step.changed:
                self._bid_farewell()
            if any(isinstance(event, events.RoundOpened) for event in step.events):
                for site in sorted(self.sessions):
                    if rest := self.rest(site):
                        self._tell(site, rest)
        if fault := self.masking.waits(self.sessions.keys()):
            self.held_up.by("masking", fault)
        else:
            self.held_up.no_more("masking")
        self._set_alarm()
        if step.changed:
            self.bulletin.changed()
            self.progress.look()
        for event in step.events:  # last: a face that cannot show them (a closed pipe) must not stop the federation
            self._emit(event)
        return step

    async def settled(self) -> None:
        """Returns once every input so far is in the ledger, so that the present state may be told."""
        async with self._order:
            return

    async def _combination_is(self, given: RoundCombined) -> None:
        await self.apply(given)
        await self.pruning.prune()

    def _roll_back(self) -> None:
        """Restores the state from the ledger: an input that is not in it must never be acknowledged."""
        try:
            self.rounds = self._ledger.load_rounds(self.spec)
        except Exception as error:  # what is in memory holds too much, and nothing else can be had
            self._fail(error)
            raise

    def _may_pass(self, what: str, error: Exception) -> bool:
        """True if this part of the work can be tried again later; otherwise the federation ends with the fault."""
        passing = self.held_up.by(what, error)
        if not passing:
            self._fail(error)
        return passing

    def _stood_or_went_on(self) -> None:
        self.trail.stands(self.held_up.code)
        self.bulletin.changed()
        self._set_alarm()

    def _record(self, given: Input, now: datetime) -> None:
        self.trail.intend(given, now)
        self._ledger.append(given, now, self.rounds.dump() if given.input == "combined" else None)

    def _carry_out(self, action: Action, now: datetime) -> None:
        match action:
            case Offer(site, plan):
                self._tell(site, Ask(plan=plan, attempt=self.rounds.state.attempt))
            case Acknowledge(site, round_number, update):
                self._tell(site, Receipt(round=round_number, update=update, time=now))
            case Reject(site, round_number, update, code):
                self._tell(site, Refused(round=round_number, update=update, code=code))
            case Combine():
                self.combining.spawn(action)
            case TellMasking(site):
                for message in self.masking.messages_for(site):
                    self._tell(site, message)
                if rest := self.rest(site):
                    self._tell(site, rest)

    def _tell(self, site: str, message: Message) -> None:
        if session := self.sessions.get(site):
            session.send(message)

    # -- what sites may have and give --------------------------------------------------------------------------------

    def published(self) -> set[str]:
        """Blobs that any site may fetch: results of rounds, and those that plans name; never another site's update."""
        return self.rounds.state.published() | {self.spec.base.initial}

    async def wanted(self, sha256: str) -> Path | None:
        """Path of a blob that a site wants, checked; None if no site may have it, or if all can do without it.

        Raises a retryable error if one that the open round needs is lost: it will come back.
        """
        state = self.rounds.state
        if sha256 not in (self.published() if sha256 in self.blobs else state.needed()):
            return None
        if any(one.sha256 == sha256 for one in state.differences):  # what it leads to can be fetched in its place
            return self.blobs.path(sha256) if await self.checking.is_whole(sha256) else None
        return await self.checking.whole(state.round, sha256)

    def farewell(self) -> Finished:
        """Last message to a site; raises a retryable UserFacingError if the final adapter is lost."""
        state = self.rounds.state
        self.checking.have(state.round, state.start, state.frozen)
        return Finished(adapter=state.start, size=self.blobs.size(state.start), frozen=state.frozen)

    def _bid_farewell(self) -> None:
        """Tells all sites that it is over; where the final adapter is lost, they are told once it has come back."""
        with contextlib.suppress(UserFacingError):
            farewell = self.farewell()
            for site in sorted(self.sessions):
                self._tell(site, farewell)

    def rest(self, site: str) -> NotAsked | None:
        """Message for a site that the open round does not ask."""
        state = self.rounds.state
        rests = state.phase in ("open", "combining", "evaluating") and site in state.sites and site not in state.plans
        return NotAsked(round=state.round) if rests else None

    def refusal(self, site: str, update: Update) -> str | None:
        """Code of why an offered update need not be fetched, if so; the coordinator measures it later."""
        return self.rounds.refusal(site, update, 0.0 if self._measuring else None)

    async def accept(self, site: str, update: Update, proof: Proof) -> None:
        """Takes an update whose parts are checked and durable, measuring it first if the method wants that.

        Raises UserFacingError("update.no_shared_loss") where nothing could be measured.
        """
        plan = self.rounds.state.plans.get(site)
        counted = self.rounds.receipt_for(site, update.round) == update.sha256
        loss = None
        if self._measuring and plan and plan.kind == "train" and not counted:
            try:
                with self.checking.own_trouble(plan):
                    loss = await self._measuring.loss(plan, update)
            except Exception as error:  # the coordinator's own trouble (memory, say): no site's fault
                if isinstance(error, UserFacingError) and error.retryable:
                    raise
                self._fail(error)
                return
            if not math.isfinite(loss):
                raise UserFacingError("update.no_shared_loss")
        await self.apply(UpdateArrived(site=site, update=update, shared_loss=loss, proof=proof))

    # -- deadlines ---------------------------------------------------------------------------------------------------

    def _set_alarm(self) -> None:
        held = self.held_up.reason is not None
        if self._ringing or (held and self._alarm and self._alarm.get_name() == _RETRY):  # it is set again after that
            return
        if self._alarm and self._alarm is not asyncio.current_task():
            self._alarm.cancel()
        due = self.progress.wake_at()
        # Deadlines are of the wall clock; a long sleep would miss that it was set, or that the machine slept.
        # Told too early, the rounds change nothing, and the alarm is set again.
        left = min(max(0.0, (due - self._clock()).total_seconds()), _LONGEST_SLEEP) if due else _LONGEST_SLEEP
        self._alarm = None
        if held:
            self._alarm = asyncio.create_task(self._ring(self.retry), name=_RETRY)
        elif due:
            self._alarm = asyncio.create_task(self._ring(left), name="deadline")

    async def _ring(self, seconds: float) -> None:
        """Tells the rounds the time, or tries again to write the input that the disk did not take."""
        await asyncio.sleep(seconds)
        self._ringing = True
        try:
            if self.checking.look_again() and self.rounds.state.phase == "finished":
                self._bid_farewell()
            await self.apply(self._unwritten or self.progress.time_passed())
            self.progress.look()
        except Exception as error:
            if not self._may_pass("ledger", error):
                return
        self._ringing, self._alarm = False, None
        self._set_alarm()

    def _warn(self, fault: UserFacingError) -> None:
        self._emit(events.Warned(site="", code=fault.code, params=fault.params))

    def _fail(self, error: Exception) -> None:
        if self._fault is not None and not self._fault.done():
            self._fault.set_exception(error)
