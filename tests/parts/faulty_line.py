# SPDX-License-Identifier: Apache-2.0
"""A TCP line that goes wrong in every way a network can, at the bytes where it was told to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Literal

Kind = Literal["cut", "drop", "stall", "half-open", "duplicate", "truncate", "corrupt", "reorder", "throttle", "delay"]
Direction = Literal["up", "down"]

KINDS: Final[tuple[Kind, ...]] = (
    "cut",
    "drop",
    "stall",
    "half-open",
    "duplicate",
    "truncate",
    "corrupt",
    "reorder",
    "throttle",
    "delay",
)
# Kinds that change bytes or their order, which TCP and TLS find out, and a plain line of one computer does not have.
CHANGES: Final[frozenset[Kind]] = frozenset({"drop", "duplicate", "corrupt", "reorder"})
BEFORE_ANY: Final = -1

_PIECE: Final = 2**14
_LAST_WORDS: Final = 2.0  # seconds in which the other end may finish what it says


@dataclass(frozen=True)
class Fault:
    """What happens once, when the byte number `at` in this direction comes by, counted over all connections.

    cut: both ends are told at once. drop: `amount` bytes vanish. stall: nothing moves for `seconds`. half-open: nothing
    ever moves again, and neither end is told. duplicate: `amount` bytes come twice. truncate: some bytes more and then
    the line ends as if it had been closed. corrupt: one bit. reorder: two neighbouring pieces change places. throttle:
    `amount` bytes a second from then on. delay: `seconds` for each piece from then on. At BEFORE_ANY: the next
    connection as it is made.
    """

    kind: Kind
    direction: Direction
    at: int
    amount: int = 64
    seconds: float = 0.2


class _Line:
    """One connection through the proxy."""

    def __init__(self) -> None:
        self.dead = False  # half-open
        self.still_until = 0.0
        self.rate = 0
        self.latency = 0.0


class FaultyLine:
    """`async with FaultyLine(port, faults) as line:` stands at `line.port`, in front of the server at that port.

    `bytes` counts what came from either end; `struck` is what has happened so far.
    """

    def __init__(self, target: int, faults: Iterable[Fault] = ()) -> None:
        self.bytes = {"up": 0, "down": 0}
        self.connections = 0
        self.struck: list[Fault] = []
        self._target = target
        self._answer: bytes | None = None
        self._pending = sorted(faults, key=lambda fault: fault.at)
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server

    async def __aenter__(self) -> FaultyLine:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def port(self) -> int:
        return int(self._server.sockets[0].getsockname()[1])

    def answer_with(self, said: bytes | None) -> None:
        """Breaks all connections and answers new ones with this alone, or lets them through again (None)."""
        self._answer = said
        for writer in list(self._writers):
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        self._writers.add(writer)
        line, far_writer = _Line(), None
        try:
            if self._answer is not None:
                await reader.read(_PIECE)
                writer.write(self._answer)
                await writer.drain()
                return
            if self._pending and self._pending[0].at == BEFORE_ANY:
                await self._strike_first(line, self._pending.pop(0), writer)
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
            self._writers.add(far_writer)
            ends = [
                asyncio.create_task(self._pump(line, "up", reader, far_writer)),
                asyncio.create_task(self._pump(line, "down", far_reader, writer)),
            ]
            self._tasks.update(ends)
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait(ends, timeout=None if line.dead else _LAST_WORDS)
            for end in ends:
                end.cancel()
            await asyncio.gather(*ends, return_exceptions=True)
        except (OSError, asyncio.CancelledError):  # a callback of the streams would complain that it was cancelled
            pass
        finally:
            for one in (writer, far_writer):
                if one is not None:
                    one.transport.abort()
                    self._writers.discard(one)

    async def _strike_first(self, line: _Line, fault: Fault, writer: asyncio.StreamWriter) -> None:
        self.struck.append(fault)
        match fault.kind:
            case "stall":
                await asyncio.sleep(fault.seconds)
            case "half-open":
                line.dead = True
            case "throttle":
                line.rate = fault.amount
            case "delay":
                line.latency = fault.seconds
            case "cut" | "truncate":
                writer.transport.abort()
            case _:
                self._pending.insert(0, Fault(fault.kind, fault.direction, 0, fault.amount, fault.seconds))
                self.struck.pop()

    async def _pump(
        self, line: _Line, direction: Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_PIECE):
                while fault := self._due(direction, len(data)):
                    self._pending.remove(fault)
                    self.struck.append(fault)
                    head = max(0, fault.at - self.bytes[direction])
                    await self._forward(line, direction, writer, data[:head])
                    data = data[head:]
                    if fault.kind == "cut":
                        writer.transport.abort()
                        return
                    if fault.kind == "truncate":
                        await self._forward(line, direction, writer, data[: fault.amount])
                        break
                    self.bytes[direction] += len(data)
                    data = await self._changed(line, fault, data)
                    self.bytes[direction] -= len(data)
                else:
                    await self._forward(line, direction, writer, data)
                    continue
                break
            if not line.dead and writer.can_write_eof():
                writer.write_eof()

    def _due(self, direction: Direction, size: int) -> Fault | None:
        end = self.bytes[direction] + size
        return next((one for one in self._pending if one.direction == direction and one.at < end), None)

    async def _changed(self, line: _Line, fault: Fault, data: bytes) -> bytes:
        """What comes out in place of these bytes; the line may be another one from now on."""
        match fault.kind:
            case "drop":
                return data[fault.amount :]
            case "duplicate":
                return data[: fault.amount] + data
            case "corrupt":
                return bytes([data[0] ^ 1]) + data[1:]
            case "reorder":
                size = max(1, min(fault.amount, len(data) // 2))
                return data[size : 2 * size] + data[:size] + data[2 * size :]
            case "stall":
                line.still_until = asyncio.get_running_loop().time() + fault.seconds
            case "half-open":
                line.dead = True
            case "throttle":
                line.rate = fault.amount
            case "delay":
                line.latency = fault.seconds
        return data

    async def _forward(self, line: _Line, direction: Direction, writer: asyncio.StreamWriter, data: bytes) -> None:
        self.bytes[direction] += len(data)
        wait = line.still_until - asyncio.get_running_loop().time()
        wait = max(wait, 0.0) + line.latency + (len(data) / line.rate if line.rate else 0.0)
        if wait:
            await asyncio.sleep(wait)
        if data and not line.dead:
            writer.write(data)
            await writer.drain()
