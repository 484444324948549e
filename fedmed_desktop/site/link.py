# SPDX-License-Identifier: Apache-2.0
"""Connection of a site or a host to its coordinator, which comes back by itself: our own reconnect policy, with jitter.

The library's defaults retry bad certificates forever and hammer a server that accepts and then closes; ours waits
longer each time until a session has lasted, and stops for good where retrying is of no use.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from ssl import SSLCertVerificationError, SSLContext, SSLError
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus, WebSocketException

from .. import events
from ..errors import UserFacingError
from ..protocol import wire
from ..protocol.handshake import challenge_in, check_challenge
from ..protocol.hosting import HostHello
from ..protocol.messages import Challenge, Goodbye, Hello, Message, decode, encode
from .proxy import SYSTEM, find_proxy, refusal
from .tls import peer_key, tls_fault

# A coordinator speaks first, and at once.
_CHALLENGE_SECONDS = 20.0
# How often something else than TLS must answer before that counts: once may be a byte damaged on the way.
_MOST_WITHOUT_TLS = 3


@dataclass(frozen=True)
class Backoff:
    """Seconds between tries: doubling from `first` to `most`, each times a random factor in [0.5, 1.5].

    A session that lasted `steady` seconds starts the series again. Many sites that lost one coordinator do not come
    back in one instant, thanks to the factor. All inferred.
    """

    first: float = 0.5
    most: float = 60.0
    steady: float = 30.0

    def seconds(self, tries: int) -> float:
        return float(min(self.most, self.first * 2 ** min(tries, 16)) * random.uniform(0.5, 1.5))


class Link:
    """Runs on one event loop. `send` and `connection` are for tasks on that loop, `post` is for any thread."""

    answers = True  # whether what is said here is answered while the site works

    def __init__(
        self,
        site: str,
        address: str,
        hello: Callable[[Challenge], Hello | HostHello],
        receive: Callable[[Message | bytes], Awaitable[None]],
        emit: Callable[[events.Event], None],
        backoff: Backoff,
    ) -> None:
        """`hello` answers a challenge that was checked. Raises UserFacingError for an address that cannot be used."""
        check_address(address)
        self.address = address
        self.connection: ClientConnection | None = None
        self.expected: str | None = None  # fingerprint of the coordinator; None: any, on this computer
        self.tls: SSLContext | None = None  # for wss:// addresses
        self.proxy = SYSTEM  # a setting of site.proxy
        self._site = site
        self._hello = hello
        self._receive = receive
        self._emit = emit
        self._backoff = backoff
        self._loop: asyncio.AbstractEventLoop | None = None
        self._posted: set[asyncio.Task[None]] = set()
        self._without_tls: int | None = 0  # such answers so far; None once there was a session

    def post(self, message: Message) -> None:
        """Queues a message to be sent, in the order of the calls; any thread, never waits."""
        if self._loop:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile, and with it the connection
                self._loop.call_soon_threadsafe(self._send_soon, message)

    def _send_soon(self, message: Message) -> None:
        if self.connection is not None:
            task = asyncio.create_task(self.send(message))
            self._posted.add(task)
            task.add_done_callback(self._posted.discard)

    async def send(self, message: Message) -> None:
        """Sends if connected. What is not sent is told again after the next welcome, so nothing is queued here."""
        if self.connection is None:
            return
        try:
            await self.connection.send(encode(message))
        except ConnectionClosed:
            return

    async def run(self) -> None:
        """Connects and delivers frames forever; raises UserFacingError where retrying is of no use."""
        self._loop = asyncio.get_running_loop()
        try:
            await self._keep_connecting()
        finally:
            for task in self._posted:
                task.cancel()
            await asyncio.gather(*self._posted, return_exceptions=True)

    async def _keep_connecting(self) -> None:
        tries = 0
        site = self._site
        while True:
            self._emit(events.ConnectionChanged(site=site, state="connecting", address=self.address))
            began = time.monotonic()
            lost = await self._session(site)
            if time.monotonic() - began > self._backoff.steady:
                tries = 0
            delay = self._backoff.seconds(tries)
            tries += 1
            self._emit(
                events.ConnectionChanged(
                    site=site,
                    state="lost",
                    address=self.address,
                    code=lost.code,
                    params=lost.params,
                    retry_seconds=delay,
                )
            )
            await asyncio.sleep(delay)

    async def _session(self, site: str) -> UserFacingError:
        """One connection from its beginning to its end; returns why it ended, raises what ends the link for good."""
        try:
            connection = await self._opened()
        except UserFacingError as error:
            if not error.retryable:
                raise
            return error
        try:
            await connection.send(encode(self._hello(await self._challenged(connection))))
            self.connection, self._without_tls = connection, None
            self._emit(events.ConnectionChanged(site=site, state="connected", address=self.address))
            async for frame in connection:
                if message := frame if isinstance(frame, bytes) else self._understood(site, frame):
                    await self._take(message)
        except (ConnectionClosed, TimeoutError):
            pass
        except UserFacingError as error:
            # What the other side says wrongly costs the connection, not the work of this site.
            if not error.retryable and not error.code.startswith("protocol."):
                raise
            return error
        finally:
            self.connection = None
            try:
                await connection.close()
            finally:  # cancelled while a coordinator that stands still does not hang up: no socket is left behind
                connection.transport.abort()
        return UserFacingError("link.closed", address=self.address)

    async def _opened(self) -> ClientConnection:
        """A new connection, through the proxy if there is one. Raises UserFacingError, also retryable ones."""
        parts = urlsplit(self.address)
        proxy = await find_proxy(self.proxy, parts.hostname or "", parts.port or 0)
        try:
            return await Connect(
                self.address,
                ssl=self.tls,
                compression=wire.COMPRESSION,
                max_size=wire.MAX_SIZE_TO_SITE,
                max_queue=wire.MAX_QUEUE,
                ping_interval=wire.PING_INTERVAL,
                ping_timeout=wire.PING_TIMEOUT,
                close_timeout=wire.CLOSE_TIMEOUT,
                proxy=proxy.url if proxy else None,
                user_agent_header=None,
            )
        except SSLError as error:
            raise self._tls_fault(error) from error
        except (OSError, WebSocketException, TimeoutError) as error:
            of_proxy = refusal(error, proxy, parts.netloc) if proxy else None
            raise of_proxy or _unopened(error, self.address) from error

    def _tls_fault(self, error: SSLError) -> UserFacingError:
        """A certificate that will not do is final. What is no TLS at all ends only a site that never got further."""
        fault = tls_fault(error, self.address, datetime.now(UTC))
        if fault.retryable or isinstance(error, SSLCertVerificationError):
            return fault
        if self._without_tls is not None:
            self._without_tls += 1
            if self._without_tls >= _MOST_WITHOUT_TLS:
                return fault
        return UserFacingError(fault.code, retryable=True, **fault.params)

    async def _challenged(self, connection: ClientConnection) -> Challenge:
        """The coordinator's first message, once it has proved who it is. Raises UserFacingError where it has not."""
        async with asyncio.timeout(_CHALLENGE_SECONDS):
            given = challenge_in(await connection.recv())
        own = peer_key(connection.transport.get_extra_info("ssl_object")) if self.tls else ""
        check_challenge(given, own, self.expected)
        return given

    def _understood(self, site: str, frame: str) -> Message | None:
        """The message; None for a standing or an overview that cannot be read: only faces show it, and the next one
        replaces it."""
        try:
            return decode(frame)
        except UserFacingError as error:
            if str(error.params["place"]).partition(".")[0] not in ("standing", "overview"):
                raise
            self._emit(events.Warned(site=site, code=error.code, params=error.params))
            return None

    async def _take(self, message: Message | bytes) -> None:
        if isinstance(message, Goodbye):
            params = {key: value for key, value in message.params.items() if key not in _RESERVED}
            raise UserFacingError(message.code, retryable=not message.final, **params)
        await self._receive(message)


