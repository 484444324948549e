# SPDX-License-Identifier: Apache-2.0
"""Connections that have not said yet which site they are, from their first byte: how many, and how much each may send.

The server's own limits begin with the websocket: until then any connection may send a mebibyte of HTTP headers.
"""

from __future__ import annotations

import asyncio
import logging

from websockets.asyncio.server import ServerConnection

from ..protocol import wire

_log = logging.getLogger(__name__)


def stranger(strangers: set[ServerConnection]) -> type[ServerConnection]:
    """Class of connections that are in `strangers` until they end, or are taken out of it. Event loop only.

    Ones beyond `MAX_STRANGERS` are told so if they ask properly, and twice as many are cut off at once.
    """

    class Stranger(ServerConnection):
        _sent = 0

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            strangers.add(self)
            super().connection_made(transport)
            if len(strangers) > 2 * wire.MAX_STRANGERS:
                _log.warning("a connection was cut off: %d others have not said which site they are", len(strangers))
                self.transport.abort()

        def data_received(self, data: bytes) -> None:
            self._sent += len(data)
            if self in strangers and self._sent > wire.MAX_STRANGER_BYTES:
                _log.warning("a connection was cut off: it sent %d bytes before it joined", self._sent)
                self.transport.abort()
            else:
                super().data_received(data)

        def connection_lost(self, exc: Exception | None) -> None:
            strangers.discard(self)
            super().connection_lost(exc)

    return Stranger
