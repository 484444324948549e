# SPDX-License-Identifier: Apache-2.0
"""One connected site at the coordinator: its messages, its upload, its downloads."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from .. import events
from ..errors import UserFacingError
from ..federation import Part, Plan, Update
from ..federation.inputs import AwaitsApproval, SiteDeclined
from ..protocol.messages import (
    Ask,
    Decline,
    Finished,
    Message,
    Missing,
    OfferUpdate,
    Progress,
    Receipt,
    Refused,
    Want,
    decode,
    encode,
    sayable,
)
from ..protocol.signing import Bond
from ..protocol.transfer import MOST_FETCHES, Reception, decode_chunk
from ..protocol.wire import MAX_SIZE_TO_COORDINATOR, send_blob
from .host import Host
from .limits import Pace, SiteLimits
from .offered import Offered

# Answers that may wait for a site to read them. A site has a handful of messages to wait for, never this many.
_MOST_OUTGOING = 256


class SiteSession:
    """Serves one connection of an admitted site until it ends."""

    def __init__(
        self,
        site: str,
        key: str,
        connection: ServerConnection,
        host: Host,
        emit: Callable[[events.Event], None],
        tries: Counter[str],
        limits: SiteLimits,
    ) -> None:
        """`key`: the site's public key. `tries`: failed transfers of its update, which outlive a connection."""
        self._tries, self._limits = tries, limits
        self._pace = Pace(limits.clock)
        self.key = key
        self._bond = Bond(host.federation, key, host.key.public)
        self._offers = host.pruning.watch(Offered(self._bond))
        self.site = site
        self.connection = connection
        self._host = host
        self._emit = emit
        self._outgoing: asyncio.Queue[Message] = asyncio.Queue(_MOST_OUTGOING)
        self._reader = host.bulletin.reader(site, connection.send)
        self._download: asyncio.Task[None] | None = None
        self._update: Update | None = None
        self._plan: Plan | None = None
        self._reception: Reception | None = None
        self._receiving = ""  # the name of the part that is
        self._phase: tuple[int, events.Phase] | None = None  # that it has told last
        self._checked: dict[str, Path] = {}  # parts that passed, and where they lie
        self.hears = True  # until it is parted with, which a hostile site may draw out
        self.ended = asyncio.Event()

    def send(self, message: Message) -> None:
        """Queues a message; never waits. What a site that has just gone misses is told again when it is back."""
        if isinstance(message, Receipt):
            message = self._offers.named(message, self._host.trail.head)
        if isinstance(message, Ask | Receipt | Finished):
            message = self._bond.signed(self._host.key, message)
        if isinstance(message, Want):  # the answer comes in frames as long as a chunk
            self.connection.protocol.max_message_size = MAX_SIZE_TO_COORDINATOR
        try:
            self._outgoing.put_nowait(message)
        except asyncio.QueueFull:  # it asks and asks, but does not listen
            self.connection.transport.abort()

    async def _write(self) -> None:
        try:
            while True:
                message = await self._outgoing.get()
                if isinstance(message, Finished):  # the site may leave upon it
                    await self._reader.tell()
                await self.connection.send(encode(message))
        except ConnectionClosed:
            return

    async def serve(self) -> None:
        """Tells the site what it still has to do, then answers until the connection ends."""
        await self._host.settled()
        writer = asyncio.create_task(self._write())
        reader = asyncio.create_task(self._reader.run())
        try:
            if plan := self._host.rounds.plan_for(self.site):
                self.send(Ask(plan=plan, attempt=self._host.rounds.state.attempt))
            elif self._host.rounds.state.phase == "finished":
                self.send(self._host.farewell())
            elif rest := self._host.rest(self.site):
                self.send(rest)
            for message in self._host.masking.messages_for(self.site):
                self.send(message)
            async for frame in self.connection:
                if not self.hears:
                    return
                self._pace.heard(frame)
                if isinstance(frame, bytes):
                    await self._chunk(frame)
                else:
                    await self._message(decode(frame))
                del frame  # a site that waits for days after its last chunk has none held
        finally:
            self._limits.uploads.leave(self.site)
            tasks = [writer, reader, *([self._download] if self._download else [])]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _message(self, message: Message) -> None:
        match message:
            case Progress(round=round_number, phase=phase):
                self._told(round_number, phase)
                if phase == "approval" and round_number:
                    await self._host.apply(AwaitsApproval(site=self.site, round=round_number))
            case OfferUpdate():
                self._heard(message)
                await self._offered(message)
            case Decline(round=round_number, code=code, attempt=attempt):
                self._heard(message)
                state = self._host.rounds.state
                if (round_number, attempt) < (state.round, state.attempt):
                    return  # of an earlier attempt: the site has been asked again since
                await self._host.apply(SiteDeclined(site=self.site, round=round_number, code=code))
            case Want(sha256=sha256, offset=offset):
                await self._wanted(sha256, offset)
            case Missing(sha256=sha256):
                if self._update and self._reception and self._reception.sha256 == sha256:
                    self._refuse(self._update, UserFacingError("update.not_here"))
                elif fault := self._host.lost.gone(self.site, sha256):
                    self._emit(events.Warned(site=self.site, code=fault.code, params=fault.params))
                elif self._reception:  # the question came there as another one
                    self._ask_for(self._reception)
            case _ if not await self._host.masking.heard(self.site, self.key, message):
                self._limits.refusals.check(self.site)
                raise self._host.trail.not_for(self.site, message.type)

    def _told(self, round_number: int, phase: events.Phase) -> None:
        """A site says its phase again while it works, as a sign that it does: that is no news for faces."""
        self._host.progress.told(self.site, round_number, phase)
        if (round_number, phase) != self._phase:
            self._phase = (round_number, phase)
            self._emit(events.SiteSeen(site=self.site, round=round_number, state="phase", phase=phase))
            self._host.bulletin.told(self.site, round_number, phase)

    def _heard(self, message: OfferUpdate | Decline) -> None:
        """Raises UserFacingError unless this site signed the message; keeps where the site's audit chain stands."""
        try:
            self._bond.check(message)
        except UserFacingError:
            self._limits.refusals.check(self.site)
            self._host.trail.unsigned(self.site, message.type)
            raise
        if message.audit:
            self._host.trail.peer_heads[self.site] = message.audit

    # -- upload --------------------------------------------------------------------------------------------------

    async def _offered(self, offer: OfferUpdate) -> None:
        rounds, update, self._offers.last = self._host.rounds, offer.update, offer
        if rounds.receipt_for(self.site, update.round) == update.sha256:
            # Not answered from here: it may count already, but not be in the ledger yet.
            await self._host.accept(self.site, update, self._offers.proof(offer))
            return
        if code := self._host.refusal(self.site, update):
            self._refuse(update, UserFacingError(code))
            return
        plan = rounds.state.plans[self.site]
        if offer.plan != plan.sha256 or offer.attempt > rounds.state.attempt:
            self._refuse(update, UserFacingError("update.other_plan"))
            return
        limit = self._host.checking.largest_blob(plan.rank)
        if (largest := max((part.size for part in update.parts.values()), default=0)) > limit:
            self._refuse(update, UserFacingError("update.too_large", size=largest, limit=limit))
            return
        try:
            size, attempt = sum(part.size for part in update.parts.values()), rounds.state.attempt
            self._limits.disk.check(self.site, (update.round, attempt), size, limit * max(1, len(update.parts)))
        except UserFacingError as error:
            self._refuse(update, error)
            return
        self._update, self._plan, self._offers.fetched = update, plan, offer
        if update.sha256 not in self._tries:
            self._tries.clear()
        self._checked.clear()
        self._host.blobs.forget_parts(self.site, {part.sha256 for part in update.parts.values()})
        await self._want_next()

    async def _want_next(self) -> None:
        """Asks for the first part that is not there yet; keeps and hands over the update once all have passed."""
        assert self._update is not None
        for name, part in sorted(self._update.parts.items()):
            if name in self._checked:
                continue
            if part.sha256 not in self._host.blobs:
                await self._want(name, part)
                return
            if not await self._check(name, self._host.blobs.path(part.sha256)):
                return
        update, self._update = self._update, None
        for name, part in update.parts.items():
            if part.sha256 not in self._host.blobs:
                self._limits.disk.keep(self.site, part.size)
                await asyncio.to_thread(self._host.blobs.adopt, self._checked[name], part.sha256)
        self._limits.uploads.leave(self.site)
        try:
            await self._host.accept(self.site, update, self._offers.proof(self._offers.fetched))
        except UserFacingError as error:
            if not error.code.startswith("update."):
                raise
            self._refuse(update, error)

    async def _want(self, name: str, part: Part) -> None:
        self._receiving = name
        path = self._host.blobs.part_file(part.sha256, self.site)
        self._reception = Reception(part.sha256, path, part.size)
        if self._reception.complete:
            await self._received()
        else:
            self._ask_for(self._reception)

    def _ask_for(self, reception: Reception) -> None:
        """Asks for the rest of a part, as soon as the site may upload."""
        want = Want(sha256=reception.sha256, offset=reception.received)
        self._limits.uploads.ask(self.site, lambda: self.send(want))

    async def _chunk(self, frame: bytes) -> None:
        chunk = decode_chunk(frame)
        reception, update = self._reception, self._update
        if reception is None or update is None or chunk.sha256 != reception.sha256:
            await self._host.combining.take_again(self.site, chunk)
            return
        self._limits.uploads.moved(self.site)
        try:
            complete = await asyncio.to_thread(reception.write, chunk)
        except UserFacingError as error:
            if error.code.startswith("storage."):  # this coordinator's own disk
                code, params = error.code, error.params
                self._emit(events.Warned(site=self.site, round=update.round, code=code, params=params))
                raise
            # Bytes were lost or damaged, and those that follow are of no use: the next connection goes on from here.
            self._tries[update.sha256] += 1
            if self._tries[update.sha256] < MOST_FETCHES:
                raise
            self._refuse(update, error)
            return
        self._host.progress.moved(self.site, "upload")
        if complete:
            await self._received()

    async def _received(self) -> None:
        reception, update = self._reception, self._update
        assert reception is not None and update is not None
        self._reception = None
        try:
            path = await asyncio.to_thread(reception.finish)
        except UserFacingError as error:
            if error.code != "update.wrong_hash":
                raise
            await self._fetch_again(update, error)
            return
        if await self._check(self._receiving, path):
            await self._want_next()

    async def _fetch_again(self, update: Update, error: UserFacingError) -> None:
        """Fetches an update again after damage on the way, or holes that a power cut left in bytes; with a limit."""
        self._tries[update.sha256] += 1
        if self._tries[update.sha256] < MOST_FETCHES:
            await self._want_next()
        else:
            self._refuse(update, error)

    async def _check(self, name: str, path: Path) -> bool:
        """Tells whether a part is what the plan asked for, also of bytes that were here before: a site may name any."""
        update, plan = self._update, self._plan
        assert update is not None and plan is not None
        try:
            await self._host.checking.check_part(name, plan, update, path)
        except UserFacingError as error:
            if error.retryable:  # this coordinator's own trouble
                raise
            self._refuse(update, error)
            return False
        self._checked[name] = path
        return True

    def _refuse(self, update: Update, error: UserFacingError) -> None:
        self._limits.refusals.check(self.site)
        self._update = self._reception = None
        self._limits.uploads.leave(self.site)
        self._tries.clear()
        self._host.blobs.forget_parts(self.site)
        self._host.trail.refused(self.site, update, error.code)
        self._emit(
            events.UpdateRefused(
                site=self.site, round=update.round, update=update.sha256, code=error.code, params=error.params
            )
        )
        self.send(Refused(round=update.round, update=update.sha256, code=error.code, params=sayable(error.params)))

    # -- download ------------------------------------------------------------------------------------------------

    async def _wanted(self, sha256: str, offset: int) -> None:
        path = await self._host.wanted(sha256)
        if path is None:
            self.send(Missing(sha256=sha256))
            return
        if self._download:
            self._download.cancel()
            # A site that asks on and on without reading is heard no further until it has read.
            await asyncio.gather(self._download, return_exceptions=True)
            await self.connection.drain()
        self._download = asyncio.create_task(self._send_in_turn(sha256, path, offset))

    async def _send_in_turn(self, sha256: str, path: Path, offset: int) -> None:
        turn, slots = asyncio.Event(), self._limits.downloads
        slots.ask(self.site, turn.set)
        try:
            await turn.wait()
            await send_blob(self.connection, sha256, path, offset, self._sent)
        except UserFacingError:  # it did not read, and its slot is another's: it asks again on its next connection
            self.connection.transport.abort()
        finally:
            slots.leave(self.site)

    def _sent(self, sent: int, total: int) -> None:
        self._limits.downloads.moved(self.site)
        self._host.progress.moved(self.site, "download")
