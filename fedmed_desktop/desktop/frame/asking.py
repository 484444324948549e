# SPDX-License-Identifier: Apache-2.0
"""Questions to the person above the window, one at a time."""

from __future__ import annotations

from PySide6.QtCore import QObject, Slot
from PySide6.QtWidgets import QWidget

from ..look.questions import Words
from ..widgets.question import Question


class Asking(QObject):
    """Asks what its owner wants to know. `question`: the one that is on the screen."""

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._window = window
        self.question: Question | None = None

    def ask(self, words: Words) -> Question:
        """Opens a question. An earlier one is answered by none: the later one is what the person wants now."""
        if self.question is not None:
            self.question.reject()
        self.question = Question(self._window, words)
        self.question.finished.connect(self._asked)
        self.question.open()
        return self.question

    @Slot()
    def _asked(self) -> None:
        if self.question is not None:
            self.question.deleteLater()
            self.question = None
