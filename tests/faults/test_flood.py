# SPDX-License-Identifier: Apache-2.0
"""Thousands of connections that say nothing, half a handshake, or half a request, while an honest round goes on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from fedmed_desktop.site.tls import context_for
from tests.parts.kills import COORDINATOR, PATIENCE, Killed

pytestmark = [pytest.mark.slow, pytest.mark.integration]

CONNECTIONS = 5000
MOST_MEMORY = 300 * 2**20  # beyond what the coordinator held before
CLIENT_HELLO = bytes.fromhex("16030103e8010003e40303")
# In turn; the last two after a whole TLS handshake, which costs the attacker as much as the coordinator.
KINDS = ("tcp",) * 9 + ("client hello",) * 9 + ("request", "websocket")


@pytest.fixture(autouse=True)
def _many_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + 1000
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"this system lets a process open {hard} files only")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


class Flood:
    """Keeps its connections up: one that is cut off comes again a second later."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.opened: Counter[str] = Counter()
        self.cut_off = 0
        self.most = self._now = 0

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._hold(number)) for number in range(CONNECTIONS)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _hold(self, number: int) -> None:
        kind = KINDS[number % len(KINDS)]
        context = context_for(roots=False) if kind in ("request", "websocket") else None
        await asyncio.sleep(number / CONNECTIONS * 3)
        while True:
            with contextlib.suppress(OSError, ssl.SSLError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port, ssl=context)
                self._now += 1
                self.most = max(self.most, self._now)
                self.opened[kind] += 1
                try:
                    writer.write({"client hello": CLIENT_HELLO, "request": b"GET / HTTP/1.1\r\nX: "}.get(kind, b""))
                    if kind == "websocket":
                        writer.write(
                            b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
                        )
                    while await reader.read(4096):
                        pass
                finally:
                    self._now -= 1
                    writer.transport.abort()
            self.cut_off += 1
            await asyncio.sleep(1)


async def test_that_five_thousand_connections_neither_fill_memory_nor_stop_the_round(tmp_path: Path) -> None:
    federation = Killed(tmp_path, 0)
    try:
        port = await federation.serve()
        process = psutil.Process(federation.programs[COORDINATOR].process.pid)
        idle, flood = process.memory_info().rss, Flood(port)
        peak = idle
        async with flood.going_on():
            async with asyncio.timeout(PATIENCE):
                while sum(flood.opened.values()) + flood.cut_off < CONNECTIONS:  # noqa: ASYNC110 - it has no event
                    await asyncio.sleep(0.05)
            began = time.monotonic()
            await federation.join()
            ending = asyncio.create_task(federation.end())
            while not ending.done():
                with contextlib.suppress(psutil.NoSuchProcess):
                    peak = max(peak, process.memory_info().rss)
                await asyncio.sleep(0.05)
            await ending
            seconds = round(time.monotonic() - began, 1)
        told = {"opened": sum(flood.opened.values()), "most at once": flood.most, "cut off": flood.cut_off}
        told |= {"idle MiB": idle >> 20, "beyond it MiB": (peak - idle) >> 20, "seconds": seconds}
        logging.getLogger(__name__).info("%s", told)
        assert not federation.run.faults, (federation.run.faults, told)
        assert peak - idle < MOST_MEMORY, told
        assert flood.most > 100 and flood.cut_off > 1000, told
    finally:
        for program in federation.programs.values():
            await program.kill()
