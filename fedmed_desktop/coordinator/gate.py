# SPDX-License-Identifier: Apache-2.0
"""Gate of the coordinator: every connection from its first byte, how many there are, and how much each may send.

The limits come before TLS and before the websocket: asyncio gives each TCP connection a TLS object of 300 KiB, without
a bound, and until there is a websocket any connection may send a mebibyte of HTTP headers.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from websockets.asyncio.server import ServerConnection

from . import limits
from .encryption import RECORD, Encryption

if TYPE_CHECKING:
    from .certificate import ServerTls

_log = logging.getLogger(__name__)

# A flood of connections must not become a flood of lines.
_LOG_SECONDS: Final = 60.0


class Gate:
    """Lets connections in, and keeps count of them until they end. Event loop only.

    `create_connection` is for websockets' `serve`, which is given no `ssl`: the gate speaks TLS itself, with `tls`,
    which may be replaced and then serves the connections that come later.
    """

    def __init__(self, tls: ServerTls | None = None, clock: limits.Clock = time.monotonic) -> None:
        self.tls = tls
        self.refused: Counter[str] = Counter()  # by reason
        self.bytes_in = 0
        self.bytes_out = 0  # of messages
        self._buffer = bytearray(RECORD)
        self.clock = clock
        self._most = limits.connections_allowed()
        self._open: dict[_Caller, None] = {}  # in the order in which they came
        self._from: Counter[str] = Counter()
        self._strangers_from: Counter[str] = Counter()
        self._handshakes: dict[_Caller, None] = {}
        self._strangers: set[_Caller] = set()
        self._joins = limits.PerMinute(limits.MAX_JOINS_PER_MINUTE, clock)
        self._logged: dict[str, float] = {}

    def create_connection(self, *args: Any, **settings: Any) -> asyncio.Protocol:
        """Protocol of a new TCP connection, which becomes a `Visitor` once it is let in."""
        return _Doorstep(self, lambda caller: Visitor(self, caller, *args, **settings))

    @property
    def connections(self) -> int:
        return len(self._open)

    @property
    def handshakes(self) -> int:
        return len(self._handshakes)

    @property
    def strangers(self) -> int:
        """Connections that have not said who they are, begun handshakes among them."""
        return len(self._strangers)

    @property
    def crowded(self) -> bool:
        """Tells whether a stranger is to be told that there are too many at once."""
        return len(self._strangers) - len(self._handshakes) > limits.MAX_STRANGERS

    def admitted(self, connection: Visitor) -> None:
        """Takes a site that has joined out of the strangers."""
        self._known(connection.caller)

    def close_strangers(self) -> None:
        """Cuts off all who have not joined: a stopping coordinator need not wait for them."""
        for caller in list(self._strangers):
            caller.transport.abort()

    def count(self, reason: str, expected: bool = False) -> None:
        """Notes a connection that was refused or cut off, with a line in the log now and then: a warning, unless
        it may be `expected`."""
        self.refused[reason] += 1
        now = self.clock()
        if now - self._logged.get(reason, -_LOG_SECONDS) >= _LOG_SECONDS:
            self._logged[reason] = now
            level = logging.INFO if expected else logging.WARNING
            _log.log(level, "a connection was cut off (%s; %d so far)", reason, self.refused[reason])

    # -- one connection ----------------------------------------------------------------------------------------------

    def enter(self, caller: _Caller) -> bool:
        """Tells whether a new TCP connection may go on."""
        if reason := self._refusal(caller.origin):
            self.count(reason)
            return False
        self._open[caller] = None
        self._strangers.add(caller)
        if caller.origin:
            self._from[caller.origin] += 1
            self._strangers_from[caller.origin] += 1
        if self.tls:
            self._handshakes[caller] = None
        return True

    def _refusal(self, origin: str) -> str | None:
        if len(self._open) >= self._most:
            return "connections"
        if origin:
            if self._from[origin] >= limits.MAX_FROM_ADDRESS:
                return "connections_of_address"
            if self._strangers_from[origin] >= limits.MAX_STRANGERS_FROM_ADDRESS:
                return "strangers_of_address"
            if not self._joins.take(origin):
                return "joins_of_address"
        if self.tls and len(self._handshakes) >= limits.MAX_HANDSHAKES:
            eldest = next(iter(self._handshakes))
            if self.clock() - eldest.since < limits.HANDSHAKE_PATIENCE:
                return "handshakes"
            self.count("handshakes")
            self._gone(eldest)
            eldest.transport.abort()
        if len(self._strangers) - len(self._handshakes) >= 2 * limits.MAX_STRANGERS:
            return "strangers"
        return None

    def encrypted(self, caller: _Caller, connection: asyncio.BaseProtocol, tls: ServerTls) -> asyncio.BaseProtocol:
        def may_hear(heard: int) -> bool:  # what a handshake says is held until it is complete
            return self.may_say(caller, heard)

        seconds = limits.HANDSHAKE_SECONDS
        return Encryption(tls.context, connection, self._buffer, seconds, may_hear, lambda: self.gone(caller))

    def may_say(self, caller: _Caller, heard: int) -> bool:
        """Cuts a stranger off that has said too much."""
        if heard <= limits.MAX_STRANGER_BYTES or caller not in self._strangers:
            return True
        self.count("stranger_bytes")
        caller.transport.abort()
        return False

    def shaken(self, caller: _Caller) -> None:
        """TLS is up."""
        self._handshakes.pop(caller, None)

    def _known(self, caller: _Caller) -> None:
        if caller in self._strangers:
            self._strangers.discard(caller)
            self._handshakes.pop(caller, None)
            _less(self._strangers_from, caller.origin)

    def gone(self, caller: _Caller) -> None:
        if caller in self._open:
            if caller in self._handshakes:
                self.count("handshake_failed", expected=caller.is_here)  # --status tries without TLS first
            self._gone(caller)

    def _gone(self, caller: _Caller) -> None:
        self._known(caller)
        self._open.pop(caller, None)
        _less(self._from, caller.origin)


def _less(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]


class _Caller:
    """One TCP connection, whatever protocols it goes through. `origin` is empty for this computer's own addresses.

    `is_here`: it comes from this computer, by whichever address.
    """

    __slots__ = ("address", "is_here", "origin", "since", "tls_key", "transport")

    def __init__(self, transport: asyncio.Transport, since: float) -> None:
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if peer else ""
        found, here = limits.origin(self.address), transport.get_extra_info("sockname")
        self.origin = "" if limits.is_own(found) else found
        self.is_here = limits.is_here(self.address, str(here[0]) if here else "")
        self.transport = transport
        self.since = since
        self.tls_key = ""


class _Doorstep(asyncio.Protocol):
    """Place where a TCP connection waits to be let in; no byte of it is read here."""

    def __init__(self, gate: Gate, visitor: Callable[[_Caller], Visitor]) -> None:
        self._gate = gate
        self._visitor = visitor

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        caller = _Caller(transport, self._gate.clock())
        if not self._gate.enter(caller):
            transport.abort()
            return
        connection: asyncio.BaseProtocol = self._visitor(caller)
        if tls := self._gate.tls:
            caller.tls_key = tls.key_sha256
            connection = self._gate.encrypted(caller, connection, tls)
        transport.set_protocol(connection)
        connection.connection_made(transport)


class Visitor(ServerConnection):
    """Websocket connection that the gate knows.

    `address` is where it comes from, `tls_key` the sha256 of the key in the certificate that it was shown: "" on a
    plain socket.
    """

    def __init__(self, gate: Gate, caller: _Caller, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.caller = caller
        self._gate = gate
        self._heard = 0
        self._said = 0
        self._drain: asyncio.TimerHandle | None = None

    @property
    def address(self) -> str:
        return self.caller.address

    @property
    def tls_key(self) -> str:
        return self.caller.tls_key

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._gate.shaken(self.caller)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._heard += len(data)
        self._gate.bytes_in += len(data)
        if self._gate.may_say(self.caller, self._heard):
            super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._drain:
            self._drain.cancel()
        self._gate.gone(self.caller)
        super().connection_lost(exc)

    async def send(self, message: Any, *, text: bool | None = None) -> None:
        if isinstance(message, str | bytes | bytearray | memoryview):
            self._said += len(message)
            self._gate.bytes_out += len(message)
        await super().send(message, text=text)

    # -- slow readers ------------------------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        super().pause_writing()
        self._look_later()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._drain:
            self._drain.cancel()
            self._drain = None

    def _look_later(self) -> None:
        self._drain = self.loop.call_later(limits.DRAIN_SECONDS, self._look, self._read())

    def _look(self, before: int) -> None:
        """Cuts off a peer that reads nearly nothing of what waits for it; nobody else waits for it."""
        if self._read() - before < limits.DRAIN_BYTES:
            self._gate.count("slow_reader")
            self.transport.abort()
        else:
            self._look_later()

    def _read(self) -> int:
        """Bytes that have gone out, apart from a constant."""
        own = self.transport.get_write_buffer_size()
        below = self.caller.transport.get_write_buffer_size() if self.tls_key else 0
        return self._said - own - below