def _unopened(error: Exception, address: str) -> UserFacingError:
    """Says why a connection did not come about. All may pass: the host can mend each without this site."""
    answer = error.response.status_code if isinstance(error, InvalidStatus) else None
    if answer == http.HTTPStatus.FORBIDDEN:
        host = urlsplit(address).netloc
        return UserFacingError("link.other_name", retryable=True, address=address, host=host)
    if answer == http.HTTPStatus.SERVICE_UNAVAILABLE:
        return UserFacingError("link.crowded", retryable=True, address=address)
    if answer is not None:
        return UserFacingError("link.no_coordinator_there", retryable=True, address=address, status=answer)
    if isinstance(error, InvalidMessage) and address.startswith("ws:"):
        return UserFacingError("link.not_plain", retryable=True, address=address)
    return UserFacingError("link.unreachable", retryable=True, address=address)


# Names of UserFacingError's own parameters, which no peer may set.
_RESERVED = ("self", "code", "retryable")


class Connect(connect):
    """Follows no redirect: the address that was checked is the only one that is ever spoken to."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


def check_address(address: str) -> None:
    """Raises UserFacingError unless this is a wss:// address, or a ws:// address on this computer."""
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("ws", "wss") and parts.hostname and parts.port
        (parts.hostname or "").encode("idna")  # else asking for it raises what is no OSError
    except ValueError:
        usable = None
    if not usable:
        raise UserFacingError("link.address", address=address)
    if parts.scheme == "ws" and not wire.is_loopback(parts.hostname or ""):
        raise UserFacingError("link.not_loopback", address=address)
