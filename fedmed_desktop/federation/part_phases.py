# SPDX-License-Identifier: Apache-2.0
"""The phase that a site is in, as it is told to its faces and to the coordinator. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from .. import events
from . import part_actions as do

# What stands still while paused. All else (downloads, approval, uploads, their outcome) goes on and is told as it is.
_COMPUTING: Final[frozenset[events.Phase]] = frozenset(
    {"waiting", "scoring_before", "training", "scoring_after", "measuring", "evaluating"}
)


class Phases:
    """A site's true phase, and the one that is shown: computing that is paused is shown as "paused"."""

    def __init__(self, site: str, put: Callable[[do.Tell | events.Event], None]) -> None:
        self._site = site
        self._put = put
        self._round = 0
        self._phase: events.Phase = "joining"
        self._shown: tuple[int, events.Phase] | None = None
        self.paused = False

    @property
    def now(self) -> events.Phase:
        """The phase as it is shown."""
        return "paused" if self._is_held else self._phase

    def enter(self, round_number: int, phase: events.Phase) -> None:
        """The site's true phase from here on; while paused, one that needs computing is shown as "paused"."""
        self._round, self._phase = round_number, phase
        if not self._is_held or self._shown != (round_number, "paused"):
            self._show(self.now)

    def pause(self, paused: bool) -> None:
        """Computing stands still from now on, or goes on; repeating changes nothing."""
        if paused != self.paused:
            self.paused = paused
            self._show("paused" if paused else self._phase)

    def works(self) -> None:
        """The work makes progress: the coordinator is told its phase once more, as a sign."""
        if not self._is_held:
            self._put(do.Tell(self._round, self._phase))

    @property
    def _is_held(self) -> bool:
        return self.paused and self._phase in _COMPUTING

    def _show(self, phase: events.Phase) -> None:
        self._shown = (self._round, phase)
        self._put(events.PhaseChanged(site=self._site, round=self._round, phase=phase))
        self._put(do.Tell(self._round, phase))
