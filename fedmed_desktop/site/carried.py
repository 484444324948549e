# SPDX-License-Identifier: Apache-2.0
"""Agent of a site without a connection: it reads the coordinator's messages from a bundle and answers in one.

It takes the place of the link. Plans, approvals, policy and audit know no difference; nothing leaves but through the
outbox's one door.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from .. import events
from ..errors import UserFacingError
from ..identity import PrivateKey
from ..protocol.bundle import MAX_HEAD_BYTES, Bundle, for_site, sealed, texts
from ..protocol.messages import Ask, Challenge, Decline, Finished, Hello, Message, Missing, OfferUpdate, Waiting, Want
from ..protocol.transfer import CHUNK, Chunk
from ..storage.audit_row import AuditEntry
from ..storage.bundle_file import BundleFile, read_bundle, write_bundle
from .driver import Driver
from .link import Backoff, Link

# How soon it is noticed that the work waits for the coordinator's word on an earlier update.
_LOOK_SECONDS = 1.0


class Carried(Link):
    """Runs until all that the bundle asks for is answered, and writes the answer; days, if a person takes days.

    `incoming`: the coordinator's bundle; `outgoing`: the site's. `hold` comes first. After a stop the same bundle is
    given again: what was done is found on the disk.
    """

    answers = False

    def __init__(
        self,
        site: str,
        address: str,
        hello: Callable[[Challenge], Hello],
        receive: Callable[[Message | bytes], Awaitable[None]],
        emit: Callable[[events.Event], None],
        incoming: Path,
        outgoing: Path,
    ) -> None:
        super().__init__(site, address, hello, receive, emit, Backoff())
        self._incoming, self._outgoing = incoming, outgoing
        self._said: list[OfferUpdate | Decline] = []
        self._wanted: asyncio.Queue[Want | None] = asyncio.Queue()  # None: something was said
        self._key: PrivateKey | None = None
        self._driver: Driver | None = None
        self.written = False  # whether there is something to carry back

    def hold(self, key: PrivateKey, driver: Driver) -> None:
        """Takes what answers need: the site's key, and its outbox with all that watches over it."""
        self._key, self._driver = key, driver

    def post(self, message: Message) -> None:
        """Sends nothing: progress would be read days later."""

    async def send(self, message: Message) -> None:
        match message:
            case Want():
                self._wanted.put_nowait(message)
            case OfferUpdate() | Decline():
                self._said.append(message)
                self._wanted.put_nowait(None)

    async def run(self) -> None:
        """Raises UserFacingError where the bundle is not for this site, or not by its coordinator."""
        if self.expected is None:
            raise UserFacingError("link.no_invitation", address=self.address)
        file = await asyncio.to_thread(read_bundle, self._incoming, MAX_HEAD_BYTES)
        bundle = for_site(file.head, self._site, self.expected)
        await asyncio.to_thread(file.check, bundle.blobs)
        # A bundle for a site that has not joined yet says nothing: the site waits to be let in.
        messages = bundle.said() or [Waiting(site=self._site)]
        await self._note("imported", file.head, messages)
        hello = self._hello(bundle.challenge)
        assert isinstance(hello, Hello)  # a host is never carried
        self._emit(events.ConnectionChanged(site=self._site, state="connected", address=str(self._incoming)))
        for message in messages:
            await self._receive(message)
        while not self._is_answered(messages):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    wanted = await self._wanted.get()
                if wanted:
                    await self._deliver(wanted, file)
        if not any(isinstance(message, Finished) for message in messages):
            await self._write(bundle.challenge, hello, messages)

    def _is_answered(self, messages: list[Message]) -> bool:
        """Tells whether nothing more can be done; upon a farewell the agent itself ends, once it has the adapter."""
        assert self._driver is not None
        if self._driver.part.waits and self._said:  # an earlier answer was lost on its way: it is carried once more
            return True
        for message in messages:
            match message:
                case Finished():
                    return False
                case Ask(plan=plan):
                    return any(
                        said.plan == plan.sha256 if isinstance(said, OfferUpdate) else said.round == plan.round
                        for said in self._said
                    )
        return True

    async def _deliver(self, want: Want, file: BundleFile) -> None:
        """Gives a blob of the bundle to who wants it, as if it came over a line."""
        if want.sha256 not in file.places:
            await self._receive(Missing(sha256=want.sha256))
            return
        total, pieces = file.sizes[want.sha256], file.pieces(want.sha256, want.offset, CHUNK)
        while piece := await asyncio.to_thread(next, pieces, None):
            await self._receive(Chunk(want.sha256, piece[0], total, piece[1]).encode())

    async def _write(self, challenge: Challenge, hello: Hello, heard: list[Message]) -> None:
        assert self._key is not None and self._driver is not None
        said, blobs = list[Message](), dict[str, Path]()
        for message in self._said:
            if isinstance(message, Decline):
                said.append(message)
            elif (parts := await self._parts(message, self._driver)) is not None:
                said.append(message)
                blobs |= parts
        sizes = {sha256: path.stat().st_size for sha256, path in blobs.items()}
        about = {"challenge": challenge, "hello": hello, "messages": texts(said), "blobs": sizes}
        head = sealed(self._key, Bundle(way="to coordinator", site=self._site, **about))
        await asyncio.to_thread(write_bundle, self._outgoing, head, blobs)
        await self._note("exported", head, heard)
        self.written = True

    async def _parts(self, offer: OfferUpdate, driver: Driver) -> dict[str, Path] | None:
        """Files of an offered update; None for one that has been answered meanwhile, or may not leave any more."""
        if (await asyncio.to_thread(driver.outbox.entry, offer.update.sha256)).state != "released":
            return None
        found = dict[str, Path]()
        for part in offer.update.parts.values():
            if not await driver.leaving.may_move(part.sha256):
                return None
            found[part.sha256] = await asyncio.to_thread(driver.outbox.open_released, part.sha256)
        return found

    async def _note(self, action: str, head: bytes, heard: list[Message]) -> None:
        assert self._driver is not None
        rounds = [message.plan.round for message in heard if isinstance(message, Ask)]
        about = {"role": "agent", "object_type": "file", "object_hash": hashlib.sha256(head).hexdigest()}
        entry = AuditEntry.model_validate(
            {"action_code": action, "round": max(rounds, default=0), "peer": "coordinator", **about}
        )
        await self._driver.note(entry)
