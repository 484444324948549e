# SPDX-License-Identifier: Apache-2.0
"""Listener of the coordinator: its socket, with or without TLS; `/healthz`, `/status` and `/probe` beside it."""

from __future__ import annotations

import asyncio
import http
import ipaddress
import json
import logging
from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from ..errors import UserFacingError, cannot_listen
from ..protocol import wire
from .gate import Gate, Visitor
from .probe import Probe

if TYPE_CHECKING:
    from .certificate import ServerTls

_log = logging.getLogger(__name__)

_RENEWAL_SECONDS: Final = 3600.0
# Connections that the system may have accepted before the gate has seen them.
_BACKLOG: Final = 256


class Listener:
    """`async with Listener(...) as listener:` serves websockets to `attend`; `listener.port` is the bound port.

    A connection counts as a stranger until `admitted` is called with it.
    """

    def __init__(
        self,
        address: str,
        port: int,
        attend: Callable[[Visitor], Awaitable[None]],
        status: Callable[[], dict[str, object]],
        warn: Callable[[UserFacingError], None],
        tls: ServerTls | None = None,
        names: Collection[str] = (),
    ) -> None:
        """`names`: hosts by which sites know this coordinator, besides its address and those in the certificate.

        `warn` is told what keeps a certificate from being renewed. Raises UserFacingError for an address that is not
        loopback without TLS.
        """
        if tls is None and not wire.is_loopback(address):
            raise UserFacingError("coordinator.not_loopback", address=address)
        self.gate = Gate(tls)
        self._address = address
        self._port = port
        self._attend = attend
        self._status = status
        self._warn = warn
        self._names = {address, *(name.rstrip(".").lower() for name in names)}
        self._probe = Probe(self.gate.clock)
        self._server: Server | None = None
        self._renewal: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Listener:
        try:
            self._server = await serve(
                cast("Callable[[ServerConnection], Awaitable[None]]", self._attend),
                self._address,
                self._port,
                process_request=self._plain_request,
                compression=wire.COMPRESSION,
                create_connection=cast("type[ServerConnection]", self.gate.create_connection),
                max_size=wire.MAX_HELLO_BYTES,
                max_queue=wire.MAX_QUEUE,
                ping_interval=wire.PING_INTERVAL,
                ping_timeout=wire.PING_TIMEOUT,
                close_timeout=wire.CLOSE_TIMEOUT,
                server_header=None,
                backlog=_BACKLOG,
            )
        except OSError as error:
            raise cannot_listen(error, self._address, self._port) from error
        if self.gate.tls:
            self._renewal = asyncio.create_task(self._keep_renewed(), name="renew the certificate")
        return self

    async def __aexit__(self, *details: object) -> None:
        assert self._server is not None
        if self._renewal:
            self._renewal.cancel()
            await asyncio.gather(self._renewal, return_exceptions=True)
        self._server.close(code=1001, reason="coordinator stops")
        self.gate.close_strangers()
        await self._server.wait_closed()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(next(iter(self._server.sockets)).getsockname()[1])

    def admitted(self, connection: Visitor) -> None:
        self.gate.admitted(connection)

    async def renew(self, now: datetime) -> None:
        """Reads the certificate again, or renews it; new connections get the new one."""
        assert self.gate.tls is not None
        try:
            tls = await asyncio.to_thread(self.gate.tls.renewed, now)
        except UserFacingError as error:
            self._warn(error)
            return
        if tls != self.gate.tls:
            _log.info("a new certificate is used, valid until %s", tls.not_after.date())
            self.gate.tls = tls

    async def _keep_renewed(self) -> None:
        while True:
            await asyncio.sleep(_RENEWAL_SECONDS)
            await self.renew(datetime.now(UTC))

    # -- plain HTTP --------------------------------------------------------------------------------------------------

    def _plain_request(self, connection: ServerConnection, request: Request) -> Response | None:
        headers = request.headers
        if headers.get_all("Origin") or not self._is_ours(headers.get_all("Host")):
            self.gate.count("web_page")
            return connection.respond(http.HTTPStatus.FORBIDDEN, "Only fedmed-desktop may ask here.\n")
        if self.gate.crowded:
            self.gate.count("crowded")
            return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "Too many at once. Try again.\n")
        path = request.path.partition("?")[0]
        if path == "/healthz":
            return _json_response({"status": "ok"})
        if path == "/status":
            assert isinstance(connection, Visitor)
            # A proxy on this computer asks for others.
            forwarded = any(headers.get_all(name) for name in ("Forwarded", "X-Forwarded-For", "Via"))
            if forwarded or not connection.caller.is_here:
                return connection.respond(http.HTTPStatus.FORBIDDEN, "Only this computer may ask for it.\n")
            return _json_response(self._status())
        if path == "/probe":
            return self._probe_response(connection)
        return None

    def _probe_response(self, connection: ServerConnection) -> Response:
        data = self._probe.take()
        if data is None:
            return connection.respond(http.HTTPStatus.TOO_MANY_REQUESTS, "Asked for too often. Try again.\n")
        return _response(data, "application/octet-stream")

    def _is_ours(self, hosts: list[str]) -> bool:
        """Tells whether a request names this coordinator's own host.

        A page whose name was pointed at this computer (DNS rebinding) names its own. The port may be a tunnel's. With
        TLS any address will do, since no page's name is one.
        """
        try:
            names = [(urlsplit(f"//{host}").hostname or "").rstrip(".") for host in hosts]
        except ValueError:
            return False
        if len(names) != 1:
            return False
        name, tls = names[0], self.gate.tls
        if wire.is_loopback(name) or name in self._names:
            return True
        return tls is not None and (
            name in tls.names or f"*.{name.partition('.')[2]}" in tls.names or _is_address(name)
        )


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _json_response(content: dict[str, Any]) -> Response:
    return _response(json.dumps(content).encode(), "application/json")


def _response(body: bytes, kind: str) -> Response:
    """Response with this computer's time, by which a site sees whether its own agrees."""
    date = formatdate(usegmt=True)
    headers = Headers([("Date", date), ("Content-Type", kind), ("Content-Length", str(len(body)))])
    return Response(http.HTTPStatus.OK.value, "OK", headers, body)
