# SPDX-License-Identifier: Apache-2.0
"""Server of the coordinator: one session for each site, and each host, that has been let in."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from websockets.exceptions import ConnectionClosed

from .. import __version__, events
from ..errors import UserFacingError
from ..federation.inputs import SiteJoined, SiteShutOut, Transfer
from ..federation.record import RoundRecord
from ..protocol import wire
from ..protocol.messages import VERSION, Welcome
from ..storage.roll import Member
from .authentication import Authentication, Introduced, part_with
from .gate import Visitor
from .host import Host
from .hosting import HostSession
from .limits import SiteLimits, Slots
from .listener import Listener
from .oversight import Oversight
from .session import SiteSession

if TYPE_CHECKING:
    from .certificate import ServerTls

# How often transfers that stand still are looked for.
_SLOTS_SECONDS = 5.0


class CoordinatorServer:
    """`async with CoordinatorServer(host, ...) as server:`; `server.port` is the bound port."""

    def __init__(
        self,
        host: Host,
        address: str,
        port: int,
        emit: Callable[[events.Event], None],
        tls: ServerTls | None = None,
        names: Collection[str] = (),
    ) -> None:
        """`tls`: needed for any address that is not loopback. `names`: hosts by which sites call this coordinator.

        Raises UserFacingError where connections would not be encrypted.
        """
        self.listener = Listener(address, port, self._connected, self.status, self._warn, tls, names)
        host.admission.on_this_computer = tls is None and not names
        self._host = host
        self._emit = emit
        self._sessions: dict[str, SiteSession | HostSession] = {}
        self._authentication = Authentication(host, self.listener.admitted, emit)
        self._oversight = Oversight(host, self.listener.gate, lambda: self._authentication.waiting, self._sessions.keys)
        self._tasks: set[asyncio.Task[None]] = set()
        self._tries: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._limits = SiteLimits(time.monotonic)

    async def __aenter__(self) -> CoordinatorServer:
        await self.listener.__aenter__()
        watch = asyncio.create_task(self._watch_members(), name="registry")
        self._tasks |= {watch, asyncio.create_task(self._keep_slots_moving(), name="slots")}
        return self

    async def __aexit__(self, *details: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.listener.__aexit__(*details)

    @property
    def port(self) -> int:
        return self.listener.port

    async def _keep_slots_moving(self) -> None:
        kinds: tuple[tuple[Slots, Transfer], ...]
        kinds = (self._limits.uploads, "upload"), (self._limits.downloads, "download")
        while True:
            await asyncio.sleep(_SLOTS_SECONDS)
            for slots, transfer in kinds:
                slots.tick()
                for site in slots.waiting:  # its deadline is not to pass while it waits for others
                    self._host.progress.moved(site, transfer)

    def _warn(self, fault: UserFacingError) -> None:
        self._emit(events.Warned(site="", code=fault.code, params=fault.params))

    def status(self) -> dict[str, object]:
        """Returns where the federation stands: names, numbers and hashes only."""
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
            "to_confirm": sorted(self._authentication.waiting),
            "last": _closed(state.history[-1]) if state.history else None,
            "traffic": self.traffic(),
        }

    def traffic(self) -> dict[str, int | None]:
        """Bytes at the socket since this program started, of all connections, beside the whole base model's."""
        gate = self.listener.gate
        return {"received": gate.bytes_in, "sent": gate.bytes_out, "full_model": self._host.spec.base.full_bytes}

    # -- sites -------------------------------------------------------------------------------------------------------

    async def _connected(self, connection: Visitor) -> None:
        if admitted := await self._authentication.introduced(connection):
            if admitted.member.role == "site":
                spec = self._host.spec
                told = spec.base.modules if "importance" in spec.method.needs else ()
                connection.protocol.max_message_size = wire.longest_offer(spec.types, told)
            await self._serve(admitted, connection)

    async def _watch_members(self) -> None:
        await self._host.started.wait()
        await self._host.admission.watch(self._look_at_members)

    async def _look_at_members(self, members: Mapping[str, Member]) -> None:
        """Shuts out whoever may not be here any more, and lets no round wait for them."""
        self._authentication.look_again()
        self._host.bulletin.changed()
        for site, session in self._sessions.items():
            if session.hears and (fault := _shut_out(members.get(site), session)):
                session.hears = False
                task = asyncio.create_task(part_with(session.connection, fault))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        for site in self._host.rounds.state.sites:
            if site in members and members[site].state == "revoked":
                await self._host.apply(SiteShutOut(site=site))

    def _session(self, one: Introduced, connection: Visitor) -> SiteSession | HostSession:
        name, key, host = one.member.name, one.member.key, self._host
        assert key is not None  # it has come with one
        if one.member.role == "host":
            return HostSession(name, key, one.nonce, connection, host, self._oversight, self._limits)
        return SiteSession(name, key, connection, host, self._emit, self._tries[name], self._limits)

    async def _serve(self, one: Introduced, connection: Visitor) -> None:
        site, session = one.member.name, self._session(one, connection)
        before, self._sessions[site] = self._sessions.get(site), session
        try:
            if before:
                await self._replace(before)
            if self._sessions.get(site) is session:  # and no newer one has come meanwhile
                await self._attend(session, one.rank_cap)
        except UserFacingError as error:
            if error.code.startswith("protocol."):
                self.listener.gate.count("not_understood")
            await part_with(connection, error)
        except ConnectionClosed:
            pass
        finally:
            session.ended.set()
            if self._sessions.get(site) is session:
                del self._sessions[site]
                self._host.bulletin.changed()
            if self._host.sessions.get(site) is session:
                del self._host.sessions[site]
                self._oversight.left(site, datetime.now(UTC))
                self._emit(events.SiteSeen(site=site, round=self._host.rounds.state.round, state="left"))

    async def _replace(self, before: SiteSession | HostSession) -> None:
        """The newest connection of a site counts: the older one may be a dead line that nobody has noticed yet.

        Waits for its end, so that never two write to one part file.
        """
        before.hears = False
        await part_with(before.connection, UserFacingError("join.replaced", site=before.site))
        await before.ended.wait()

    async def _attend(self, session: SiteSession | HostSession, rank_cap: int | None) -> None:
        # Once more: who was shut out after its key was looked up was in no list of sessions then.
        member = await asyncio.to_thread(self._host.admission.member, session.site)
        if fault := _shut_out(member, session):
            raise fault
        if isinstance(session, HostSession):
            self._oversight.came(session.site, session.key)
            await session.serve()
            return
        state = self._host.rounds.state
        where = {"spec": self._host.spec, "round": state.round, "phase": state.phase}
        session.send(Welcome(version=VERSION, site=session.site, federation=self._host.federation, **where))
        await self._host.apply(SiteJoined(site=session.site, rank_cap=rank_cap))
        if not session.hears:  # it may have been shut out before it was a site of the rounds
            members = await asyncio.to_thread(self._host.admission.registry.members)
            await self._look_at_members({one.name: one for one in members})
        while isinstance(carried := self._host.sessions.get(session.site), SiteSession):  # by hand, just now
            await carried.ended.wait()
        self._host.sessions[session.site] = session
        self._host.bulletin.changed()
        self._emit(events.SiteSeen(site=session.site, round=self._host.rounds.state.round, state="connected"))
        await session.serve()


def _shut_out(member: Member | None, session: SiteSession | HostSession) -> UserFacingError | None:
    """Reason why a site is to be parted with, if there is one. `member`: what the registry says of it now."""
    site = session.site
    if member is None or member.state == "revoked":
        return UserFacingError("join.revoked", site=site)
    if member.key != session.key:
        return UserFacingError("join.other_key", site=site)
    return None if member.state == "admitted" else UserFacingError("join.replaced", site=site)


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
