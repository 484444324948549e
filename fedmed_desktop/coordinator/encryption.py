# SPDX-License-Identifier: Apache-2.0
"""TLS of one connection to the coordinator, with a tenth of the memory that asyncio's own takes.

asyncio gives each connection a buffer of 256 KiB to read into, and encrypts all that is said at once: OpenSSL then
keeps room for as many bytes as ever waited together. Here all connections share one buffer, and a record is encrypted
when the socket takes it. This reaches into `SSLProtocol`, whose inner names are the same from Python 3.11 to 3.13.
"""

from __future__ import annotations

import asyncio
import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable
from typing import Any, Final

from ..protocol.wire import CLOSE_TIMEOUT

# Bytes that are encrypted, or decrypted, at once: as many as a record of TLS has.
RECORD: Final = 2**14


class Encryption(SSLProtocol):
    """Protocol between a TCP transport and `connection`, as `loop.start_tls` makes it."""

    max_size = RECORD

    def __init__(
        self,
        context: ssl.SSLContext,
        connection: asyncio.BaseProtocol,
        buffer: bytearray,
        handshake_seconds: float,
        may_hear: Callable[[int], bool],
        lost: Callable[[], None],
    ) -> None:
        """`may_hear` is asked with the number of bytes so far whether the connection may go on, `lost` told its end.

        Bytes lie in `buffer` only between the reading of a socket and the next call: connections may share one.
        """
        super().__init__(
            asyncio.get_running_loop(),
            connection,
            context,
            None,  # type: ignore[arg-type]
            server_side=True,
            ssl_handshake_timeout=handshake_seconds,  # type: ignore[arg-type]
            ssl_shutdown_timeout=CLOSE_TIMEOUT,
        )
        self._ssl_buffer, self._ssl_buffer_view = buffer, memoryview(buffer)
        self._may_hear = may_hear
        self._lost = lost
        self._heard = 0
        self._ending = False

    def buffer_updated(self, nbytes: int) -> None:
        self._heard += nbytes
        if self._may_hear(self._heard):
            super().buffer_updated(nbytes)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._lost()
        super().connection_lost(exc)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._go_on()

    def _start_shutdown(self) -> None:
        self._ending = True  # all that was said is to arrive before the end
        self._go_on()
        super()._start_shutdown()

    def _go_on(self) -> None:
        inner: Any = self
        if inner._write_backlog:
            inner._write_appdata(())

    def _do_write(self) -> None:
        """Encrypts record by record, and nothing that the socket does not take now."""
        inner: Any = self
        backlog = inner._write_backlog
        while backlog and (self._ending or not inner._ssl_writing_paused) and not inner._transport.is_closing():
            data = memoryview(backlog[0])
            try:
                count = inner._sslobj.write(data[:RECORD])
            except ssl.SSLWantReadError:
                break
            inner._write_buffer_size -= count
            if count < len(data):
                backlog[0] = data[count:]
            else:
                backlog.popleft()
            inner._process_outgoing()
        inner._process_outgoing()
