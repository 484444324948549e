# SPDX-License-Identifier: Apache-2.0
"""Parts for tests over real sockets: coordinator, agents, a client that speaks by hand, a proxy that cuts lines."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from websockets.asyncio.client import ClientConnection, connect

from fedmed_desktop import events
from fedmed_desktop.coordinator import CoordinatorServer, Host
from fedmed_desktop.federation import FederationSpec, LocalResult, Plan, Scorer, Update
from fedmed_desktop.identity import PrivateKey
from fedmed_desktop.lora import Adapter
from fedmed_desktop.protocol.handshake import answered
from fedmed_desktop.protocol.invitation import Invitation
from fedmed_desktop.protocol.messages import (
    UNSIGNED,
    VERSION,
    Ask,
    Challenge,
    Decline,
    Finished,
    Hello,
    Message,
    OfferUpdate,
    Receipt,
    Want,
    Welcome,
    decode,
    encode,
)
from fedmed_desktop.protocol.signing import Bond
from fedmed_desktop.protocol.transfer import Chunk
from fedmed_desktop.site import Approver, Backoff, Jobs, RuleApprover, SiteAgent
from fedmed_desktop.site.tls import context_for
from fedmed_desktop.storage import BlobStore
from tests.parts.federation import FINGERPRINT, INITIAL, NumpyTrainer

QUICK = Backoff(first=0.02, most=0.1)
PATIENCE = 20.0
M = TypeVar("M", bound=Message)
E = TypeVar("E", bound=events.Event)


@asynccontextmanager
async def coordinator(
    folder: Path,
    spec: FederationSpec,
    seen: list[events.Event],
    port: int = 0,
    initial: Adapter = INITIAL,
    scorer: Scorer | None = None,
    confirm_sites: bool = False,
) -> AsyncIterator[tuple[Host, int]]:
    BlobStore(folder / "blobs").write(initial.to_blob())
    host = Host(spec, folder, seen.append, scorer=scorer, confirm_sites=confirm_sites)
    try:
        async with CoordinatorServer(host, "127.0.0.1", port, seen.append) as server:
            await host.start()
            yield host, server.port
    finally:
        await host.stop()


def agent(
    folder: Path,
    name: str,
    port: int,
    jobs: Jobs,
    seen: list[events.Event],
    trainer: NumpyTrainer | None = None,
    approver: Approver | None = None,
    base: str = FINGERPRINT,
    rank_cap: int | None = None,
    invitation: Invitation | None = None,
    **more: Any,
) -> SiteAgent:
    """A site that joins at this port of this computer, or as its invitation says."""
    worker = trainer or NumpyTrainer(ord(name[0]))
    return SiteAgent(
        name=name,
        address=invitation.url if invitation else f"ws://127.0.0.1:{port}",
        invitation=invitation,
        data_dir=folder / name,
        base_fingerprint=base,
        make_trainer=lambda spec: worker,
        approver=approver or RuleApprover("test rule"),
        jobs=jobs,
        emit=seen.append,
        backoff=QUICK,
        rank_cap=rank_cap,
        **more,
    )


async def until(true: Callable[[], bool]) -> None:
    """Returns once it is so; fails after PATIENCE seconds."""
    async with asyncio.timeout(PATIENCE):
        while not true():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.005)


def all_of(seen: list[events.Event], kind: type[E]) -> list[E]:
    return [event for event in list(seen) if isinstance(event, kind)]


@asynccontextmanager
async def running(*agents: SiteAgent) -> AsyncIterator[list[asyncio.Task[str]]]:
    """Agents at work; whatever happens they are cancelled at the end, and what they raised is not lost."""
    tasks = [asyncio.create_task(one.run(), name=one.name) for one in agents]
    try:
        yield tasks
    finally:
        await stop(*tasks)


async def stop(*tasks: asyncio.Task[str]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class RawSite:
    """Speaks the protocol by hand, so that it can be wrong in any way."""

    def __init__(self, port: int, name: str = "raw", token: str = "t" * 64, tls: bool = False) -> None:
        """`token` decides which key it has."""
        self._address = f"{'wss' if tls else 'ws'}://127.0.0.1:{port}"
        self._tls = context_for(roots=False) if tls else None
        self.key = PrivateKey(hashlib.sha256(token.encode()).digest())
        self.hello = Hello(version=VERSION, site=name, key=self.key.public, base=FINGERPRINT)
        self.bond = Bond("0" * 64, self.key.public, "0" * 64)
        self.asked: Ask | None = None
        self.line: ClientConnection

    async def __aenter__(self) -> RawSite:
        self.line = await connect(self._address, compression=None, max_size=2**23, proxy=None, ssl=self._tls)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.line.close()

    async def join(self) -> Welcome:
        await self.greet()
        return await self.hear(Welcome)

    async def greet(self, **said: object) -> None:
        """Answers the challenge; `said` replaces what a hello says, before it is signed."""
        given = await self.hear(Challenge)
        self.bond = replace(self.bond, coordinator=given.key)
        await self.say(answered(self.key, given, self.hello.model_copy(update=said)))

    async def say(self, message: Message | str | bytes) -> None:
        """Sends it; what a site must sign and nobody has signed yet is signed for this federation."""
        if isinstance(message, OfferUpdate | Decline) and message.signature == UNSIGNED:
            message = self.bond.signed(self.key, message)
        await self.line.send(message if isinstance(message, str | bytes) else encode(message))

    def offered(self, update: Update, plan: Plan | None = None) -> OfferUpdate:
        """The signed offer of an update for this plan, or for the last one that was heard."""
        if plan is None:
            assert self.asked is not None
            plan = self.asked.plan
        offer = OfferUpdate(update=update, plan=plan.sha256, approval="a" * 64)
        signed = self.bond.signed(self.key, offer)
        assert isinstance(signed, OfferUpdate)
        return signed

    async def next(self) -> Message | bytes:
        async with asyncio.timeout(PATIENCE):
            frame = await self.line.recv()
        if isinstance(frame, bytes):
            return frame
        message = decode(frame)
        if isinstance(message, Welcome):
            self.bond = replace(self.bond, federation=message.federation)
        if isinstance(message, Ask | Receipt | Finished):
            self.bond.check(message)
        if isinstance(message, Ask):
            self.asked = message
        return message

    async def hear(self, kind: type[M]) -> M:
        """The next message of this kind; others are passed over."""
        while True:
            message = await self.next()
            if isinstance(message, kind):
                return message

    async def plan(self) -> Plan:
        return (await self.hear(Ask)).plan

    async def offer(self, result: LocalResult, data: bytes | None = None) -> None:
        """Offers an update and sends what is wanted: its blob, or `data` in its place."""
        await self.say(self.offered(result.update))
        want = await self.hear(Want)
        await self.send(want.sha256, result.blobs["adapter"] if data is None else data, want.offset)

    async def send(self, sha256: str, data: bytes, offset: int = 0, chunk: int = 200) -> None:
        for at in range(offset, len(data), chunk):
            await self.say(Chunk(sha256, at, len(data), data[at : at + chunk]).encode())


class CuttingProxy:
    """A TCP line that counts bytes in both directions and breaks, once each, after the counts it was given.

    `damaged_up`, `damaged_down`: one bit of the byte at each of these counts is flipped, once.
    With `hold_up_at` set, what a client sends stops there, `held` is set, and nothing moves until `let_go`.
    """

    def __init__(
        self,
        target: int,
        cuts_up: tuple[int, ...] = (),
        cuts_down: tuple[int, ...] = (),
        damaged_up: tuple[int, ...] = (),
        damaged_down: tuple[int, ...] = (),
    ) -> None:
        self._target = target
        self._damaged = {"up": damaged_up, "down": damaged_down}
        self._cuts = {"up": list(cuts_up), "down": list(cuts_down)}
        self.bytes = {"up": 0, "down": 0}
        self.connections = 0
        self.recorded: bytearray | None = None  # what went up, where a test sets it
        self.hold_up_at: int | None = None
        self.held = asyncio.Event()
        self._released = asyncio.Event()
        self._lines: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server

    async def __aenter__(self) -> CuttingProxy:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for writer in list(self._lines):
            writer.transport.abort()
        await self._server.wait_closed()

    @property
    def port(self) -> int:
        return int(self._server.sockets[0].getsockname()[1])

    def let_go(self) -> None:
        """Breaks the held line, and holds no other."""
        self.hold_up_at = None
        self._released.set()
        for writer in list(self._lines):
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._lines.add(writer)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            self._lines.discard(writer)
            return
        self._lines.add(far_writer)
        ends = [asyncio.create_task(self._pump("up", reader, far_writer))]
        ends.append(asyncio.create_task(self._pump("down", far_reader, writer)))
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
        await asyncio.gather(*ends, return_exceptions=True)
        for line in (writer, far_writer):
            line.transport.abort()
            self._lines.discard(line)

    async def _pump(self, direction: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(2048):
                cuts = self._cuts[direction]
                if cuts and self.bytes[direction] + len(data) > cuts[0]:
                    cuts.pop(0)
                    return
                before = self.bytes[direction]
                for place in self._damaged[direction]:
                    if before <= place < before + len(data):
                        at = place - before
                        data = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
                self.bytes[direction] += len(data)
                if direction == "up" and self.recorded is not None:
                    self.recorded += data
                if direction == "up" and self.hold_up_at is not None and self.bytes["up"] >= self.hold_up_at:
                    self.held.set()
                    await self._released.wait()
                writer.write(data)
                await writer.drain()
