# SPDX-License-Identifier: Apache-2.0
"""Tells each connected site and host where the federation stands: the latest always, what came between perhaps not.

It is for faces only: it waits in no queue that anything else waits in, and what goes wrong here ends here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from datetime import datetime
from typing import Any, Generic, TypeVar

from ..errors import UserFacingError
from ..events import Phase
from ..federation import FederationSpec
from ..federation.record import RoundRecord, RoundsState
from ..federation.standing import Pooled, closed_round, pooled_scores, ranks, standing
from ..protocol.messages import Standing, encode
from ..standing import ClosedRound, FederationStanding

T = TypeVar("T")

_log = logging.getLogger(__name__)

# Seconds between two tellings of one site: quick for a person, and nothing beside the transfer of an adapter.
INTERVAL = 1.0
# Closed rounds that are told, and bytes of a standing: it is sent again at each change, and held until it is read.
MOST_ROUNDS = 100
MOST_BYTES = 2**18


class Bulletin:
    """One federation's standing. All on the host's event loop.

    `state`, `connected` and `quiet` (last signs of progress of the sites that show none) say how things are; `settled`
    returns once the ledger holds all of it, since nothing is told before. While something holds the federation up it
    stands as paused.
    """

    def __init__(
        self,
        spec: FederationSpec,
        state: Callable[[], RoundsState],
        connected: Callable[[], Collection[str]],
        settled: Callable[[], Awaitable[None]],
        held_up: Callable[[], str | None] = lambda: None,
        quiet: Callable[[], Collection[datetime]] = lambda: (),
    ) -> None:
        self.interval = INTERVAL
        self._spec = spec
        self._state = state
        self._connected = connected
        self._settled = settled
        self._held_up = held_up
        self._quiet = quiet
        self.phases: dict[str, tuple[int, Phase]] = {}
        self._common: dict[int, tuple[Pooled | None, list[int]]] = {}  # of closed rounds, the same for all sites
        self._readers: set[Reader[Any]] = set()
        self._now: FederationStanding | None = None  # what all sites may know; formed once for a change

    def told(self, site: str, round_number: int, phase: Phase) -> None:
        """A site has said which phase it is in."""
        self.phases[site] = (round_number, phase)
        self.changed()

    def changed(self) -> None:
        """Something may be different now. Never waits, never raises."""
        self._now = None
        for reader in self._readers:
            reader.news.set()

    def reader(self, site: str, send: Callable[[str], Awaitable[None]]) -> Reader[Standing]:
        """Reader for one connection; `send` may wait as long as it likes, and raises once the connection has ended."""
        closed: dict[int, ClosedRound] = {}
        return Reader(self, lambda: self.for_site(site, closed), lambda now: send(fitting(now)))

    async def for_site(self, site: str, closed: dict[int, ClosedRound]) -> Standing:
        """Everything this site may know now; `closed` keeps its closed rounds from one call to the next."""
        await self._settled()
        state = self._state()
        latest = state.history[-MOST_ROUNDS:]
        for record in latest:
            if record.round not in closed:
                closed[record.round] = closed_round(record, site, *self._common_of(record))
        if latest:
            _forget(closed, latest[0].round)
            _forget(self._common, latest[0].round)
        history = [closed[record.round] for record in latest]
        if self._now is None:
            now = standing(self._spec, state, self.phases, self._connected(), self._quiet())
            held_up = self._held_up()
            self._now = now.model_copy(update={"phase": "paused", "held_up": held_up}) if held_up else now
        return Standing(**dict(self._now) | {"history": tuple(history)})

    def _common_of(self, record: RoundRecord) -> tuple[Pooled | None, list[int]]:
        if record.round not in self._common:
            pooled = pooled_scores(record) if self._spec.share.scores else None
            self._common[record.round] = pooled, ranks(record)
        return self._common[record.round]

    def add(self, reader: Reader[Any]) -> None:
        self._readers.add(reader)

    def remove(self, reader: Reader[Any]) -> None:
        self._readers.discard(reader)


def _forget(rounds: dict[int, Any], before: int) -> None:
    """Drops rounds that are told no more."""
    for number in [one for one in rounds if one < before]:
        del rounds[number]


class Reader(Generic[T]):
    """One connection's reader. A line that is slow to take one standing is told the latest next, none in between.

    `look` forms what it may know now, and `send` tells it.
    """

    def __init__(
        self, bulletin: Bulletin, look: Callable[[], Awaitable[T]], send: Callable[[T], Awaitable[None]]
    ) -> None:
        self.news = asyncio.Event()
        self._bulletin = bulletin
        self._look = look
        self._send = send
        self._last: T | None = None

    async def run(self) -> None:
        """Tells at once, then whatever changes, until the connection ends."""
        self._bulletin.add(self)
        try:
            self.news.set()
            while True:
                await self.news.wait()
                self.news.clear()
                await self.tell()
                await asyncio.sleep(self._bulletin.interval)
        finally:
            self._bulletin.remove(self)

    async def tell(self) -> None:
        """Tells how things stand now, unless that was told last."""
        try:
            now = await self._look()
        except ValueError:  # a number that may not be told: faces do without, the federation goes on
            _log.exception("a standing cannot be told")
            return
        except UserFacingError:  # the registry is busy, say, which Admission.watch tells: once more in a moment
            self.news.set()
            return
        if now != self._last:
            self._last = now
            await self._send(now)


def fitting(told: Standing, limit: int = MOST_BYTES) -> str:
    """The message as JSON; earlier rounds are left out where it would be longer than a site may be sent."""
    while len(text := encode(told)) > limit and told.history:
        told = told.model_copy(update={"history": told.history[len(told.history) // 2 + 1 :]})
    return text
