# SPDX-License-Identifier: Apache-2.0
"""A site's agent: joins, downloads, has a training done, asks for approval, lets approved updates be fetched.

Everything that must survive is in the outbox and the checkpoints; whatever was lost with a connection or a crash is
told again after the next welcome, and every message means the same when it comes twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .. import events
from ..errors import UserFacingError
from ..federation import Control, FederationSpec, LocalResult, Plan, Trainer
from ..lora import Adapter
from ..protocol.messages import (
    VERSION,
    Ask,
    Decline,
    Finished,
    Hello,
    Message,
    Missing,
    NotAsked,
    OfferUpdate,
    Progress,
    Receipt,
    Refused,
    Standing,
    Want,
    Welcome,
)
from ..storage import BlobStore, Decision, Entry, Journal, Outbox, OwnStore, Record
from .approval import Approver
from .computing import Computing
from .decisions import Decisions
from .download import Downloads
from .holdings import Holdings
from .jobs import Jobs
from .link import Backoff, Link
from .phases import Phases
from .token import own_token
from .upload import Uploads

Emit = Callable[[events.Event], None]

_AFTER_ALL_ROUNDS = 2**31


def _now() -> datetime:
    return datetime.now(UTC)


class SiteAgent:
    """One site in one federation. `run` on an event loop; `emit` is called from that loop and from the working thread.

    `make_trainer` is called on the working thread once the federation's specification is known; it may raise
    UserFacingError (notes without a known type, another base model), which ends `run`. `rank_cap`: the largest rank
    that this site's hardware bears; None for any.
    """

    def __init__(
        self,
        *,
        name: str,
        address: str,
        data_dir: Path,
        base_fingerprint: str,
        make_trainer: Callable[[FederationSpec], Trainer],
        approver: Approver,
        jobs: Jobs,
        emit: Emit,
        rank_cap: int | None = None,
        backoff: Backoff | None = None,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self.name = name
        self._base = base_fingerprint
        self._rank_cap = rank_cap
        self._emit = emit
        self._clock = clock
        self._link = Link(address, self._hello, self._receive, emit, backoff or Backoff())
        self._blobs = BlobStore(data_dir / "blobs")
        self.outbox = Outbox(data_dir / "site.sqlite", self._blobs)
        self.holdings = Holdings(self._blobs, self.outbox, OwnStore(data_dir / "own"))
        self._token = own_token(data_dir / "token")
        self._downloads = Downloads(name, self._blobs, self._link.send, emit)
        self._uploads = Uploads(name, self.outbox, self._link, emit)
        self._phases = Phases(name, emit, self._tell_phase)
        self._journal = Journal(data_dir / "metrics.sqlite", self._warn)
        self._computing = Computing(data_dir, make_trainer, jobs, self._phases, self._journal, emit)
        self._plan: Plan | None = None
        self._attempt = 1
        self._work: asyncio.Task[None] | None = None
        self._offered: set[str] = set()
        self._answered = asyncio.Event()
        self._done: asyncio.Future[str] | None = None
        self._decisions = Decisions(name, self.outbox, approver, emit, self._phases.enter, clock)
        self._last: Record | None = None  # of a closed outbox
        self._closing = threading.Lock()

    async def run(self) -> str:
        """Takes part until the federation has finished; returns the sha256 of its final adapter.

        Raises UserFacingError where the site cannot take part. Cancelling it ends work at a checkpoint.
        """
        self._done = asyncio.get_running_loop().create_future()
        self._decisions.take_back_unreleased()
        link = asyncio.create_task(self._link.run(), name=f"link of {self.name}")
        try:
            waiting: list[asyncio.Future[Any]] = [link, self._done]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if link.done():
                link.result()
            return self._done.result()
        finally:
            link.cancel()
            await self._end_work()
            left = [link, *(task for task in (self._uploads.task, self._computing.trainer) if task)]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            with contextlib.suppress(UserFacingError):  # a full disk: the next start does it
                self._decisions.take_back_unreleased()
            self.close()

    def close(self) -> None:
        """Lets go of the data folder: `run` does so at its end; an agent that never ran is closed by its owner."""
        with self._closing:
            if self._last is None:
                self._journal.close()
                try:
                    self._last = self.outbox.record()
                finally:
                    self.outbox.close()

    def record(self) -> Record:
        """What this site's outbox says now, or said last; any thread, from construction on, also after the end."""
        with self._closing:
            return self._last or self.outbox.record()

    def measured(self) -> list[events.Event]:
        """Every TrainingStep and Evaluated of this site, of earlier starts too, in order; any thread, at any time.

        Reads a file: not for a GUI thread. Steps that a training repeated from a checkpoint may be in it twice; of a
        closed round with many steps an even selection is left (storage.Journal).
        """
        return self._journal.events()

    @property
    def decisions(self) -> list[Decision]:
        """The record of decisions, in order; any thread."""
        return list(self.record().decisions)

    def blob_path(self, sha256: str) -> Path | None:
        """Where an adapter lies that this site holds, for reading it here; None where it holds none of that hash."""
        return self._blobs.path(sha256) if sha256 in self._blobs else None

    def final_adapter(self, sha256: str) -> Adapter:
        """The federation's final model as one adapter; `holdings` has the site's own. Raises UserFacingError."""
        return self.holdings.final(sha256, self.record().final_frozen)

    def take_back(self, sha256: str, by: str, reason: str) -> None:
        """Undoes an approval that is not yet in effect; on the agent's loop. Raises UserFacingError if it is."""
        self._decisions.take_back(sha256, by, reason)

    @property
    def paused(self) -> bool:
        return self._phases.paused

    def pause(self) -> None:
        """Computing stops at the next micro-step, in this plan and in later ones, until `resume`; any thread.

        Approvals, uploads and downloads go on. The face and the coordinator are told the phase "paused". The working
        thread is held meanwhile, so other sites that share `jobs` wait too. A restart does not remember it.
        """
        self._phases.pause()

    def resume(self) -> None:
        """Goes on where it was paused, and tells the true phase again; any thread."""
        self._phases.resume()

    # -- messages --------------------------------------------------------------------------------------------------

    def _hello(self) -> Hello:
        return Hello(version=VERSION, site=self.name, token=self._token, base=self._base, rank_cap=self._rank_cap)

    async def _receive(self, message: Message | bytes) -> None:
        if self._computing.trainer is None and not isinstance(message, Welcome):
            raise UserFacingError("protocol.not_understood", place="message", reason="welcome comes first")
        match message:
            case bytes():
                await self._downloads.chunk(message)
            case Welcome():
                await self._welcome(message)
            case Standing():
                told = {name: value for name, value in message if name != "type"}
                self._emit(events.StandingChanged(site=self.name, **told))
            case Ask(plan=plan, attempt=attempt):
                await self._asked(plan, attempt)
            case NotAsked(round=round_number):
                await self._not_asked(round_number)
            case Want(sha256=sha256, offset=offset):
                self._uploads.wanted(sha256, offset)
            case Missing(sha256=sha256):
                self._downloads.missing(sha256)
            case Receipt() | Refused():
                await self._verdict_of_coordinator(message)
            case Finished(adapter=adapter, frozen=frozen):
                await self._end_work()
                self._work = asyncio.create_task(self._take_final(adapter, frozen))
                self._work.add_done_callback(self._pass_on_fault)
            case _:
                raise UserFacingError("protocol.not_understood", place=message.type, reason="not for a site")

    async def _verdict_of_coordinator(self, message: Receipt | Refused) -> None:
        """A receipt or a refusal for something that was sent; repeated or unknown ones change nothing."""
        released = await asyncio.to_thread(self.outbox.in_state, "released")
        if message.update not in {entry.sha256 for entry in released}:
            return
        if isinstance(message, Receipt):
            await asyncio.to_thread(self.outbox.acknowledged, message.update, self._clock())
            self._answered.set()
            self._emit(events.ReceiptReceived(site=self.name, round=message.round, update=message.update))
            self._phases.enter(message.round, "sent")
            return
        await asyncio.to_thread(self.outbox.refused, message.update, message.code, self._clock())
        self._answered.set()
        self._emit(
            events.UpdateRefused(
                site=self.name, round=message.round, update=message.update, code=message.code, params=message.params
            )
        )
        await self._link.send(Decline(round=message.round, code="failed"))

    async def _welcome(self, welcome: Welcome) -> None:
        known = self.outbox.recall("spec")
        if known is None:
            await asyncio.to_thread(self.outbox.remember, "spec", welcome.spec.model_dump_json())
        elif (before := FederationSpec.model_validate_json(known)) != welcome.spec:
            raise UserFacingError("join.other_federation", known=before.name, found=welcome.spec.name)
        self._computing.prepare(welcome.spec, self._pass_on_fault)
        self._emit(_joined(self.name, welcome))
        self._offered.clear()
        for entry in await asyncio.to_thread(self.outbox.in_state, "released"):
            await self._offer(entry)
        await self._downloads.ask_again()

    async def _asked(self, plan: Plan, attempt: int) -> None:
        self._attempt = attempt
        if plan == self._plan and self._work and not self._work.done():
            # The coordinator may have missed it, or begun to count anew; an operator's time depends on it.
            self._phases.tell_again(plan.round)
            return
        if plan != self._plan:
            await self._close_rounds_before(plan.round)
        self._plan = plan
        control = self._phases.new_control()
        self._work = asyncio.create_task(self._answer(plan, control), name=f"round {plan.round} of {self.name}")
        self._work.add_done_callback(self._pass_on_fault)

    async def _not_asked(self, round_number: int) -> None:
        """The round goes on without this site: what still ran or waited for an earlier one is over."""
        if self._plan is None or self._plan.round < round_number:
            await self._close_rounds_before(round_number)
            self._phases.enter(round_number, "not_asked")

    async def _close_rounds_before(self, round_number: int) -> None:
        await self._end_work()
        self._decisions.expire_before(round_number)
        await self._computing.forget_checkpoints_before(round_number)
        await asyncio.to_thread(self._journal.thin_before, round_number)

    def _warn(self, fault: UserFacingError) -> None:
        self._emit(events.Warned(site=self.name, code=fault.code, params=fault.params))

    def _pass_on_fault(self, work: asyncio.Future[Any]) -> None:
        if not work.cancelled() and (error := work.exception()) and self._done and not self._done.done():
            self._done.set_exception(error)

    # -- a round -----------------------------------------------------------------------------------------------------

    async def _answer(self, plan: Plan, control: Control) -> None:
        try:
            entry = await self._decided(plan, control)
        except UserFacingError as error:
            # A full disk, for one. This round has failed here; nothing that was not written counts as done, and the
            # site goes on with what is on disk when it is asked again.
            self._emit(events.Failed(site=self.name, round=plan.round, code=error.code, params=error.params))
            await self._link.send(Decline(round=plan.round, code="failed"))
            return
        if entry.state == "released":
            await self._offer(entry)
        elif entry.state in ("kept", "expired"):
            await self._link.send(Decline(round=plan.round, code="kept" if entry.state == "kept" else "expired"))
        elif entry.state == "refused":
            await self._link.send(Decline(round=plan.round, code="failed"))

    async def _decided(self, plan: Plan, control: Control) -> Entry:
        """The plan's update, made if need be, and decided on. Raises UserFacingError."""
        entry = await asyncio.to_thread(self.outbox.for_plan, plan)
        if entry is None:
            result = await self._carry_out(plan, control)
            await asyncio.to_thread(self.holdings.keep, plan, result)
            entry = await asyncio.to_thread(self.outbox.put, plan, result, self._clock())
            await self._computing.forget_checkpoints(plan)
        entry = await self._decisions.made(self._decisions.reopened(entry, self._attempt))
        if entry.state == "kept":
            self._decisions.remember_attempt(entry, self._attempt)
        return entry

    async def _carry_out(self, plan: Plan, control: Control) -> LocalResult:
        self._phases.enter(plan.round, "downloading")
        for sha256 in plan.blobs:
            await self._downloads.fetch(sha256, plan.round)
        self._emit(events.PlanFetched(site=self.name, round=plan.round, start=plan.start, frozen=plan.frozen))
        if plan.variate:
            await self._all_answered(plan.round)
        given = await asyncio.to_thread(self.holdings.given, plan)
        return await self._computing.carry_out(plan, given, control)

    async def _all_answered(self, round_number: int) -> None:
        """Until the coordinator has said of each earlier update whether it counts: c_i moves only with those.

        A receipt that a cut has swallowed is told again after the next welcome, perhaps after the round's plan.
        """
        while True:
            self._answered.clear()
            released = await asyncio.to_thread(self.outbox.in_state, "released")
            if all(entry.plan.round >= round_number for entry in released):
                return
            await self._answered.wait()

    async def _offer(self, entry: Entry) -> None:
        if entry.sha256 in self._offered or self._link.connection is None:
            return
        self._offered.add(entry.sha256)
        self._phases.enter(entry.plan.round, "uploading")
        await self._link.send(OfferUpdate(update=entry.update))

    async def _take_final(self, adapter: str, frozen: str | None) -> None:
        for sha256 in (adapter, frozen):
            if sha256:
                await self._downloads.fetch(sha256, 0)
        self._decisions.expire_before(_AFTER_ALL_ROUNDS)
        await asyncio.to_thread(self._journal.thin_before, _AFTER_ALL_ROUNDS)
        if frozen:  # first: who finds the one finds the other
            await asyncio.to_thread(self.outbox.remember, "final frozen", frozen)
        await asyncio.to_thread(self.outbox.remember, "final", adapter)
        self._emit(events.FederationFinished(site=self.name, adapter=adapter))
        if self._done and not self._done.done():
            self._done.set_result(adapter)

    # -- the coordinator hears ---------------------------------------------------------------------------------------

    def _tell_phase(self, round_number: int, phase: events.Phase) -> None:
        self._link.post(Progress(round=round_number, phase=phase))

    async def _end_work(self) -> None:
        self._phases.control.stop()
        if self._work:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
            self._work = None


def _joined(site: str, welcome: Welcome) -> events.Joined:
    spec = welcome.spec
    return events.Joined(
        site=site,
        round=min(welcome.round, spec.rounds),
        federation=spec.name,
        environment=spec.environment,
        method=spec.method.name,
        rounds=spec.rounds,
        sites=spec.round.sites,
        types=spec.types,
    )
