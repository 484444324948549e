# SPDX-License-Identifier: Apache-2.0
"""Check of the connection to a coordinator, step by step, up to the first fault. Nothing is joined by it: the
coordinator proves who it is, and this site says nothing about itself.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ipaddress
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Final
from urllib.parse import unquote, urlsplit

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidStatus, WebSocketException

from ..errors import UserFacingError
from ..identity import fingerprint
from ..protocol import wire
from ..protocol.handshake import challenge_in, check_challenge
from ..protocol.messages import VERSION
from .findings import Finding, Params, Tell
from .link import Connect, check_address
from .proxy import SYSTEM, Proxy, find_proxy, refusal, unreachable
from .tls import context_for, peer_key, tls_fault

PATIENCE_S: Final = 10.0
# Certificates, deadlines and records of decisions carry times; a minute more or less harms none of them.
_CLOCK_S: Final = 60.0
_PROBE: Final = "/probe"
_MOST_BYTES: Final = 2**21
_CHUNK: Final = 2**14


@dataclass(frozen=True)
class Target:
    """`address`: wss://host:port, or ws:// on this computer. `expected`: fingerprint in the invitation."""

    address: str
    expected: str | None = None
    roots: bool = False
    proxy: str = field(default=SYSTEM, repr=False)

    @property
    def host(self) -> str:
        return urlsplit(self.address).hostname or ""

    @property
    def port(self) -> int:
        return urlsplit(self.address).port or 0

    @property
    def secure(self) -> bool:
        return self.address.startswith("wss:")

    @property
    def place(self) -> str:
        return urlsplit(self.address).netloc


@dataclass(frozen=True)
class _Fetched:
    """An HTTP answer: its status, Date header, bytes per second, and the TLS key of who gave it."""

    status: int
    date: str
    speed: float
    tls: str


async def look_at_line(target: Target, clock: Callable[[], datetime], tell: Tell) -> float | None:
    """Tells what is found until a step goes wrong. Returns the measured bytes per second, if they were."""
    try:
        check_address(target.address)
    except UserFacingError as error:
        tell(Finding.of("address", error))
        return None
    code = "check.address" if target.secure else "check.address_here"
    tell(Finding("address", "ok", code, {"address": target.place}))
    try:
        proxy = await find_proxy(target.proxy, target.host, target.port)
    except UserFacingError as error:
        tell(Finding.of("proxy", error))
        return None
    if not wire.is_loopback(target.host):
        tell(_proxy_finding(proxy))
    if not await _is_reached(target, proxy, tell):
        return None
    tls = await _proved(target, proxy, clock, tell)
    return None if tls is None else await _measured(target, proxy, tls, clock, tell)


def _proxy_finding(proxy: Proxy | None) -> Finding:
    if proxy is None:
        return Finding("proxy", "ok", "check.no_proxy")
    code = "check.proxy_system" if proxy.source == "system" else "check.proxy_given"
    return Finding("proxy", "ok", code, {"proxy": proxy.shown})


async def _is_reached(target: Target, proxy: Proxy | None, tell: Tell) -> bool:
    """Tells whether a TCP connection to the coordinator, or to the proxy on the way to it, can be made."""
    host, port = proxy.place if proxy else (target.host, target.port)
    addresses = [host] if _is_number(host) else await _looked_up(host)
    if not addresses:
        tell(Finding.of("proxy", unreachable(proxy)) if proxy else _no_name(host))
        return False
    if not proxy and not _is_number(host):
        tell(Finding("name", "ok", "check.name", {"host": host, "found": ", ".join(addresses[:4])}))
    began = time.monotonic()
    try:
        async with asyncio.timeout(PATIENCE_S):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError) as error:
        tell(Finding.of("proxy", unreachable(proxy)) if proxy else _no_line(target, error))
        return False
    writer.close()
    if not proxy:
        delay = round((time.monotonic() - began) * 1000)
        tell(Finding("line", "ok", "check.line", {"address": target.place, "milliseconds": max(1, delay)}))
    return True


async def _looked_up(host: str) -> list[str]:
    try:
        async with asyncio.timeout(PATIENCE_S):
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError, UnicodeError):
        return []
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _is_number(host: str) -> bool:
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host.partition("%")[0])
        return True
    return False


def _no_name(host: str) -> Finding:
    return Finding("name", "wrong", "check.no_name", {"host": host})


def _no_line(target: Target, error: OSError) -> Finding:
    params: Params = {"address": target.place, "port": target.port, "host": target.host}
    if isinstance(error, ConnectionRefusedError):
        return Finding("line", "wrong", "check.nobody_listens", params)
    return Finding("line", "wrong", "check.no_line", params)


async def _proved(target: Target, proxy: Proxy | None, clock: Callable[[], datetime], tell: Tell) -> str | None:
    """The TLS key of a coordinator that has proved its identity ("" on a plain line); None: it has not."""
    try:
        async with _connected(target, proxy) as connection:
            own = ""
            if target.secure:
                secured = connection.transport.get_extra_info("ssl_object")
                own = peer_key(secured)
                version = str(secured.version()).replace("v", " ")  # as TLS 1.3
                tell(Finding("encryption", "ok", "check.encrypted", {"version": version}))
            async with asyncio.timeout(PATIENCE_S):
                given = challenge_in(await connection.recv())
            check_challenge(given, own, target.expected)
            _tell_identity(target, fingerprint(given.key)[:16], tell)
    except UserFacingError as error:
        tell(Finding.of("version" if error.code == "join.version" else "identity", error))
        return None
    except (OSError, WebSocketException, TimeoutError) as error:
        tell(_fault(error, target, proxy, clock()))
        return None
    return own


