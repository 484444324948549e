# SPDX-License-Identifier: Apache-2.0
"""The window's menu and its keys. Every action is here once, with its shortcut beside it."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenu, QWidget


class Menu(QObject):
    """Says by signals what was chosen. `widget` is the popup; its actions also answer to their keys in the window."""

    text_scaled = Signal(int)  # steps larger or smaller; 0: the usual size

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._window = window
        self.widget = QMenu(window)
        self._add_text_sizes()

    def add(self, text: str, keys: str | QKeySequence.StandardKey = "") -> QAction:
        """An action at the end of the menu, and its keys in the whole window."""
        action = QAction(text, self._window)
        if keys:
            action.setShortcut(QKeySequence(keys))
            self._window.addAction(action)
        self.widget.addAction(action)
        return action

    def add_separator(self) -> None:
        self.widget.addSeparator()

    def _add_text_sizes(self) -> None:
        self.add(self.tr("Larger text"), QKeySequence.StandardKey.ZoomIn).triggered.connect(self._larger)
        self.add(self.tr("Smaller text"), QKeySequence.StandardKey.ZoomOut).triggered.connect(self._smaller)
        self.add(self.tr("Usual text size"), "Ctrl+0").triggered.connect(self._usual)
        self.add_separator()

    @Slot()
    def _larger(self) -> None:
        self.text_scaled.emit(1)

    @Slot()
    def _smaller(self) -> None:
        self.text_scaled.emit(-1)

    @Slot()
    def _usual(self) -> None:
        self.text_scaled.emit(0)
