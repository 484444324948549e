# SPDX-License-Identifier: Apache-2.0
"""A coordinator that is attacked by one case after the other, and what becomes of each attack."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar
from unittest import mock

from websockets.exceptions import ConnectionClosed

from fedmed_desktop import events
from fedmed_desktop.coordinator import CoordinatorServer, Host, limits
from fedmed_desktop.coordinator.certificate import own_certificate
from fedmed_desktop.federation import FederationSpec
from fedmed_desktop.protocol import wire
from fedmed_desktop.protocol.messages import Challenge, Decline, Goodbye, Missing, Receipt, Refused, Want, decode
from fedmed_desktop.storage import BlobStore
from fedmed_desktop.storage.registry import Registry
from tests.parts.federation import INITIAL, moved, result_of
from tests.parts.loopback import PATIENCE, RawSite, until

T = TypeVar("T")
# The keys of RawSite are made of these.
HONEST, HOSTILE = "honest", "hostile"
_NOWHERE: Final = "ee" * 32
_THREADS: Final = 4


@dataclass
class Target:
    """A running coordinator on an event loop of its own, with one honest site and one that means harm."""

    host: Host
    port: int
    registry: Registry
    server: CoordinatorServer
    loop: asyncio.AbstractEventLoop
    codes: dict[str, bytes]

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs it on the coordinator's own loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE)

    def raw(self, who: str) -> RawSite:
        return RawSite(self.port, who.title(), who, tls=True)

    @asynccontextmanager
    async def joined(self, who: str = HOSTILE) -> AsyncIterator[RawSite]:
        """This site, after its welcome and the plan that it is asked for."""
        async with self.raw(who) as site:
            await site.join()
            await site.plan()
            yield site

    async def begin(self) -> None:
        """Both sites join, so that the round begins with them."""
        async with self.raw(HONEST) as honest, self.raw(HOSTILE) as hostile:
            for who, site in ((HONEST, honest), (HOSTILE, hostile)):
                site.hello = site.hello.model_copy(update={"code": self.codes[who].hex()})
                await site.join()
            await honest.plan()

    async def finish(self) -> None:
        """The honest site does its part in the round, which closes with its update alone."""
        async with self.joined() as hostile, self.joined(HONEST) as honest:
            assert honest.asked is not None
            plan = honest.asked.plan
            result = result_of(plan, INITIAL, moved(INITIAL, 1))
            await honest.offer(result)
            assert (await honest.hear(Receipt)).update == result.update.sha256
            assert hostile.asked is not None
            await hostile.say(Decline(round=1, code="kept", plan=hostile.asked.plan.sha256))
            await until(lambda: self.host.rounds.state.round == 2)
        (record,) = self.host.rounds.state.history
        assert list(record.sites) == [HONEST.title()] and record.declined == {HOSTILE.title(): "kept"}


@contextmanager
def attacked(folder: Path, spec: FederationSpec) -> Iterator[Target]:
    """The target, listening with TLS, on a thread of its own; its two sites have invitations and no others do."""
    loop, started, stop = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    made: list[Target] = []

    async def serve() -> None:
        await _fill_the_pool()
        BlobStore(folder / "blobs").write(INITIAL.to_blob())
        seen: list[events.Event] = []
        host = Host(spec, folder, seen.append)
        now = datetime.now(UTC)
        registry = Registry(folder / "registry.sqlite")
        codes = {who: registry.invite(who.title(), timedelta(days=1), now, "test") for who in (HONEST, HOSTILE)}
        try:
            tls = own_certificate(folder, ["127.0.0.1"], now)
            async with CoordinatorServer(host, "127.0.0.1", 0, seen.append, tls, ["127.0.0.1"]) as server:
                await host.start()
                made.append(Target(host, server.port, registry, server, loop, codes))
                started.set()
                await stop.wait()
        finally:
            await host.stop()
            registry.close()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            loop.close()
            started.set()

    thread = threading.Thread(target=run, name="coordinator")
    # A table of attacks is quicker than any one site may be with refused offers.
    with (
        mock.patch.multiple(limits, HANDSHAKE_SECONDS=0.5, MAX_REFUSALS_PER_MINUTE=10_000),
        mock.patch.object(wire, "CLOSE_TIMEOUT", 1.0),
    ):
        thread.start()
        try:
            assert started.wait(PATIENCE) and made
            asyncio.run(made[0].begin())
            yield made[0]
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join(PATIENCE)


async def _fill_the_pool() -> None:
    """Starts the threads for file work now, so that none seems to be left behind by the first test that needs it."""
    from concurrent.futures import ThreadPoolExecutor

    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS))
    barrier = threading.Barrier(_THREADS)
    await asyncio.gather(*(asyncio.to_thread(barrier.wait) for _ in range(_THREADS)))


async def outcome(site: RawSite) -> str:
    """What becomes of what a site has said.

    The code of the goodbye or the refusal, "close" and the websocket's code, "counts", or "ignored": it is heard on.
    """
    with contextlib.suppress(ConnectionClosed):
        await site.say(Want(sha256=_NOWHERE))
    try:
        while True:
            message = await site.next()
            if isinstance(message, Goodbye | Refused):
                return message.code
            if isinstance(message, Receipt):
                return "counts"
            if isinstance(message, Missing) and message.sha256 == _NOWHERE:
                return "ignored"
    except ConnectionClosed as error:
        return _closed(error)


def _closed(error: ConnectionClosed) -> str:
    """The close code; where bytes were still on their way, the line may break before it has come."""
    return f"close {error.rcvd.code}" if error.rcvd else "close 1009"


async def greeting(target: Target, hello: object, who: str = HOSTILE) -> str:
    """What becomes of this hello; a dictionary is signed, unless it brings a signature, as the site's own."""
    async with target.raw(who) as site:
        given = await site.hear(Challenge)
        said = signed_hello(site, given, hello) if isinstance(hello, dict) else hello
        assert isinstance(said, str | bytes)
        await site.line.send(said)
        try:
            while True:
                message = decode(str(await site.line.recv()))
                if isinstance(message, Goodbye):
                    return message.code
                if message.type == "welcome":
                    return "welcome"
        except ConnectionClosed as error:
            return _closed(error)


def signed_hello(site: RawSite, given: Challenge, changes: dict[str, Any]) -> str:
    """A hello with these changes; a value of ... leaves the field out. "binding" changes what is signed beside it."""
    binding = {"nonce": given.nonce, "tls": given.tls, "coordinator": given.key, **changes.pop("binding", {})}
    said = {**site.hello.model_dump(), **changes}
    said = {name: value for name, value in said.items() if value is not ...}
    if "signature" not in changes:
        content = {name: value for name, value in said.items() if name not in ("type", "signature")}
        said["signature"] = site.key.sign("hello", {**content, **binding})
    return json.dumps(said)
