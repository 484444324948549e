# SPDX-License-Identifier: Apache-2.0
"""First run: shown to somebody who starts the program for the first time, and what follows from their choice."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal, Slot

from .memory import Memory
from .window import Window


class Greeting(QObject):
    """Shows the first run at `begin`, and goes on where that led; the form to join has what was given already."""

    demo_requested = Signal()

    def __init__(self, window: Window, memory: Memory) -> None:
        super().__init__(window)
        self._window, self._memory = window, memory

    def begin(self) -> None:
        self._window.show_welcome().ended.connect(self._ended)

    @Slot(str, str, str)
    def _ended(self, outcome: str, given: str, notes: str) -> None:
        self._memory.was_welcomed()
        self._window.show_rounds()
        match outcome:
            case "join":
                self._window.join.prefill_first(given, notes)
                self._window.show_join()
            case "try":
                self._window.show_trial()
            case "demo":
                self.demo_requested.emit()
            case "host":
                self._window.hosts.begin()
