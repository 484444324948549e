# SPDX-License-Identifier: Apache-2.0
"""Which phase a site is in, and whether its computing is paused: told to the face and to the coordinator, in order."""

from __future__ import annotations

import threading
from collections.abc import Callable

from .. import events
from ..federation import Control

# What stands still while paused. All else (downloads, approval, uploads, their outcome) goes on and is told as it is.
_COMPUTING: frozenset[events.Phase] = frozenset(
    {"waiting", "scoring_before", "training", "scoring_after", "measuring", "evaluating"}
)


class Phases:
    """Any thread. `emit` and `tell(round, phase)` are called on the caller's thread, under a lock that keeps their
    order; neither may wait for another thread that is about to call in here.
    """

    def __init__(
        self, site: str, emit: Callable[[events.Event], None], tell: Callable[[int, events.Phase], None]
    ) -> None:
        self._site = site
        self._emit = emit
        self._tell = tell
        self._lock = threading.RLock()
        self._round = 0
        self._true: events.Phase = "joining"
        self._shown: tuple[int, events.Phase] | None = None
        self._paused = False
        self.control = Control()

    @property
    def paused(self) -> bool:
        return self._paused

    def new_control(self) -> Control:
        """The control of the next plan's work, paused from birth while the site is."""
        with self._lock:
            self.control = Control()
            if self._paused:
                self.control.pause()
            return self.control

    def enter(self, round_number: int, phase: events.Phase) -> None:
        """The site's true phase from here on; while paused, one that needs computing is shown as "paused"."""
        with self._lock:
            self._round, self._true = round_number, phase
            held = self._paused and phase in _COMPUTING
            if not held or self._shown != (round_number, "paused"):
                self._show("paused" if held else phase)

    def pause(self) -> None:
        """Repeating changes nothing."""
        with self._lock:
            if not self._paused:
                self._paused = True
                self.control.pause()
                self._show("paused")

    def resume(self) -> None:
        """Repeating changes nothing."""
        with self._lock:
            if self._paused:
                self._paused = False
                self.control.resume()
                self._show(self._true)

    def tell_again(self, round_number: int) -> None:
        """To the coordinator only, which may have missed it: a wait for approval is told even while paused."""
        with self._lock:
            held = self._paused and self._true in _COMPUTING
            self._tell(round_number, "paused" if held else self._true)

    def _show(self, phase: events.Phase) -> None:
        self._shown = (self._round, phase)
        self._emit(events.PhaseChanged(site=self._site, round=self._round, phase=phase))
        self._tell(self._round, phase)
