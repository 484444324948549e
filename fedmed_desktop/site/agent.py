# SPDX-License-Identifier: Apache-2.0
"""A site's agent: joins, hears the coordinator, has each plan answered, takes the final adapter.

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
from ..federation import FederationSpec, Trainer
from ..lora import Adapter
from ..protocol.messages import (
    VERSION,
    Ask,
    Finished,
    Hello,
    Message,
    Missing,
    NotAsked,
    Progress,
    Receipt,
    Refused,
    Standing,
    Want,
    Welcome,
)
from ..storage import BlobStore, Decision, Journal, Outbox, OwnStore, Record
from .answering import Answering
from .approval import Approver
from .computing import Computing
from .decisions import Decisions
from .download import Downloads
from .folder import STATE
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
        self._link = Link(address, self._hello, self._receive, emit, backoff or Backoff())
        self._blobs = BlobStore(data_dir / "blobs")
        self.outbox = Outbox(data_dir / STATE, self._blobs)
        self.holdings = Holdings(self._blobs, self.outbox, OwnStore(data_dir / "own"))
        self._token = own_token(data_dir / "token")
        self._downloads = Downloads(name, self._blobs, self._link.send, emit)
        self._uploads = Uploads(name, self.outbox, self._link, emit)
        self._phases = Phases(name, emit, self._tell_phase)
        self._journal = Journal(data_dir / "metrics.sqlite", self._warn)
        self._computing = Computing(data_dir, make_trainer, jobs, self._phases, self._journal, emit, rank_cap)
        self._done: asyncio.Future[str] | None = None
        self._decisions = Decisions(name, self.outbox, approver, emit, self._phases.enter, clock)
        self._answering = Answering(
            name,
            outbox=self.outbox,
            holdings=self.holdings,
            downloads=self._downloads,
            computing=self._computing,
            decisions=self._decisions,
            phases=self._phases,
            journal=self._journal,
            link=self._link,
            emit=emit,
            clock=clock,
            done=self._pass_on_fault,
        )
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
            await self._answering.end()
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
                await self._answering.asked(plan, attempt)
            case NotAsked(round=round_number):
                await self._answering.not_asked(round_number)
            case Want(sha256=sha256, offset=offset):
                self._uploads.wanted(sha256, offset)
            case Missing(sha256=sha256):
                self._downloads.missing(sha256)
            case Receipt() | Refused():
                await self._answering.verdict(message)
            case Finished(adapter=adapter, frozen=frozen):
                await self._answering.instead(lambda: self._take_final(adapter, frozen))
            case _:
                raise UserFacingError("protocol.not_understood", place=message.type, reason="not for a site")

    async def _welcome(self, welcome: Welcome) -> None:
        known = self.outbox.recall("spec")
        if known is None:
            await asyncio.to_thread(self.outbox.remember, "spec", welcome.spec.model_dump_json())
        elif (before := FederationSpec.model_validate_json(known)) != welcome.spec:
            raise UserFacingError("join.other_federation", known=before.name, found=welcome.spec.name)
        self._computing.prepare(welcome.spec, self._pass_on_fault)
        self._emit(_joined(self.name, welcome))
        await self._answering.offer_again()
        await self._downloads.ask_again()

    def _warn(self, fault: UserFacingError) -> None:
        self._emit(events.Warned(site=self.name, code=fault.code, params=fault.params))

    def _pass_on_fault(self, work: asyncio.Future[Any]) -> None:
        if not work.cancelled() and (error := work.exception()) and self._done and not self._done.done():
            self._done.set_exception(error)

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
