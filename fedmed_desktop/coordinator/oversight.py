# SPDX-License-Identifier: Apache-2.0
"""Overview of one running federation for the people who host it, pushed as it changes, by the bulletin's own means."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import datetime
from typing import Final

from ..federation import Report
from ..federation.decided import refusals
from ..federation.masked import quorum
from ..federation.oversight import newest_result, round_row
from ..federation.standing import site_word
from ..identity import phrase
from ..overview import DeadlineRow, HostRow, InvitationRow, Overview, RoundRow, SiteRow
from ..protocol.hosting import OverviewChanged, RoundSeen
from ..protocol.messages import encode
from ..storage.roll import Member, OpenInvitation
from .bulletin import MOST_ROUNDS, Reader
from .gate import Gate
from .host import Host

# Sites that were shut out and are still listed: a federation of years may have had many.
_MOST_REVOKED: Final = 200


class Oversight:
    """Overview of one host's federation. All on its event loop.

    `waiting`: names that wait to be confirmed. `hosts`: names of the people who host and are connected.
    """

    def __init__(
        self, host: Host, gate: Gate, waiting: Callable[[], Collection[str]], hosts: Callable[[], Collection[str]]
    ) -> None:
        self._host = host
        self._gate = gate
        self._waiting = waiting
        self._hosts = hosts
        self._seen: dict[str, datetime] = {}  # when each site was heard last, since this program started
        self._rounds: dict[int, RoundRow] = {}
        self._came: set[tuple[str, str]] = set()

    def came(self, host: str, key: str) -> None:
        """A host is let in; the audit chain is told once for each start of this program, however often a line broke."""
        self._host.bulletin.changed()
        if (host, key) not in self._came:
            self._came.add((host, key))
            self._host.trail.host_came(host, key)

    def left(self, site: str, now: datetime) -> None:
        """The connection of a site has ended."""
        self._seen[site] = now

    def reader(self, send: Callable[[str], Awaitable[None]]) -> Reader[Overview]:
        """Reader for one connection of a host; each closed round is told once on it."""
        told = 0

        async def tell(now: Overview) -> None:
            nonlocal told
            for row in now.history:
                if row.round > told:
                    await send(encode(RoundSeen(round=row)))
                    told = row.round
            await send(encode(OverviewChanged(overview=now.model_copy(update={"history": ()}))))

        return Reader(self._host.bulletin, self.now, tell)

    async def now(self) -> Overview:
        """Everything of this moment that the ledger holds."""
        host = self._host
        await host.settled()
        members, invitations, words, invites = await asyncio.to_thread(self._who)
        state, spec, quiet = host.rounds.state, host.spec, host.progress.quiet()
        deadlines, reports = host.progress.deadlines(), state.reports()
        return Overview(
            phase=state.phase,
            paused_by_host=state.held is not None,
            reason=state.reason,
            held_up=host.held_up.code,
            round=min(state.round, spec.rounds),
            rounds=spec.rounds,
            attempt=state.attempt,
            opened=state.opened,
            closes=state.closes if state.phase in ("open", "evaluating") else None,
            joins_until=next((one.ends for one in deadlines if one.name == "join"), None),
            deadlines=tuple(
                DeadlineRow(name=one.name, minutes=one.minutes, ends=one.ends, sites=one.sites) for one in deadlines
            ),
            updates=len(state.updates),
            asked=len(state.plans),
            quorum=quorum(spec, state),
            expected=spec.round.sites,
            adapter=state.start,
            adapter_round=state.closed,
            sites=tuple(self._row(one, words.get(one.name), quiet.get(one.name), reports) for one in _listed(members)),
            invitations=tuple(
                InvitationRow(name=one.site, until=one.until, rotates=one.rotates, role=one.role) for one in invitations
            ),
            hosts=tuple(self._host_row(one) for one in sorted(members, key=_name) if one.role == "host"),
            refusals=refusals(spec, state),
            confirms=host.admission.confirms,
            invites=invites,
            received_bytes=self._gate.bytes_in,
            sent_bytes=self._gate.bytes_out,
            history=self._history(),
        )

    def _who(self) -> tuple[tuple[Member, ...], tuple[OpenInvitation, ...], dict[str, str], bool]:
        """Members, open invitations, six words by name, and whether invitations can be made. Reads files."""
        members, invitations = self._host.admission.everybody()
        words = {one.name: phrase(self._host.key.public, one.key) for one in members if one.key}
        return members, invitations, words, bool(self._host.admission.registry.recall("address"))

    def _history(self) -> tuple[RoundRow, ...]:
        latest = self._host.rounds.state.history[-MOST_ROUNDS:]
        self._rounds = {one.round: self._rounds.get(one.round) or round_row(one) for one in latest}
        return tuple(self._rounds.values())

    def _row(self, member: Member, words: str | None, quiet: datetime | None, reports: Mapping[str, Report]) -> SiteRow:
        state, site = self._host.rounds.state, member.name
        told = self._host.bulletin.phases.get(site)
        joined = site in self._host.sessions
        number, result = newest_result(state, reports, site)
        plan = state.plans.get(site)
        connected = joined or site in self._waiting()
        return SiteRow(
            name=site,
            state=member.state,
            key=member.key,
            fingerprint=member.fingerprint,
            words=words,
            joined=member.joined,
            connected=connected,
            last_seen=None if connected else self._seen.get(site),
            word=site_word(site, state, told, joined) if site in state.sites else None,
            phase=told[1] if told and told[0] == state.round else None,
            quiet_since=quiet,
            rank=plan.rank if plan else result.rank if result else None,
            rank_cap=state.caps.get(site),
            result=result,
            result_round=number,
        )

    def _host_row(self, member: Member) -> HostRow:
        connected = member.name in self._hosts()
        return HostRow(name=member.name, state=member.state, fingerprint=member.fingerprint, connected=connected)


def _listed(members: Collection[Member]) -> list[Member]:
    """Sites in order of their names, without the eldest of many that were shut out."""
    sites = [one for one in members if one.role == "site"]
    old = [one.name for one in sites if one.state == "revoked"][:-_MOST_REVOKED]
    return sorted((one for one in sites if one.name not in old), key=_name)


def _name(member: Member) -> str:
    return member.name
