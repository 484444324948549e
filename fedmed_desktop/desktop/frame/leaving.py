# SPDX-License-Identifier: Apache-2.0
"""Ways out: closing the window, quitting, no longer taking part, beginning something else; what each of them asks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from PySide6.QtCore import QObject, Signal, Slot

from ..widgets.question import Question
from ..work.desk import Desk
from .asking import Asking
from .memory import Memory
from .presence import Presence
from .questions import about_beginning, about_closing, about_leaving, about_staying
from .window import Window


class Leaving(QObject):
    """Says what the person has decided on."""

    quit_decided = Signal()
    leave_decided = Signal()

    def __init__(self, window: Window, desk: Desk, memory: Memory, presence: Presence) -> None:
        super().__init__(window)
        self._window, self._desk, self._memory, self._presence = window, desk, memory, presence
        self._asking = Asking(window)
        self._begins: Callable[[], None] = lambda: None
        self.left_session: object = None  # which the person has left, and which may take a while to end
        window.closing.connect(self.ask_close)
        window.quit_requested.connect(self.ask_quit)
        window.leave_requested.connect(self.ask_leave)
        window.rounds.session.identity.differ.connect(self.ask_leave)
        presence.tray.quit_requested.connect(self._quit_from_tray)

    @property
    def question(self) -> Question | None:
        """Question that is on the screen."""
        return self._asking.question

    @Slot()
    def ask_close(self) -> None:
        """The window is to go: with the program, or without, where a tray leads back to it."""
        desk, chosen = self._desk, self._memory.when_closed
        if not (self._presence.tray.is_there and desk.running and not desk.is_demo) or chosen == "quit":
            self.ask_quit()
        elif chosen == "stay":
            self._presence.stay()
        else:
            question = self._asking.ask(about_staying())
            question.confirmed.connect(self._stay)
            question.other_chosen.connect(self._go)

    @Slot()
    def _stay(self) -> None:
        self._memory.closes("stay")
        self._presence.stay()

    @Slot()
    def _go(self) -> None:
        self._memory.closes("quit")
        self.ask_quit()

    @Slot()
    def _quit_from_tray(self) -> None:
        self._presence.open()  # what is asked is asked in the window
        self.ask_quit()

    @Slot()
    def ask_quit(self) -> None:
        """Asks first where somebody would lose time."""
        if self._desk.closing:
            return
        if words := about_closing(self._desk, datetime.now(UTC)):
            self._asking.ask(words).confirmed.connect(self.quit_decided)
        else:
            self.quit_decided.emit()

    @Slot()
    def ask_leave(self) -> None:
        self._asking.ask(about_leaving(self._desk)).confirmed.connect(self.leave_decided)

    def ask_begin(self, begin: Callable[[], None]) -> None:
        """Begins a session; where that ends another one, or a fitting, once the person has confirmed it."""
        self._begins = begin
        goes_on = self._desk.running and self._desk.session is not self.left_session
        if words := about_leaving(self._desk) if goes_on else about_beginning(self._desk):
            question = self._asking.ask(words)
            if goes_on:
                question.confirmed.connect(self.leave_decided)
            question.confirmed.connect(self._begin)
        else:
            self._begin()

    @Slot()
    def _begin(self) -> None:
        self._begins()
