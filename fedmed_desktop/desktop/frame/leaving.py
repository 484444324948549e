# SPDX-License-Identifier: Apache-2.0
"""Ways out: closing the window, quitting the program, no longer taking part; what is asked before each of them."""

from __future__ import annotations

from datetime import UTC, datetime

from PySide6.QtCore import QObject, Signal, Slot

from ..look.questions import Words
from ..widgets.question import Question
from ..work.desk import Desk
from .memory import Memory
from .presence import Presence
from .questions import about_closing, about_leaving, about_staying
from .window import Window


class Leaving(QObject):
    """Says what the person has decided on. `question`: the one that is on the screen."""

    quit_decided = Signal()
    leave_decided = Signal()

    def __init__(self, window: Window, desk: Desk, memory: Memory, presence: Presence) -> None:
        super().__init__(window)
        self._window, self._desk, self._memory, self._presence = window, desk, memory, presence
        self.question: Question | None = None
        window.closing.connect(self.ask_close)
        window.quit_requested.connect(self.ask_quit)
        window.leave_requested.connect(self.ask_leave)
        window.rounds.session.identity.differ.connect(self.ask_leave)
        presence.tray.quit_requested.connect(self._quit_from_tray)

    @Slot()
    def ask_close(self) -> None:
        """The window is to go: with the program, or without, where a tray leads back to it."""
        desk, chosen = self._desk, self._memory.when_closed
        if not (self._presence.tray.is_there and desk.running and not desk.is_demo) or chosen == "quit":
            self.ask_quit()
        elif chosen == "stay":
            self._presence.stay()
        else:
            question = self._ask(about_staying())
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
            self._ask(words).confirmed.connect(self.quit_decided)
        else:
            self.quit_decided.emit()

    @Slot()
    def ask_leave(self) -> None:
        self._ask(about_leaving(self._desk)).confirmed.connect(self.leave_decided)

    def _ask(self, words: Words) -> Question:
        """An earlier question is answered by none: the later one is what the person wants now."""
        if self.question is not None:
            self.question.reject()
        self.question = Question(self._window, words)
        self.question.finished.connect(self._asked)
        self.question.open()
        return self.question

    @Slot()
    def _asked(self) -> None:
        if self.question:
            self.question.deleteLater()
            self.question = None
