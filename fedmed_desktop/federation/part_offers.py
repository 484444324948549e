# SPDX-License-Identifier: Apache-2.0
"""Offers of released updates to the coordinator: each once on a line, when the site's policy lets it leave. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from .policy import Decision
from .work import Entry


class Offers:
    """`offer` is called for each update that is to be offered now.

    A coordinator that goes on from an older backup may be behind an update's round. It would refuse that update for
    good, so it is offered once its round is asked for again.
    """

    def __init__(self, offer: Callable[[Entry], None]) -> None:
        self._offer = offer
        self._offered: set[str] = set()
        self.joined = False  # whether the coordinator has welcomed this site on the line as it is now
        self.opens_at: datetime | None = None  # when what was held back may leave
        self._round = 0  # the last one that the coordinator is known to have come to

    def welcomed(self, released: Iterable[Entry], round_number: int) -> None:
        """A new line is up, on which nothing of earlier offers is known to have arrived."""
        self.joined = True
        self._round = round_number
        self._offered.clear()
        self.all(released)

    def all(self, released: Iterable[Entry]) -> None:
        """Offers what is not on the line yet."""
        self.opens_at = None
        for entry in released:
            if entry.plan.round <= self._round:
                self.one(entry)

    def one(self, entry: Entry) -> None:
        """Offers an update that the coordinator has asked for."""
        self._round = max(self._round, entry.plan.round)
        if self.joined and entry.sha256 not in self._offered:
            self._offered.add(entry.sha256)
            self._offer(entry)

    def forget(self, sha256: str) -> None:
        """An update was not taken, and is offered anew once it is asked for."""
        self._offered.discard(sha256)

    def may_leave(self, entry: Entry, word: Decision, opens: datetime | None, now: datetime) -> bool:
        """Tells whether it may go out now. Where not, it counts as not offered: it is once it may."""
        if word.action != "deny" and opens == now:
            return True
        self._offered.discard(entry.sha256)
        if word.action != "deny":  # which keeps nothing else from being offered once the hours begin
            self.opens_at = opens
        return False