@contextlib.asynccontextmanager
async def _connected(target: Target, proxy: Proxy | None) -> AsyncIterator[ClientConnection]:
    connection = await Connect(
        target.address,
        ssl=context_for(target.roots) if target.secure else None,
        compression=wire.COMPRESSION,
        max_size=wire.MAX_HELLO_BYTES,
        open_timeout=PATIENCE_S,
        close_timeout=1.0,
        proxy=proxy.url if proxy else None,
        user_agent_header=None,
    )
    try:
        yield connection
    finally:
        try:
            await connection.close()
        finally:
            connection.transport.abort()


def _tell_identity(target: Target, found: str, tell: Tell) -> None:
    """Says who the coordinator is, by the beginning of its fingerprint."""
    if target.expected is not None:
        tell(Finding("identity", "ok", "check.identity", {"fingerprint": found}))
    elif wire.is_loopback(target.host):
        tell(Finding("identity", "ok", "check.identity_here", {"fingerprint": found}))
    else:
        tell(Finding("identity", "warning", "check.identity_unknown", {"fingerprint": found}))
    tell(Finding("version", "ok", "check.version", {"version": VERSION}))


def _fault(error: Exception, target: Target, proxy: Proxy | None, now: datetime) -> Finding:
    """Says which part of the way is at fault."""
    address = {"address": target.place}
    if isinstance(error, ssl.SSLError):
        return Finding.of("encryption", tls_fault(error, target.place, now))
    if proxy and (refused := refusal(error, proxy, target.place)):
        return Finding.of("proxy", refused)
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        if status == HTTPStatus.FORBIDDEN:
            return Finding("line", "wrong", "check.other_name", address | {"host": target.host})
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            return Finding("line", "warning", "check.busy", address)
        return Finding("line", "wrong", "check.other_program", address)
    if isinstance(error, TimeoutError):
        return Finding("line", "wrong", "check.says_nothing", address)
    if isinstance(error, OSError):
        return Finding("line", "wrong", "check.cut_off", address)
    return Finding("line", "wrong", "check.other_program", address)


# -- plain HTTP on the same port ---------------------------------------------------------------------------------------


async def _measured(
    target: Target, proxy: Proxy | None, tls: str, clock: Callable[[], datetime], tell: Tell
) -> float | None:
    """Clock difference and speed, by HTTP; only from who has the TLS key that the coordinator has proved to be its."""
    if proxy and proxy.url.startswith("https:"):  # Python's HTTP client does not encrypt the way to a proxy
        tell(Finding("speed", "warning", "check.speed_unknown"))
        return None
    try:
        before = clock()
        alive = await asyncio.to_thread(_fetch, target, proxy, "/healthz")
        if difference := _clock_finding(alive, before, clock()):
            tell(difference)
        probe = await asyncio.to_thread(_fetch, target, proxy, _PROBE)
    except (OSError, HTTPException, ValueError):
        tell(Finding("speed", "warning", "check.speed_unknown"))
        return None
    if probe.status != HTTPStatus.OK or probe.tls != tls or not probe.speed:
        tell(Finding("speed", "warning", "check.speed_unknown"))
        return None
    return probe.speed


def _clock_finding(answer: _Fetched, before: datetime, after: datetime) -> Finding | None:
    if not answer.date:
        return None
    there = parsedate_to_datetime(answer.date)
    there = there if there.tzinfo else there.replace(tzinfo=UTC)
    ahead = (before + (after - before) / 2 - there).total_seconds()
    if abs(ahead) <= _CLOCK_S:
        return Finding("clock", "ok", "check.clock")
    code = "check.clock_ahead" if ahead > 0 else "check.clock_behind"
    return Finding("clock", "warning", code, {"minutes": max(1, round(abs(ahead) / 60))})


def _fetch(target: Target, proxy: Proxy | None, path: str) -> _Fetched:
    """Blocks. The second half of the answer gives the speed: a connection is slow in its first moments."""
    host, port = proxy.place if proxy else (target.host, target.port)
    connection: HTTPConnection = (
        HTTPSConnection(host, port, timeout=PATIENCE_S, context=context_for(target.roots))
        if target.secure
        else HTTPConnection(host, port, timeout=PATIENCE_S)
    )
    try:
        if proxy:
            connection.set_tunnel(target.host, target.port, headers=_sign_in(proxy))
        connection.request("GET", path)
        tls = peer_key(connection.sock) if isinstance(connection.sock, ssl.SSLSocket) else ""
        answer = connection.getresponse()
        total = min(answer.length or 0, _MOST_BYTES)
        speed = _read_speed(answer.read, total)
        return _Fetched(answer.status, answer.headers.get("Date", ""), speed, tls)
    finally:
        connection.close()


def _read_speed(read: Callable[[int], bytes], total: int) -> float:
    done, half, began = 0, 0, time.monotonic()
    deadline = began + PATIENCE_S
    while done < total and time.monotonic() < deadline and (data := read(_CHUNK)):
        done += len(data)
        if half == 0 and done >= total / 2:
            half, began = done, time.monotonic()
    return (done - half) / max(time.monotonic() - began, 1e-6)


def _sign_in(proxy: Proxy) -> dict[str, str]:
    parts = urlsplit(proxy.url)
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Proxy-Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
