# SPDX-License-Identifier: Apache-2.0
"""A site's agent: joins, hears the coordinator, has each plan answered, takes the final adapter.

Everything that must survive is in the outbox and the checkpoints. What a lost connection or a crash swallowed is told
again after the next welcome, and every message means the same when it comes twice.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from .. import events
from ..errors import UserFacingError
from ..federation import FederationSpec, Trainer
from ..federation.client_privacy import notice
from ..federation.part_actions import Record as Recording
from ..federation.policy import InForce
from ..identity import PrivateKey, fingerprint, phrase
from ..lora import Adapter
from ..protocol import messages
from ..protocol.handshake import answered
from ..protocol.invitation import Invitation
from ..protocol.masking import ToMasker
from ..protocol.signing import Bond, Signed
from ..storage.outbox import Decision, Record
from ..storage.secrets import Kept, load_key
from ..storage.sides import check_side
from .approval import Approver
from .auditing import joined, signature_refused
from .carried import Carried
from .driver import Driver
from .jobs import JobRunner
from .link import Backoff, Link
from .proxy import SYSTEM
from .tls import context_for
from .token import forget_token, old_token
from .upload import Uploads

Emit = Callable[[events.Event], None]


def _now() -> datetime:
    return datetime.now(UTC)


class SiteAgent:
    """One site in one federation. `run` on an event loop; `emit` is called from that loop and from the working thread.

    `address`: wss://host:port, or ws://127.0.0.1:port for a coordinator on this computer. `invitation`: for the first
    join, or one that brings a new address or key; later starts remember which coordinator was joined.

    `make_trainer` is called on the working thread once the federation's specification is known; it may raise
    UserFacingError (notes without a known type, another base model), which ends `run`. `rank_cap`: the largest rank
    that this site's hardware can take; None for any. `policy` reads the site's own policy (policy_file), off the loop.
    `proxy`: "system", "none" or a URL. `bundles`: files that come from the coordinator and go to it, in place of a
    connection.
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
        jobs: JobRunner,
        emit: Emit,
        invitation: Invitation | None = None,
        rank_cap: int | None = None,
        backoff: Backoff | None = None,
        clock: Callable[[], datetime] = _now,
        policy: Callable[[], InForce] | None = None,
        proxy: str = SYSTEM,
        bundles: tuple[Path, Path] | None = None,
    ) -> None:
        check_side(data_dir, "site")
        if invitation and invitation.role != "site":
            raise UserFacingError("invitation.of_host", site=invitation.site)
        self.name = name
        self._base = base_fingerprint
        self._rank_cap = rank_cap
        self._emit = emit
        self._clock = clock
        self.data_dir = data_dir
        self._invitation = invitation
        self._code = invitation.code.hex() if invitation else None  # until the key is known instead
        line = name, address, self._hello, self._receive, self._tell
        self._link = Carried(*line, *bundles) if bundles else Link(*line, backoff or Backoff())
        self._link.proxy = proxy
        self._key: PrivateKey | None = None
        self.kept: Kept | None = None  # where the key lies; known once `run` has begun
        self._token: str | None = None
        self._bond: Bond | None = None
        self._coordinator = ""  # public key of the one on the line
        self._driver = Driver(
            name,
            data_dir,
            make_trainer,
            approver,
            jobs,
            self._link,
            self._signed,
            self._tell,
            clock,
            rank_cap,
            self._pass_on_fault,
            policy,
        )
        self._part = self._driver.part
        self.outbox, self.holdings = self._driver.outbox, self._driver.holdings
        leaving = self._driver.leaving
        self._uploads = Uploads(name, self.outbox, self._link, emit, leaving.may_move, leaving.is_open)
        self._done: asyncio.Future[str] | None = None
        self._last: Record | None = None  # of a closed outbox
        self._closing = threading.Lock()

    async def run(self) -> str:
        """Takes part until the federation has finished; returns the sha256 of its final adapter.

        With bundles it returns "" once there is an answer to be carried back. Raises UserFacingError where the site
        cannot take part. Cancelling it ends work at a checkpoint.
        """
        self._done = asyncio.get_running_loop().create_future()
        try:
            await asyncio.to_thread(self._identify)
            await self._driver.take(self._part.restarted)
        except BaseException:
            self.close()
            raise
        link = asyncio.create_task(self._link.run(), name=f"link of {self.name}")
        try:
            waiting: list[asyncio.Future[Any]] = [link, self._done]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if link.done():
                link.result()
            return self._done.result() if self._done.done() else ""
        finally:
            link.cancel()
            await self._driver.end()
            left = [link, self._done, *(task for task in (self._uploads.task, self._driver.computing.trainer) if task)]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            self.close()

    def close(self) -> None:
        """Frees the data folder. `run` does so at its end; an agent that never ran is closed by its owner."""
        with self._closing:
            if self._last is None:
                self._driver.journal.close()
                try:
                    self._last = self.outbox.record()
                finally:
                    self.outbox.close()

    def record(self) -> Record:
        """The record in this site's outbox, or its last; any thread, from construction on, also after the end."""
        with self._closing:
            return self._last or self.outbox.record()

    def measured(self) -> list[events.Event]:
        """Every TrainingStep and Evaluated of this site, of earlier starts too, in order; any thread, at any time.

        Reads a file: not for a GUI thread. Steps that a training repeated from a checkpoint may be in it twice; of a
        closed round with many steps an even selection is left (storage.Journal).
        """
        return self._driver.journal.events()

    @property
    def decisions(self) -> list[Decision]:
        """The record of decisions, in order; any thread."""
        return list(self.record().decisions)

    def blob_path(self, sha256: str) -> Path | None:
        """Path of an adapter that this site holds, for reading it here; None if it has none of that hash."""
        blobs = self._driver.blobs
        return blobs.path(sha256) if sha256 in blobs else None

    def final_adapter(self, sha256: str) -> Adapter:
        """The federation's final model as one adapter; `holdings` has the site's own. Raises UserFacingError."""
        return self.holdings.final(sha256, self.record().final_frozen)

    def take_back(self, sha256: str, by: str, reason: str) -> None:
        """Undoes an approval that is not yet in effect; on the agent's loop. Raises UserFacingError if it is."""
        taken_back = Recording(sha256, "taken_back", by, reason)
        entry = self.outbox.decide(taken_back, self._clock())
        self._driver.soon(partial(self._part.recorded, taken_back, entry))

    @property
    def paused(self) -> bool:
        return self._part.paused

    def pause(self) -> None:
        """Stops computing at the next micro-step, in this plan and in later ones, until `resume`; any thread.

        Approvals, uploads and downloads go on. The face and the coordinator are told the phase "paused". The working
        thread is held meanwhile, so other sites that share `jobs` wait too. A restart does not remember it.
        """
        self._driver.pause(True)

    def resume(self) -> None:
        """Continues where it was paused, and tells the true phase again; any thread."""
        self._driver.pause(False)

    # -- messages --------------------------------------------------------------------------------------------------

    def _identify(self) -> None:
        """Loads this site's key, and looks up which coordinator it may speak to. Reads files."""
        alone = self._link.address.startswith("ws:")  # a trial on this computer leaves nothing in a keyring
        self._key, self.kept = load_key(self.data_dir, "site", in_file=alone)
        self._driver.audit.host_id = self._key.fingerprint
        if isinstance(self._link, Carried):
            self._link.hold(self._key, self._driver)
        self._token = old_token(self.data_dir / "token")
        known, given = self.outbox.recall("coordinator"), self._invitation
        if known and given and given.fingerprint != known:
            raise UserFacingError("join.other_coordinator", found=given.fingerprint[:16], expected=known[:16])
        self._link.expected = given.fingerprint if given else known
        if self._link.address.startswith("wss:"):
            if self._link.expected is None:
                raise UserFacingError("link.no_invitation", address=self._link.address)
            self._link.tls = context_for(given.roots if given else self.outbox.recall("roots") == "yes")

    def _hello(self, given: messages.Challenge) -> messages.Hello:
        assert self._key is not None
        self._coordinator = given.key
        hello = messages.Hello(
            version=messages.VERSION,
            site=self.name,
            key=self._key.public,
            base=self._base,
            rank_cap=self._rank_cap,
            code=self._code,
            token=None if self._invitation else self._token,  # an invitation may be another coordinator's
        )
        return answered(self._key, given, hello)

    def _signed(self, message: Signed) -> Signed:
        assert self._key is not None and self._bond is not None  # nothing is said before the welcome
        return self._bond.signed(self._key, message)

    async def _checked(self, message: Signed) -> None:
        """Raises UserFacingError unless the coordinator signed the message for this site and federation."""
        assert self._bond is not None
        try:
            self._bond.check(message)
        except UserFacingError:
            await self._driver.note(signature_refused(message.type))
            raise

    async def _show_identity(self, waits: bool) -> None:
        assert self._key is not None
        prints = {"site_fingerprint": self._key.fingerprint, "coordinator_fingerprint": fingerprint(self._coordinator)}
        words = await asyncio.to_thread(phrase, self._key.public, self._coordinator)
        self._emit(events.IdentityShown(site=self.name, phrase=words, waits=waits, **prints))

    async def _receive(self, message: messages.Message | bytes) -> None:
        part, take = self._part, self._driver.take
        if not part.offers.joined and not isinstance(message, messages.Welcome | messages.Waiting):
            raise UserFacingError("protocol.not_understood", place="message", reason="welcome comes first")
        match message:
            case bytes():
                await self._driver.downloads.chunk(message)
            case messages.Welcome():
                await self._welcome(message)
            case messages.Waiting():
                await self._show_identity(waits=True)
            case messages.Standing():
                told = {name: value for name, value in message if name != "type"}
                self._emit(events.StandingChanged(site=self.name, **told))
            case messages.Ask(plan=plan, attempt=attempt):
                await self._checked(message)
                await take(partial(part.asked, plan, attempt))
            case _ if isinstance(message, ToMasker):
                await self._driver.masking.heard(message)
            case messages.NotAsked(round=round_number):
                await take(partial(part.not_asked, round_number))
            case messages.Want(sha256=sha256, offset=offset):
                self._uploads.wanted(sha256, offset)
            case messages.Missing(sha256=sha256):
                await self._driver.downloads.missing(sha256)
            case messages.Receipt(update=update, audit=head):
                await self._checked(message)
                if update in part.entries:  # none of others, of which there may be any number
                    await asyncio.to_thread(self.outbox.remember, f"receipt {update}", message.model_dump_json())
                await take(partial(part.receipt, update, head or ""))
            case messages.Refused(update=update, code=code, params=params):
                await take(partial(part.refused, update, code, params))
            case messages.Finished(adapter=adapter, frozen=frozen):
                await self._checked(message)
                await take(partial(part.finished, adapter, frozen))
            case _:
                raise UserFacingError("protocol.not_understood", place=message.type, reason="not for a site")

    async def _welcome(self, welcome: messages.Welcome) -> None:
        self._part.check_spec(welcome.spec)
        await asyncio.to_thread(self._remember, welcome)
        assert self._key is not None
        self._bond = Bond(welcome.federation, self._key.public, self._coordinator)
        self._driver.masking.welcomed(self._key, welcome.federation)
        await self._show_identity(waits=False)
        if self._part.spec is None and (found := notice(welcome.spec)):  # once, before anything is trained
            self._emit(events.Warned(site=self._part.site, code=found[0], params=found[1]))
        self._driver.computing.prepare(welcome.spec, self._pass_on_fault)
        await self._driver.take(partial(self._part.welcomed, welcome.spec, welcome.round))
        await self._driver.downloads.ask_again()

    def _remember(self, welcome: messages.Welcome) -> None:
        """Writes down what was joined, so that a later start needs no invitation. Raises UserFacingError."""
        known, name = self.outbox.recall("federation"), welcome.spec.name
        if known not in (None, welcome.federation):
            raise UserFacingError("join.other_federation", known=known[:12], found=f"{name} {welcome.federation[:12]}")
        self._driver.audit.owner = welcome.site
        if known is None:
            self._driver.audit.append(joined(welcome.spec, welcome.federation), now=self._clock())
        facts = {
            "federation": welcome.federation,
            "coordinator": fingerprint(self._coordinator),
            "address": self._link.address,
            "name": self.name,
            "spec": welcome.spec.model_dump_json(),
        }
        if self._invitation:
            facts["roots"] = "yes" if self._invitation.roots else "no"
        for fact, body in facts.items():
            if self.outbox.recall(fact) != body:
                self.outbox.remember(fact, body)
        self._link.expected = facts["coordinator"]
        forget_token(self.data_dir / "token")
        self._token = self._code = None

    def _tell(self, event: events.Event) -> None:
        if isinstance(event, events.ConnectionChanged):
            self._driver.tell(self._part.line_lost)  # what is said on a new one begins with the welcome
        self._emit(event)
        if isinstance(event, events.FederationFinished) and self._done and not self._done.done():
            self._done.set_result(event.adapter)

    def _pass_on_fault(self, work: asyncio.Future[Any]) -> None:
        if not work.cancelled() and (error := work.exception()) and self._done and not self._done.done():
            self._done.set_exception(error)
