# SPDX-License-Identifier: Apache-2.0
"""Authentication at the coordinator: who each connection is, and which sites and hosts may come in."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed, ConnectionClosedError

from .. import events
from ..errors import UserFacingError
from ..identity import phrase
from ..protocol import wire
from ..protocol.handshake import challenge, check_hello
from ..protocol.hosting import HostHello
from ..protocol.messages import VERSION, Goodbye, Hello, Waiting, decode, encode, sayable
from ..storage.roll import Member
from .gate import Visitor
from .host import Host
from .limits import Guesses

_log = logging.getLogger(__name__)

# A peer that says nothing is no site.
_HELLO_SECONDS = 20.0
_CLOSE_REFUSED = 4401
_CLOSE_NOT_UNDERSTOOD = 4400


@dataclass(frozen=True)
class Introduced:
    """One who was let in, with what it said; `nonce`: of the challenge that it answered."""

    member: Member
    rank_cap: int | None
    nonce: str


class Authentication:
    """Introduces connections, on the event loop of the server."""

    def __init__(
        self,
        host: Host,
        known: Callable[[Visitor], None],
        emit: Callable[[events.Event], None],
    ) -> None:
        """`known` is told who is a stranger no more."""
        self._host = host
        self._known = known
        self._emit = emit
        self._guesses = Guesses(time.monotonic)
        self._shown: dict[str, tuple[str, str]] = {}  # keys and states that the host's face knows, by site
        self._waiting: dict[str, Visitor] = {}  # the newest connection of each site that the host has not confirmed
        self._changed = asyncio.Event()

    def look_again(self) -> None:
        """The registry has changed: who waits to be confirmed is looked up once more."""
        self._changed.set()
        self._changed = asyncio.Event()

    @property
    def waiting(self) -> set[str]:
        """Names of those who are connected and wait to be confirmed."""
        return set(self._waiting)

    async def introduced(self, connection: Visitor) -> Introduced | None:
        """The site or host that has come; None where it was sent away."""
        asked = challenge(self._host.key, secrets.token_hex(32), connection.tls_key)
        try:
            async with asyncio.timeout(_HELLO_SECONDS):
                await connection.send(encode(asked))
                frame = await connection.recv()
            hello = _hello(frame if isinstance(frame, str) else "")
            check_hello(asked, hello)
        except UserFacingError as error:
            await part_with(connection, error)
            return None
        except (TimeoutError, ConnectionClosed):
            return None
        try:
            if isinstance(hello, Hello):
                check_joining(hello, self._host)
            member = await self._joined(hello, connection.address)
            self._known(connection)
            await self._show(member)
            if member.state == "waiting":
                member = await self._confirmed(member, connection)
            if member.state == "revoked":
                raise UserFacingError("join.revoked", site=member.name)
            return Introduced(member, hello.rank_cap if isinstance(hello, Hello) else None, asked.nonce)
        except UserFacingError as error:
            await part_with(connection, error)
        except ConnectionClosed:
            pass
        return None

    async def _joined(self, hello: Hello | HostHello, address: str) -> Member:
        if hello.code:
            self._guesses.check(address)
        try:
            return await asyncio.to_thread(self._host.admission.join, hello)
        except UserFacingError:
            if hello.code:
                self._guesses.wrong(address)
            raise

    async def _show(self, member: Member) -> None:
        """Tells the host's face which key has come, the first time since the start."""
        if member.key is None or self._shown.get(member.name) == (member.key, member.state):
            return
        self._shown[member.name] = member.key, member.state
        words = await asyncio.to_thread(phrase, member.key, self._host.key.public)
        prints = {"site_fingerprint": member.fingerprint, "coordinator_fingerprint": self._host.key.fingerprint}
        waits = member.state == "waiting"
        self._emit(events.IdentityShown(site=member.name, phrase=words, waits=waits, **prints))

    async def _confirmed(self, member: Member, connection: Visitor) -> Member:
        """The member once the host has decided. Of several connections of one site the newest waits."""
        site = member.name
        before, self._waiting[site] = self._waiting.get(site), connection
        self._host.bulletin.changed()
        try:
            if before:
                await part_with(before, UserFacingError("join.replaced", site=site))
            await connection.send(encode(Waiting(site=site)))
            while member.state == "waiting":
                await self._until_changed(connection)
                found = await asyncio.to_thread(self._host.admission.member, site)
                member = found or member
            return member
        finally:
            if self._waiting.get(site) is connection:
                del self._waiting[site]
                self._host.bulletin.changed()

    async def _until_changed(self, connection: Visitor) -> None:
        """Waits for a change of the registry; raises ConnectionClosed if the site leaves meanwhile."""
        change = asyncio.ensure_future(self._changed.wait())
        gone = asyncio.ensure_future(connection.wait_closed())
        try:
            # The limit: a change may have come just before this began to wait.
            await asyncio.wait([change, gone], timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                raise ConnectionClosedError(None, None)
        finally:
            change.cancel()
            gone.cancel()


def check_joining(hello: Hello, host: Host) -> None:
    """Raises UserFacingError where the site, whoever it is, cannot take part."""
    spec = host.spec
    if hello.base != spec.base.fingerprint:
        raise UserFacingError("join.other_base", found=hello.base[:12], expected=spec.base.fingerprint[:12])
    if hello.rank_cap is not None and (code := host.rounds.join_refusal(hello.rank_cap)):
        raise UserFacingError(code, rank=spec.lora.rank, cap=hello.rank_cap)


def _hello(frame: str) -> Hello | HostHello:
    """The first message of a site or a host. Raises UserFacingError, in plain words where it speaks another version."""
    try:
        hello = decode(frame)
    except UserFacingError:
        with contextlib.suppress(ValueError, RecursionError):
            said = json.loads(frame)
            if isinstance(said, dict) and isinstance(version := said.get("version"), int) and version != VERSION:
                raise UserFacingError("join.version", site=str(version)[:20], coordinator=VERSION) from None
        raise
    if not isinstance(hello, Hello | HostHello):
        raise UserFacingError("protocol.not_understood", place=hello.type, reason="hello comes first")
    if hello.version != VERSION:
        raise UserFacingError("join.version", site=hello.version, coordinator=VERSION)
    return hello


async def part_with(connection: ServerConnection, error: UserFacingError) -> None:
    """Says why and closes; a peer that does not even read that is cut off.

    Only a refused admission is final. A fault of the coordinator's own must not end its sites, which come back by
    themselves once it is mended.
    """
    _log.info("a connection is ended: %s %r", error.code, error.params)
    final = error.code.startswith("join.")
    goodbye = Goodbye(code=error.code, params=sayable(error.params), final=final)
    try:
        async with asyncio.timeout(wire.CLOSE_TIMEOUT):
            await connection.send(encode(goodbye))
        await connection.close(_CLOSE_REFUSED if final else _CLOSE_NOT_UNDERSTOOD, error.code)
    except TimeoutError:
        connection.transport.abort()
    except ConnectionClosed:
        return
