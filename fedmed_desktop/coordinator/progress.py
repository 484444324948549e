# SPDX-License-Identifier: Apache-2.0
"""Progress of the sites as the coordinator sees it, and the telling of those that show none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from .. import events
from ..events import Phase
from ..federation import FederationSpec
from ..federation.deadlines import Deadline, Watch
from ..federation.inputs import TimePassed, Transfer
from ..federation.record import RoundsState


class Progress:
    """Signs of progress of the sites in the open round, in memory alone. All on the host's event loop.

    `changed` is called whenever a site falls quiet or shows progress again.
    """

    def __init__(
        self,
        spec: FederationSpec,
        state: Callable[[], RoundsState],
        clock: Callable[[], datetime],
        emit: Callable[[events.Event], None],
        changed: Callable[[], None],
    ) -> None:
        self._watch = Watch(spec, clock())
        self._state = state
        self._clock = clock
        self._emit = emit
        self._changed = changed
        self._quiet: dict[str, datetime] = {}

    def told(self, site: str, round_number: int, phase: Phase) -> None:
        """A site has said which phase it is in, or that it still is."""
        self._watch.told(site, round_number, phase, self._clock())
        self._heard(site)

    def moved(self, site: str, transfer: Transfer) -> None:
        """Bytes have gone to a site or come from it."""
        self._watch.moved(site, self._state().round, transfer, self._clock())
        self._heard(site)

    def _heard(self, site: str) -> None:
        if site in self._quiet:
            self.look()

    def look(self) -> None:
        """Tells which sites have fallen quiet since the last look, and which show progress again."""
        before, self._quiet = self._quiet, self.quiet()
        if before == self._quiet:
            return
        number = self._state().round
        for site, since in sorted(self._quiet.items()):
            if site not in before:
                self._emit(events.SiteQuiet(site=site, round=number, since=since))
        for site in sorted(before.keys() - self._quiet.keys()):
            self._emit(events.SiteQuiet(site=site, round=number))
        self._changed()

    def quiet(self) -> dict[str, datetime]:
        """Sites that should be at work and show no progress, and since when."""
        return self._watch.quiet(self._state(), self._clock())

    def time_passed(self) -> TimePassed:
        return self._watch.time_passed(self._state(), self._clock())

    def wake_at(self) -> datetime | None:
        """Time when the rounds should next be told the time."""
        return self._watch.wake_at(self._state())

    def deadlines(self) -> tuple[Deadline, ...]:
        return self._watch.deadlines(self._state())
