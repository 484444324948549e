# SPDX-License-Identifier: Apache-2.0
"""Connection of a person who hosts a federation: shows it, and asks the coordinator for what that person decides.

A host is no site: it has no notes, no training and no outbox. Its folder holds a key and `host.json`, which says where
the coordinator is and how to know it; a desktop that finds that file needs no invitation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .. import events
from ..errors import UserFacingError, disk_fault
from ..federation import FederationSpec
from ..federation.names import site_name
from ..files import write_durably
from ..identity import Fingerprint, PrivateKey, fingerprint, phrase
from ..overview import Overview, RoundRow
from ..protocol.handshake import answered_by_host
from ..protocol.hosting import (
    Act,
    CloseRound,
    ConfirmSite,
    HostAct,
    HostAnswer,
    HostBond,
    HostHello,
    HostWelcome,
    Invited,
    InviteSite,
    OverviewChanged,
    Pause,
    Publish,
    Resume,
    RevokeSite,
    RoundSeen,
)
from ..protocol.invitation import Invitation
from ..protocol.messages import VERSION, Challenge, Message, Waiting
from ..storage.secrets import Kept, load_key
from ..storage.sides import HOST, check_side
from .link import Backoff, Link
from .proxy import SYSTEM
from .tls import context_for

# Closed rounds that are shown; the coordinator tells no more of them either.
MOST_ROUNDS: Final = 100
# An act waits for a disk at the coordinator, and for a line. Inferred.
_ANSWER_SECONDS: Final = 60.0


class LinkedHost(BaseModel):
    """Memory of a host's folder: a federation's coordinator, and the host's name there. No secret."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(max_length=200)
    address: str = Field(max_length=300)
    coordinator: Fingerprint
    roots: bool
    federation: str = Field(max_length=64)
    federation_name: str = Field(max_length=200)


def linked_host(folder: Path) -> LinkedHost | None:
    """The host that this folder is linked as; None where it is none.

    Raises UserFacingError where the file is damaged or cannot be read.
    """
    path = folder / HOST
    try:
        return LinkedHost.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise disk_fault(error, path) from error
    except ValidationError:
        reason = "it does not say where the coordinator is"
        raise UserFacingError("storage.damaged", path=str(path), folder=str(folder), reason=reason) from None


