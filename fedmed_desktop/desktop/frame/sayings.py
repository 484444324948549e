# SPDX-License-Identifier: Apache-2.0
"""Sentences above the page, one at a time, each until it is dismissed."""

from __future__ import annotations

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QWidget

from ...wording import tr
from ..widgets import Banner


class Sayings(Banner):
    """Shows the first of what was said and not dismissed; what is said twice stands there once."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(kind="warn", parent=parent)
        self._waiting: list[str] = []
        self.acted.connect(self._dismiss)

    def say(self, sentence: str) -> None:
        if sentence not in self._waiting:
            self._waiting.append(sentence)
            self._show()

    @Slot()
    def _dismiss(self) -> None:
        del self._waiting[:1]
        self._show()

    def _show(self) -> None:
        self.show_message(self._waiting[0] if self._waiting else "", "warn", tr("Dismiss"))
