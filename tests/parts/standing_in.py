# SPDX-License-Identifier: Apache-2.0
"""Stands in for a coordinator up to its challenge, and can be wrong about each thing that a site looks at."""

from __future__ import annotations

import contextlib
import http
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from fedmed_desktop.coordinator.certificate import ServerTls
from fedmed_desktop.identity import PrivateKey
from fedmed_desktop.protocol.handshake import challenge
from fedmed_desktop.protocol.messages import encode


@contextlib.asynccontextmanager
async def standing_in(
    key: PrivateKey,
    tls: ServerTls | None = None,
    *,
    ahead: timedelta = timedelta(),
    refuses: http.HTTPStatus | None = None,
    signs_tls: str | None = None,
    says: str | None = None,
    probe: bytes | None = bytes(300_000),
) -> AsyncIterator[int]:
    """Gives the port. `ahead`: of its clock. `signs_tls`: in place of its own TLS key. `says`: in place of a challenge.
    `probe`: None where none is given."""

    def answer(connection: ServerConnection, request: Request) -> Response | None:
        if refuses is not None:
            return connection.respond(refuses, "")
        body = {"/healthz": b"{}", "/probe": probe}.get(request.path)
        if request.path not in ("/healthz", "/probe"):
            return None
        if body is None:
            return connection.respond(http.HTTPStatus.TOO_MANY_REQUESTS, "")
        date = format_datetime(datetime.now(UTC) + ahead, usegmt=True)
        headers = Headers([("Date", date), ("Content-Length", str(len(body)))])
        return Response(http.HTTPStatus.OK.value, "OK", headers, body)

    async def speak(connection: ServerConnection) -> None:
        own = tls.key_sha256 if tls else ""
        given = challenge(key, secrets.token_hex(32), own if signs_tls is None else signs_tls)
        await connection.send(encode(given) if says is None else says)
        heard.extend([frame async for frame in connection])

    heard: list[str | bytes] = []
    context = tls.context if tls else None
    async with serve(speak, "127.0.0.1", 0, process_request=answer, ssl=context, compression=None) as server:
        yield server.sockets[0].getsockname()[1]
    assert not heard, "a check says nothing about the site"
