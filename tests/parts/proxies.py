# SPDX-License-Identifier: Apache-2.0
"""An HTTP proxy on loopback: CONNECT, with Basic authentication if a name and a password are given."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field


@dataclass
class ConnectProxy:
    """`asked`: the hosts and ports that it was asked for. `leads_to`: where all of them are; None: refused with 403."""

    port: int
    asked: list[str] = field(default_factory=list)


@contextlib.asynccontextmanager
async def connect_proxy(
    leads_to: tuple[str, int] | None = None, user: str = "", password: str = "", ways: str = 'Basic realm="test"'
) -> AsyncIterator[ConnectProxy]:
    known = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    tasks: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines if ": " in line)
            proxy.asked.append(first.split()[1])
            if user and headers.get("Proxy-Authorization") != known:
                reply = f"HTTP/1.1 407 Sign in\r\nProxy-Authenticate: {ways}\r\nContent-Length: 0\r\n\r\n"
                writer.write(reply.encode())
            elif leads_to is None:
                writer.write(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
            else:
                try:
                    far_reader, far_writer = await asyncio.open_connection(*leads_to)
                except OSError:
                    writer.write(b"HTTP/1.1 502 Nobody there\r\nContent-Length: 0\r\n\r\n")
                else:
                    writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
                    await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    proxy = ConnectProxy(server.sockets[0].getsockname()[1])
    try:
        yield proxy
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(2**16):
            writer.write(data)
            await writer.drain()
    writer.close()
