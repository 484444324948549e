# SPDX-License-Identifier: Apache-2.0
"""The driver of a site's part in its federation: hands `SitePart` its inputs, and does in order what it asks for."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from .. import events
from ..errors import UserFacingError
from ..federation import Control, FederationSpec, Trainer
from ..federation import part_actions as do
from ..federation.policy import InForce
from ..protocol import messages
from ..protocol.signing import Signed
from ..storage import BlobStore, audit
from ..storage.audit import Audit
from ..storage.audit_row import AuditEntry
from ..storage.journal import Journal
from ..storage.outbox import Outbox
from ..storage.own import OwnStore
from . import leaving
from .approval import Approver
from .auditing import declined, final_verified, plan_received, training_began, training_ended
from .computing import Computing
from .deciding import part_of, record
from .download import Downloads
from .folder import STATE
from .holdings import Holdings
from .jobs import JobRunner
from .link import Link
from .masking import Masking
from .offering import decline, offer
from .rebuilding import rebuild_start
from .spending import budget_of, open_spending

# An input to the part: a call of one of its methods.
Given = Callable[[], None]

# Seconds from one sign that the work goes on to the next. The coordinator shows a site without any as quiet.
_SIGN_EVERY = 60.0


class Driver:
    """Works on the agent's loop, one input at a time; only `tell` and `pause` may be called from any thread.

    Once begun, an input is dealt with to its end, even if the task that handed it in is cancelled: the record and the
    events must say the same. Fetching, training and asking run beside it, and what they raise goes to `done`.
    """

    def __init__(
        self,
        name: str,
        data_dir: Path,
        make_trainer: Callable[[FederationSpec], Trainer],
        approver: Approver,
        jobs: JobRunner,
        link: Link,
        seal: Callable[[Signed], Signed],
        emit: Callable[[events.Event], None],
        clock: Callable[[], datetime],
        rank_cap: int | None,
        done: Callable[[asyncio.Future[Any]], None],
        policy: Callable[[], InForce] | None = None,
    ) -> None:
        self._folder = data_dir
        self.blobs = BlobStore(data_dir / "blobs")
        self.outbox = Outbox(data_dir / STATE, self.blobs)
        try:
            self.audit = Audit(data_dir / audit.FILE, "site", name)
            self.outbox.keep_audit(self.audit, clock())
            self.part = part_of(self.outbox, name, rank_cap)
            self.holdings = Holdings(self.blobs, self.outbox, OwnStore(data_dir / "own"))
            self.journal = Journal(data_dir / "metrics.sqlite", self._warn)
        except BaseException:
            self.outbox.close()  # its folder is free again
            raise
        self.downloads = Downloads(name, self.blobs, link.send, emit, self.journal.append)
        self.computing = Computing(data_dir, make_trainer, jobs, self.journal, self._computed, self._computes)
        self.leaving = leaving.Leaving(self.part, clock, partial(self.take, _nothing) if policy else None)
        self.masking = Masking(data_dir, self.part, self.outbox, link, emit)
        self.control = Control()
        self._approver = approver
        self._link = link
        self._seal = seal
        self._emit = emit
        self._clock = clock
        self._done = done
        self._policy = policy  # read off the loop
        self._last_sign = time.monotonic()
        self._lock = threading.RLock()  # keeps in order what several threads tell
        self._turn = asyncio.Lock()
        self._work: asyncio.Task[None] | None = None  # fetches, trains or asks
        self._tasks: set[asyncio.Task[None]] = set()
        self._alarm: asyncio.TimerHandle | None = None

    async def take(self, given: Given) -> None:
        """Hands in an input and does what follows from it. Raises UserFacingError where the disk takes nothing."""
        async with self._turn:
            body = asyncio.ensure_future(self._deal_with(given))
            try:
                await asyncio.shield(body)
            except asyncio.CancelledError:
                await asyncio.wait([body])
                if not body.cancelled():
                    body.exception()  # nobody is there to hear it; what is on disk holds
                raise
            finally:
                self._set_alarm()

    def soon(self, given: Given) -> None:
        """Hands in an input once the current one is done; returns at once."""
        self._spawn(self.take(given))

    def tell(self, given: Given) -> list[do.Action | do.Tell | events.Event]:
        """Hands in an input and tells what came of it; returns what is left to be done."""
        with self._lock:
            given()
            out = self.part.take()
            for number, item in enumerate(out):
                if isinstance(item, do.Action):
                    return out[number:]
                self._say(item)
            return []

    def pause(self, paused: bool) -> None:
        """Stops computing at its next micro-step, or lets it go on."""
        with self._lock:
            (self.control.pause if paused else self.control.resume)()
            self.tell(partial(self.part.pause, paused))

    async def end(self) -> None:
        """Ends what is under way, a training at a checkpoint; approvals that are not in effect become questions."""
        with contextlib.suppress(UserFacingError):  # a full disk: the next start does it
            await self.take(self.part.restarted)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.note(AuditEntry(action_code="stopped", role="agent", object_type="program"))

    # -- the site's policy -------------------------------------------------------------------------------------------

    async def _deal_with(self, given: Given) -> None:
        """Carries it out under the policy as its files have it now: the first word is theirs."""
        found = await asyncio.to_thread(self._policy) if self._policy else self.part.gate.policy
        if found == self.part.gate.policy:
            await self._carry_out(given)
        else:
            await self._carry_out(partial(self.part.policy_is, found), given)

    def _may_send(self, sha256: str) -> bool:
        answers: list[bool] = []
        self.tell(lambda: answers.append(self.part.may_send(sha256, self._clock())))
        return answers[0]

    # -- doing what the part asks for --------------------------------------------------------------------------------

    async def _carry_out(self, *given: Given) -> None:
        """Does everything that follows, even if one part of it fails; raises the first UserFacingError at the end."""
        faults = []
        for one in given:
            for item in self.tell(one):
                try:
                    await self._do(item)
                except UserFacingError as error:
                    faults.append(error)
        if faults:
            raise faults[0]

    async def _do(self, item: do.Action | do.Tell | events.Event) -> None:
        match item:
            case do.Fetch():
                self._start(item, self._fetch(item))
            case do.Train():
                self._start(item, self._train(item))
            case do.AskPerson():
                self._start(item, self._ask(item))
            case do.Store():
                await self._write(item, partial(self._store, item))
            case do.Record():
                await self._write(item, partial(self._record, item))
            case do.Conclude():
                await self._write(item, partial(self._conclude, item))
            case do.Offer(update) if self._may_send(update.sha256):
                await self._send(partial(offer, update, self.part.attempt, self.outbox, self.audit))
            case do.Offer():
                pass  # it is offered again once it may leave
            case do.Decline(number, code):
                await self.note(declined(number, code))
                await self._send(partial(decline, number, code, self.part.plan, self.part.attempt, self.audit))
            case do.Stop(before):
                await self._stop()
                await asyncio.to_thread(self.computing.forget_before, before)
            case _:
                self._say(item)

    async def _send(self, make: Callable[[], Signed]) -> None:
        await self._link.send(self._seal(await asyncio.to_thread(make)))

    def _say(self, item: do.Tell | events.Event) -> None:
        if isinstance(item, do.Tell):
            self._link.post(messages.Progress(round=item.round, phase=item.phase))
        else:
            self._emit(item)

    def _start(self, action: do.Due, work: Coroutine[Any, Any, Given]) -> None:
        async def answered() -> None:
            try:
                given = await work
            except UserFacingError as error:
                given = partial(self.part.failed, action, error, self._clock())
            self._work = None  # it is over: nothing can stop it any more
            await self.take(given)

        self._work = self._spawn(answered())

    async def _stop(self) -> None:
        self.control.stop()
        work, self._work = self._work, None
        if work:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(self._done)
        return task

    def _set_alarm(self) -> None:
        if self._alarm:
            self._alarm.cancel()
        times = [at for at in (self.part.wake_at, self.part.offers.opens_at) if at]
        if self._policy and (times or isinstance(self.part.due, do.AskPerson)):
            times.append(self._clock() + timedelta(seconds=leaving.LOOK_EVERY))
        if times:
            at = min(times)
            wait = max(0.0, (at - self._clock()).total_seconds())
            ring = lambda: self.soon(lambda: self.part.time_passed(max(at, self._clock())))  # noqa: E731
            self._alarm = asyncio.get_running_loop().call_later(wait, ring)

    async def note(self, *entries: AuditEntry) -> None:
        """Writes to the audit chain what has happened; what the disk does not take now comes with the next entry."""
        await asyncio.to_thread(self.audit.note, *entries, now=self._clock())

    # -- what takes long ---------------------------------------------------------------------------------------------

    async def _fetch(self, action: do.Fetch) -> Given:
        if isinstance(action.then, do.Train):
            await self.note(plan_received(self.masking.checked(action.then.plan)))
            await rebuild_start(action.then.plan, self.blobs, self.downloads, self._warn)
        for sha256 in action.blobs:
            await self.downloads.fetch(sha256, action.round)
        return partial(self.part.done, action)

    async def _train(self, action: do.Train) -> Given:
        with self._lock:
            self.control = Control()
            if self.part.paused:
                self.control.pause()
        plan, spec = action.plan, self.part.spec
        assert spec is not None  # nothing is trained before the welcome
        given = await asyncio.to_thread(self.holdings.given, plan)
        await asyncio.to_thread(self.audit.append, *training_began(plan), now=self._clock())
        ledger = None
        try:
            ledger = await asyncio.to_thread(open_spending, self._folder, plan, [*self.part.entries.values()])
            budget = budget_of(ledger, plan, spec, self.part.gate.policy)
            result = await self.computing.carry_out(plan, replace(given, budget=budget), self.control)
            result = await self.masking.masked(plan, given, result)
        except UserFacingError as error:
            await self.note(training_ended(plan, error))
            raise
        finally:
            if ledger is not None:
                ledger.close()
        return partial(self.part.trained, action, result)

    async def _ask(self, action: do.AskPerson) -> Given:
        verdict = await self._approver.decide(action.entry)
        return partial(self.part.decided, action, verdict.approve, verdict.by, verdict.reason, verdict.delay)

    def _computes(self, round_number: int, phase: events.Phase) -> None:
        self.tell(partial(self.part.computes, round_number, phase))

    def _computed(self, event: events.Event) -> None:
        """Passes on what the working thread tells, which shows that it works."""
        self._emit(event)
        if time.monotonic() - self._last_sign >= _SIGN_EVERY:
            self._last_sign = time.monotonic()
            self.tell(self.part.works)

    def _warn(self, fault: UserFacingError) -> None:
        self._emit(events.Warned(site=self.part.site, code=fault.code, params=fault.params))

    # -- what is written, on another thread --------------------------------------------------------------------------

    async def _write(self, action: do.Store | do.Record | do.Conclude, write: Callable[[], Given]) -> None:
        try:
            given = await asyncio.to_thread(write)
        except UserFacingError as error:
            if action is not self.part.due:
                raise
            given = partial(self.part.failed, action, error, self._clock())
        await self._carry_out(given)

    def _store(self, action: do.Store) -> Given:
        # First the site's own: after a crash between the two, the plan is trained again from the same.
        self.holdings.keep(action.plan, action.result)
        self.audit.note(training_ended(action.plan, action.result.update), now=self._clock())
        entry = self.outbox.put(action.plan, action.result, self._clock())
        self.computing.forget(action.plan)
        return partial(self.part.recorded, action, entry)

    def _record(self, action: do.Record) -> Given:
        return partial(self.part.recorded, action, record(self.outbox, action, self._clock()))

    def _conclude(self, action: do.Conclude) -> Given:
        self.audit.append(final_verified(action), now=self._clock())
        if action.frozen:  # first, so that one is never found without the other
            self.outbox.remember("final frozen", action.frozen)
        self.outbox.remember("final", action.adapter)
        return partial(self.part.done, action)


def _nothing() -> None:
    """An input that only has the policy's files looked at."""
