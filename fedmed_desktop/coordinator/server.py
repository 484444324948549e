# SPDX-License-Identifier: Apache-2.0
"""The coordinator's websocket server: admission, one session per site, `/healthz` and `/status` on the same port."""

from __future__ import annotations

import asyncio
import http
import json
import logging
from collections import Counter, defaultdict
from collections.abc import Callable
from urllib.parse import urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from .. import __version__, events
from ..errors import UserFacingError
from ..federation.inputs import SiteJoined
from ..federation.record import RoundRecord
from ..protocol import wire
from ..protocol.messages import VERSION, Goodbye, Hello, Welcome, decode, encode, sayable
from .host import Host
from .session import SiteSession
from .strangers import stranger

_log = logging.getLogger(__name__)

# A peer that says nothing is no site.
_HELLO_SECONDS = 20.0
_CLOSE_REFUSED = 4401
_CLOSE_NOT_UNDERSTOOD = 4400


class CoordinatorServer:
    """`async with CoordinatorServer(host, ...) as server:`; `server.port` is the bound port."""

    def __init__(self, host: Host, address: str, port: int, emit: Callable[[events.Event], None]) -> None:
        """Raises UserFacingError for an address that is not loopback."""
        if not wire.is_loopback(address):
            raise UserFacingError("coordinator.not_loopback", address=address)
        self._host = host
        self._address = address
        self._port = port
        self._emit = emit
        self._server: Server | None = None
        self._sessions: dict[str, SiteSession] = {}
        self._strangers: set[ServerConnection] = set()  # have not said yet which site they are
        self._tries: defaultdict[str, Counter[str]] = defaultdict(Counter)

    async def __aenter__(self) -> CoordinatorServer:
        try:
            self._server = await serve(
                self._connected,
                self._address,
                self._port,
                process_request=self._plain_request,
                compression=wire.COMPRESSION,
                create_connection=stranger(self._strangers),
                max_size=wire.MAX_HELLO_BYTES,
                max_queue=wire.MAX_QUEUE,
                ping_interval=wire.PING_INTERVAL,
                ping_timeout=wire.PING_TIMEOUT,
                close_timeout=wire.CLOSE_TIMEOUT,
                server_header=None,
            )
        except OSError as error:
            raise UserFacingError("coordinator.port", address=self._address, port=self._port) from error
        return self

    async def __aexit__(self, *details: object) -> None:
        assert self._server is not None
        self._server.close(code=1001, reason="coordinator stops")
        await self._server.wait_closed()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(next(iter(self._server.sockets)).getsockname()[1])

    # -- plain HTTP --------------------------------------------------------------------------------------------------

    def _plain_request(self, connection: ServerConnection, request: Request) -> Response | None:
        if request.headers.get_all("Origin") or not self._is_ours(request.headers.get_all("Host")):
            _log.warning("a request from a web page, or for another host, was refused")
            return connection.respond(http.HTTPStatus.FORBIDDEN, "Only fedmed-desktop may ask here.\n")
        if len(self._strangers) > wire.MAX_STRANGERS:
            return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "Too many at once. Try again.\n")
        path = request.path.partition("?")[0]
        if path == "/healthz":
            return _json_response({"status": "ok", "version": __version__})
        if path == "/status":
            return _json_response(self.status())
        return None

    def _is_ours(self, hosts: list[str]) -> bool:
        """Whether a request names this coordinator's own host.

        A page whose name was pointed at this computer (DNS rebinding) names its own. The port may be a tunnel's.
        """
        try:
            names = [urlsplit(f"//{host}").hostname or "" for host in hosts]
        except ValueError:
            return False
        return len(names) == 1 and (wire.is_loopback(names[0]) or names[0] == self._address)

    def status(self) -> dict[str, object]:
        """Where the federation stands; names, numbers and hashes only."""
        state, held_up = self._host.rounds.state, self._host.held_up.reason
        quiet = self._host.progress.quiet()
        return {
            "name": self._host.spec.name,
            "version": __version__,
            "phase": "paused" if held_up else state.phase,
            "reason": held_up.code if held_up else state.reason,
            "params": held_up.params if held_up else {},
            "waits_for": self._host.lost.sites,
            "round": min(state.round, self._host.spec.rounds),
            "rounds": self._host.spec.rounds,
            "attempt": state.attempt,
            "closes": state.closes.isoformat() if state.closes else None,
            "deadlines": {
                one.name: {
                    "minutes": one.minutes,
                    "ends": one.ends.isoformat() if one.ends else None,
                    "sites": list(one.sites),
                }
                for one in self._host.progress.deadlines()
            },
            "adapter": state.start,
            "sites": {
                site: {
                    "connected": site in self._sessions,
                    "asked": site in state.plans,
                    "sent": site in state.updates,
                    "declined": state.declined.get(site),
                    "awaits_approval": site in state.awaiting and site in state.unanswered(),
                    "quiet_since": quiet[site].isoformat() if site in quiet else None,
                }
                for site in state.sites
            },
            "last": _closed(state.history[-1]) if state.history else None,
        }

    # -- sites -------------------------------------------------------------------------------------------------------

    async def _connected(self, connection: ServerConnection) -> None:
        if admitted := await self._introduced(connection):
            self._strangers.discard(connection)
            connection.protocol.max_message_size = wire.longest_offer(self._host.spec.types)
            await self._serve(*admitted, connection)

    async def _introduced(self, connection: ServerConnection) -> tuple[str, int | None] | None:
        """The site's name and rank cap; None where it was sent away."""
        try:
            async with asyncio.timeout(_HELLO_SECONDS):
                frame = await connection.recv()
            hello = decode(frame if isinstance(frame, str) else "")
            if not isinstance(hello, Hello):
                raise UserFacingError("protocol.not_understood", place=hello.type, reason="hello comes first")
        except UserFacingError as error:
            await _part(connection, error, _CLOSE_NOT_UNDERSTOOD)
            return None
        except (TimeoutError, ConnectionClosed):
            return None
        try:
            return await asyncio.to_thread(self._admit, hello), hello.rank_cap
        except UserFacingError as error:
            await _part(connection, error, _CLOSE_REFUSED)
            return None

    def _admit(self, hello: Hello) -> str:
        """The name under which the site takes part. Raises UserFacingError where it cannot."""
        spec = self._host.spec
        if hello.version != VERSION:
            raise UserFacingError("join.version", site=hello.version, coordinator=VERSION)
        if hello.base != spec.base.fingerprint:
            raise UserFacingError("join.other_base", found=hello.base[:12], expected=spec.base.fingerprint[:12])
        if hello.rank_cap is not None and (code := self._host.rounds.join_refusal(hello.rank_cap)):
            raise UserFacingError(code, rank=spec.lora.rank, cap=hello.rank_cap)
        site = self._host.admit(hello.site, hello.token)
        if site is None:
            raise UserFacingError("join.name_taken", site=hello.site)
        return site

    async def _serve(self, site: str, rank_cap: int | None, connection: ServerConnection) -> None:
        session = SiteSession(site, connection, self._host, self._emit, self._tries[site])
        before, self._sessions[site] = self._sessions.get(site), session
        try:
            if before:
                await self._replace(before)
            if self._sessions.get(site) is session:  # and no newer one has come meanwhile
                await self._attend(session, rank_cap)
        except UserFacingError as error:
            await _part(connection, error, _CLOSE_NOT_UNDERSTOOD)
        except ConnectionClosed:
            pass
        finally:
            session.ended.set()
            if self._sessions.get(site) is session:
                del self._sessions[site]
            if self._host.sessions.get(site) is session:
                del self._host.sessions[site]
                self._host.bulletin.changed()
                self._emit(events.SiteSeen(site=site, round=self._host.rounds.state.round, state="left"))

    async def _replace(self, before: SiteSession) -> None:
        """The newest connection of a site counts: the older one may be a dead line that nobody has noticed yet.

        Waits for its end, so that never two write to one part file.
        """
        await _part(before.connection, UserFacingError("join.replaced", site=before.site), _CLOSE_REFUSED)
        await before.ended.wait()

    async def _attend(self, session: SiteSession, rank_cap: int | None) -> None:
        state = self._host.rounds.state
        session.send(Welcome(version=VERSION, spec=self._host.spec, round=state.round, phase=state.phase))
        await self._host.apply(SiteJoined(site=session.site, rank_cap=rank_cap))
        self._host.sessions[session.site] = session
        self._host.bulletin.changed()
        self._emit(events.SiteSeen(site=session.site, round=self._host.rounds.state.round, state="connected"))
        await session.serve()


