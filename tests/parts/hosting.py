# SPDX-License-Identifier: Apache-2.0
"""Parts for tests of people who host: invitations of hosts, an agent at work, and a host that speaks by hand."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fedmed_desktop import events
from fedmed_desktop.coordinator import Host
from fedmed_desktop.overview import Overview
from fedmed_desktop.protocol.handshake import answered_by_host
from fedmed_desktop.protocol.hosting import Act, HostAct, HostAnswer, HostBond, HostHello, HostWelcome
from fedmed_desktop.protocol.invitation import Invitation
from fedmed_desktop.protocol.messages import VERSION, Challenge
from fedmed_desktop.site.hosting import HostAgent
from fedmed_desktop.storage.audit import FILE, Audit
from fedmed_desktop.storage.audit_row import AuditRow
from fedmed_desktop.storage.registry import REGISTRY_FILE, Registry
from fedmed_desktop.storage.roll import Role
from tests.parts.loopback import PATIENCE, QUICK, RawSite


def code_for(folder: Path, name: str, role: Role = "host") -> bytes:
    """The code of a new invitation, as the command beside the coordinator makes it."""
    with closing(Registry(folder / REGISTRY_FILE)) as registry:
        return registry.invite(name, timedelta(days=1), datetime.now(UTC), "shell", role)


def invitation_for(folder: Path, host: Host, port: int, name: str, role: Role = "host") -> Invitation:
    return Invitation(f"127.0.0.1:{port}", host.key.fingerprint, code_for(folder, name, role), name, role=role)


def audited(folder: Path, *actions: str) -> list[AuditRow]:
    """Entries of a coordinator's chain with these actions, in order."""
    with closing(Audit(folder / FILE, "coordinator", "")) as audit:
        return [row for row in audit.entries(most=100_000) if row.action_code in actions]


class Hosting:
    """A host's agent at work on this loop, and all that it showed."""

    def __init__(self, agent: HostAgent, shown: list[Overview], seen: list[events.Event]) -> None:
        self.agent, self.shown, self.seen = agent, shown, seen
        self.task = asyncio.create_task(agent.run())

    async def sees(self, true: Callable[[Overview], bool]) -> Overview:
        """The first overview of which this is so; what ended the agent is raised."""
        async with asyncio.timeout(PATIENCE):
            while not (self.agent.overview and true(self.agent.overview)):
                if self.task.done():
                    self.task.result()
                await asyncio.sleep(0.005)
        return self.agent.overview

    async def is_in(self) -> None:
        await self.sees(lambda now: any(one.connected and one.name == self.agent.name for one in now.hosts))


@asynccontextmanager
async def hosting(
    folder: Path, port: int, invitation: Invitation | None = None, tls: bool = False
) -> AsyncIterator[Hosting]:
    """A host's agent, which is ended at the end."""
    shown, seen = list[Overview](), list[events.Event]()
    address = "" if tls else f"ws://127.0.0.1:{port}"
    made = HostAgent(
        data_dir=folder, show=shown.append, emit=seen.append, invitation=invitation, address=address, backoff=QUICK
    )
    work = Hosting(made, shown, seen)
    try:
        yield work
    finally:
        work.task.cancel()
        with contextlib.suppress(BaseException):
            await work.task


class RawHost(RawSite):
    """Speaks as a host by hand; `token` decides which key it has."""

    bond_of_host: HostBond

    async def greet(self, **said: object) -> None:
        given = await self.hear(Challenge)
        hello = HostHello(version=VERSION, name=self.hello.site, key=self.key.public).model_copy(update=said)
        self.bond_of_host = HostBond("0" * 64, self.key.public, given.key, given.nonce)
        await self.say(answered_by_host(self.key, given, hello))

    async def enter(self, code: bytes | None = None) -> HostWelcome:
        await self.greet(code=code.hex() if code else None)
        welcome = await self.hear(HostWelcome)
        bond = self.bond_of_host
        self.bond_of_host = HostBond(welcome.federation, bond.host, bond.coordinator, bond.nonce)
        return welcome

    def signed(self, number: int, act: Act) -> HostAct:
        return self.bond_of_host.signed(self.key, HostAct(number=number, act=act))

    async def do(self, number: int, act: Act) -> HostAnswer:
        await self.say(self.signed(number, act))
        return await self.hear(HostAnswer)
