# SPDX-License-Identifier: Apache-2.0
"""One connected host at the coordinator: shows the federation, and has each act carried out and answered."""

from __future__ import annotations

import asyncio

from websockets.asyncio.server import ServerConnection

from ..errors import UserFacingError
from ..federation.inputs import HostProof
from ..protocol.hosting import HostAct, HostAnswer, HostBond, HostWelcome, Invited
from ..protocol.messages import VERSION, decode, encode, sayable
from .acting import carry_out
from .host import Host
from .limits import Pace, SiteLimits
from .oversight import Oversight


class HostSession:
    """Serves one connection of a host until it ends. A host is no site: it is asked nothing, and sends no update."""

    def __init__(
        self,
        name: str,
        key: str,
        nonce: str,
        connection: ServerConnection,
        host: Host,
        oversight: Oversight,
        limits: SiteLimits,
    ) -> None:
        """`key`: the host's public key, proved on this connection, whose challenge had this nonce."""
        self.site = name
        self.key = key
        self.connection = connection
        self.hears = True  # until it is parted with
        self.ended = asyncio.Event()
        self._host = host
        self._bond = HostBond(host.federation, key, host.key.public, nonce)
        self._reader = oversight.reader(connection.send)
        self._limits = limits
        self._pace = Pace(limits.clock)
        self._last = 0  # number of the last act

    async def serve(self) -> None:
        """Says who is spoken to, then shows and answers. Raises UserFacingError for what no host may say."""
        host = self._host
        welcome = HostWelcome(version=VERSION, name=self.site, federation=host.federation, spec=host.spec)
        await self.connection.send(encode(welcome))
        reader = asyncio.create_task(self._reader.run())
        try:
            async for frame in self.connection:
                if not self.hears:
                    return
                self._pace.heard(frame)
                message = decode(frame if isinstance(frame, str) else "")
                if not isinstance(message, HostAct):
                    self._limits.refusals.check(self.site)
                    raise host.trail.not_for(self.site, message.type)
                await self.connection.send(encode(await self._answer(message)))
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    async def _answer(self, act: HostAct) -> HostAnswer:
        try:
            invited = await self._carried_out(act)
        except UserFacingError as error:
            if error.code in ("protocol.signature", "join.revoked"):
                raise
            params = sayable(error.params)
            return HostAnswer(number=act.number, code=error.code, params=params, retryable=error.retryable)
        return HostAnswer(number=act.number, invited=invited)

    async def _carried_out(self, act: HostAct) -> Invited | None:
        """Raises UserFacingError where the act is refused."""
        try:
            self._bond.check(act)
        except UserFacingError:
            self._limits.refusals.check(self.site)
            self._host.trail.unsigned(self.site, act.type)
            raise
        self._limits.acts.check(self.site)
        if act.number <= self._last:
            self._host.trail.not_for(self.site, act.act.act)
            raise UserFacingError("hosting.replayed")
        self._last = act.number
        # Looked up for each act: a revocation counts from the moment in which it is written.
        member = await asyncio.to_thread(self._host.admission.member, self.site)
        if member is None or (member.role, member.state, member.key) != ("host", "admitted", self.key):
            self._host.trail.not_for(self.site, act.act.act)
            raise UserFacingError("join.revoked", site=self.site)
        bond = self._bond
        proof = {"key": bond.host, "coordinator": bond.coordinator, "nonce": bond.nonce, "number": act.number}
        return await carry_out(self._host, act.act, HostProof(host=self.site, signature=act.signature, **proof))