def _closed(record: RoundRecord) -> dict[str, object]:
    """Weights of the updates in a closed round, and the reasons for them."""
    screened = record.screening.sites if record.screening else {}
    return {
        "round": record.round,
        "reason": record.reason,
        "adapter": record.adapter,
        "frozen": record.frozen,
        "residual": record.residual,
        "measures": record.measures,
        "too_few_for": list(record.screening.too_few) if record.screening else [],
        "sites": {
            site: {
                "weight": one.weight,
                "rank": one.rank,
                "drift": one.drift.model_dump(mode="json"),
                "shared_loss": one.shared_loss,
                "screening": screened[site].model_dump(mode="json") if site in screened else None,
            }
            for site, one in record.sites.items()
        },
    }


async def _part(connection: ServerConnection, error: UserFacingError, code: int) -> None:
    """Says why and closes; a peer that does not even read that is cut off.

    Only a refused admission is final. A fault of the coordinator's own must not end its sites, which come back by
    themselves once it is mended.
    """
    _log.info("a connection is ended: %s %r", error.code, error.params)
    goodbye = Goodbye(code=error.code, params=sayable(error.params), final=error.code.startswith("join."))
    try:
        async with asyncio.timeout(wire.CLOSE_TIMEOUT):
            await connection.send(encode(goodbye))
        await connection.close(code, error.code)
    except TimeoutError:
        connection.transport.abort()
    except ConnectionClosed:
        return


def _json_response(content: dict[str, object]) -> Response:
    body = json.dumps(content).encode()
    headers = Headers([("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return Response(http.HTTPStatus.OK.value, "OK", headers, body)