class HostAgent:
    """One host in one federation. `run` on an event loop; the acts are coroutines for the same loop.

    The first time `invitation` is needed, one of a host (`invitation.role == "host"`); later starts find the rest in
    `data_dir`. `address`: where the invitation or the folder says another than the one to use, ws://127.0.0.1:port for
    a coordinator on this computer without TLS. `proxy`: "system", "none" or a URL.

    `show` is called with each new overview and `emit` with ConnectionChanged, IdentityShown and Warned, whose `site` is
    the host's name; both on the loop's thread. `overview` may be read on any thread.

    An act returns once the coordinator has done it, durably. It raises UserFacingError: the coordinator's reason, or
    "hosting.offline" (nothing was sent) or "hosting.no_answer" (whether it was done, the next overview shows; to ask
    again is harmless). Acts name what the person saw (a key, a round, an adapter): where that is no longer so, they are
    refused.
    """

    def __init__(
        self,
        *,
        data_dir: Path,
        show: Callable[[Overview], None],
        emit: Callable[[events.Event], None],
        invitation: Invitation | None = None,
        address: str = "",
        backoff: Backoff | None = None,
        proxy: str = SYSTEM,
    ) -> None:
        """Raises UserFacingError: no invitation and none used here before, one of a site, a folder of a site."""
        check_side(data_dir, "host")
        if invitation and invitation.role != "host":
            raise UserFacingError("invitation.of_site", site=invitation.site)
        known = linked_host(data_dir)
        if invitation is None and known is None:
            raise UserFacingError("hosting.no_invitation", path=str(data_dir))
        if known and invitation and invitation.fingerprint != known.coordinator:
            found, expected = invitation.fingerprint[:16], known.coordinator[:16]
            raise UserFacingError("join.other_coordinator", found=found, expected=expected)
        self.data_dir = data_dir
        self.name = invitation.site if invitation else known.name if known else ""
        self.known = known
        self.kept: Kept | None = None  # where the key lies; known once `run` has begun
        self.spec: FederationSpec | None = None  # once the coordinator has welcomed this host
        self.overview: Overview | None = None  # the latest; of before while there is no connection
        self._invitation = invitation
        self._code = invitation.code.hex() if invitation else None
        self._show = show
        self._emit = emit
        where = address or (invitation.url if invitation else known.address if known else "")
        self._link = Link(self.name, where, self._hello, self._receive, self._tell, backoff or Backoff())
        self._link.proxy = proxy
        self._key: PrivateKey | None = None
        self._challenge: Challenge | None = None
        self._bond: HostBond | None = None  # while this host is welcome
        self._rounds: dict[int, RoundRow] = {}
        self._number = 0
        self._waiting: dict[int, asyncio.Future[HostAnswer]] = {}
        self._one_at_a_time = asyncio.Lock()

    @property
    def address(self) -> str:
        return self._link.address

    async def run(self) -> None:
        """Shows the federation until it is cancelled. Raises UserFacingError where this host is not let in (any more),
        or where somebody else answers."""
        await asyncio.to_thread(self._identify)
        try:
            await self._link.run()
        finally:
            self._parted()

    # -- acts --------------------------------------------------------------------------------------------------------

    async def invite(self, site: str, valid: timedelta, rotates: bool = False) -> Invited:
        """The invitation of a site; an earlier one for it no longer counts.

        `rotates`: for a site that has joined, so that it may come with another key.
        """
        minutes = max(1, round(valid.total_seconds() / 60))
        answer = await self._ask(InviteSite(site=site_name(site), minutes=minutes, rotates=rotates))
        if answer.invited is None:
            raise UserFacingError("protocol.not_understood", place="host_answer", reason="no invitation in it")
        return answer.invited

    async def confirm(self, site: str, key: str) -> None:
        """Admits a waiting site; `key` (SiteRow.key) is the one whose six words were compared."""
        await self._ask(ConfirmSite(site=site_name(site), key=key))

    async def revoke(self, site: str) -> None:
        """Shuts a site out for good, or takes back an invitation that nobody has used."""
        await self._ask(RevokeSite(site=site_name(site)))

    async def pause(self) -> None:
        """Lets the rounds stand still. Sites go on with what they were asked, and what they send still counts."""
        await self._ask(Pause())

    async def resume(self) -> None:
        """Lets a paused federation go on; deadlines are later by the time that it stood."""
        await self._ask(Resume())

    async def close_round(self, round_number: int, attempt: int) -> None:
        """Stops waiting: for answers in this round; for more sites before round one; for scores of the final one."""
        await self._ask(CloseRound(round=round_number, attempt=attempt))

    async def publish(self, adapter: str) -> None:
        """Ends the federation with the common adapter of the last closed round (Overview.adapter) as its final one.

        The updates of the open round are not used. It cannot be undone.
        """
        await self._ask(Publish(adapter=adapter))

    async def _ask(self, act: Act) -> HostAnswer:
        async with self._one_at_a_time:
            bond, key = self._bond, self._key
            if bond is None or key is None:
                raise UserFacingError("hosting.offline", retryable=True, address=self.address)
            self._number += 1
            number = self._number
            answer: asyncio.Future[HostAnswer] = asyncio.get_running_loop().create_future()
            self._waiting[number] = answer
            try:
                await self._link.send(bond.signed(key, HostAct(number=number, act=act)))
                async with asyncio.timeout(_ANSWER_SECONDS):
                    found = await answer
            except TimeoutError:
                raise UserFacingError("hosting.no_answer", retryable=True, address=self.address) from None
            finally:
                self._waiting.pop(number, None)
        if found.code:
            raise UserFacingError(found.code, retryable=found.retryable, **_params(found))
        return found

    # -- messages ----------------------------------------------------------------------------------------------------

    def _identify(self) -> None:
        """Loads this host's key, and says which coordinator it may speak to. Reads files."""
        alone = self._link.address.startswith("ws:")  # a trial on this computer leaves nothing in a keyring
        self._key, self.kept = load_key(self.data_dir, "host", in_file=alone)
        given, known = self._invitation, self.known
        self._link.expected = given.fingerprint if given else known.coordinator if known else None
        if not alone:
            self._link.tls = context_for(given.roots if given else known.roots if known else False)

    def _hello(self, given: Challenge) -> HostHello:
        assert self._key is not None
        self._challenge = given
        hello = HostHello(version=VERSION, name=self.name, key=self._key.public, code=self._code)
        return answered_by_host(self._key, given, hello)

    async def _receive(self, message: Message | bytes) -> None:
        match message:
            case Waiting():
                await self._show_identity(waits=True)
            case HostWelcome():
                await self._welcomed(message)
            case OverviewChanged(overview=overview):
                self._shows(overview)
            case RoundSeen(round=closed):
                self._rounds[closed.round] = closed
                for old in sorted(self._rounds)[:-MOST_ROUNDS]:
                    del self._rounds[old]  # an overview follows, which shows it
            case HostAnswer(number=number):
                waiting = self._waiting.get(number)
                if waiting and not waiting.done():
                    waiting.set_result(message)
            case _:
                place = "chunk" if isinstance(message, bytes) else message.type
                raise UserFacingError("protocol.not_understood", place=place, reason="not for a host")

    def _shows(self, overview: Overview) -> None:
        history = tuple(self._rounds[number] for number in sorted(self._rounds))
        self.overview = overview.model_copy(update={"history": history})
        self._show(self.overview)

    async def _welcomed(self, welcome: HostWelcome) -> None:
        assert self._key is not None and self._challenge is not None
        if self.known and self.known.federation != welcome.federation:
            found = f"{welcome.spec.name} {welcome.federation[:12]}"
            raise UserFacingError("join.other_federation", known=self.known.federation[:12], found=found)
        given = self._challenge
        linked = LinkedHost(
            name=welcome.name,
            address=self.address,
            coordinator=fingerprint(given.key),
            roots=self._invitation.roots if self._invitation else bool(self.known and self.known.roots),
            federation=welcome.federation,
            federation_name=welcome.spec.name,
        )
        if linked != self.known:
            await asyncio.to_thread(write_durably, self.data_dir / HOST, linked.model_dump_json().encode())
        self.known, self.name, self.spec, self._code = linked, welcome.name, welcome.spec, None
        self._link.expected = linked.coordinator
        await self._show_identity(waits=False)
        self._rounds.clear()
        self._number = 0
        self._bond = HostBond(welcome.federation, self._key.public, given.key, given.nonce)

    async def _show_identity(self, waits: bool) -> None:
        assert self._key is not None and self._challenge is not None
        coordinator = self._challenge.key
        prints = {"site_fingerprint": self._key.fingerprint, "coordinator_fingerprint": fingerprint(coordinator)}
        words = await asyncio.to_thread(phrase, self._key.public, coordinator)
        self._emit(events.IdentityShown(site=self.name, phrase=words, waits=waits, **prints))

    def _tell(self, event: events.Event) -> None:
        if isinstance(event, events.ConnectionChanged):
            self._parted()  # what is said on a new one begins with the welcome
        self._emit(event)

    def _parted(self) -> None:
        self._bond = None
        for waiting in self._waiting.values():
            if not waiting.done():
                error = UserFacingError("hosting.no_answer", retryable=True, address=self.address)
                waiting.set_exception(error)


def _params(answer: HostAnswer) -> dict[str, str | int | float]:
    """The parameters of a refusal, but for names that are UserFacingError's own."""
    return {name: value for name, value in answer.params.items() if name not in ("self", "code", "retryable")}
