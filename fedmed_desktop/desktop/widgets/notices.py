# SPDX-License-Identifier: Apache-2.0
"""Notices: a banner above the content, a sentence where content is still missing, words for a screen reader."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6 import QtGui
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QAccessible, QAccessibleEvent
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QVBoxLayout, QWidget

from .buttons import Button, PrimaryButton
from .icon import Icon
from .labels import Heading, Sentence, set_tone
from .layout import Row, Spaced

_KINDS = {"info": ("info", "accent"), "ok": ("check", "ok"), "warn": ("warning", "warn"), "bad": ("warning", "bad")}

# Where events go; a test listens here, since PySide6 has no QAccessible.installUpdateHandler.
_send: Callable[[QAccessibleEvent], None] = QAccessible.updateAccessibility


def announce(widget: QWidget, sentence: str) -> bool:
    """Says a sentence to screen readers and returns whether it did: not where the widget is not seen, the sentence is
    empty, or Qt is older than 6.8. From the GUI thread. Politely: after what is being read out at the moment.
    """
    if not sentence or not widget.isVisible() or not hasattr(QtGui, "QAccessibleAnnouncementEvent"):
        return False
    _send(QtGui.QAccessibleAnnouncementEvent(widget, sentence))
    return True


class Banner(Spaced):
    """An icon, a sentence and perhaps one button. Kinds: info, ok, warn, bad. Hidden while the sentence is empty."""

    acted = Signal()

    def __init__(self, text: str = "", kind: str = "info", action: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._icon = Icon("info", "accent")
        self._text = Sentence(tone="ink")
        self.button = Button()
        self.button.clicked.connect(self.acted)
        row = QHBoxLayout(self)
        self._lay(row, (14, 8, 14, 8), 12)
        row.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self._text, 1)
        row.addWidget(self.button)
        self._fill(text, kind, action)
        if not text:
            self.hide()

    def show_message(self, text: str, kind: str = "info", action: str = "") -> None:
        """An empty `text` hides the banner, an empty `action` the button. A text that appears is read out."""
        appears = text != self._text.text() or self.isHidden()
        self._fill(text, kind, action)
        self.setVisible(bool(text))
        if appears:
            announce(self, text)

    def _fill(self, text: str, kind: str, action: str) -> None:
        set_tone(self, "kind", kind)
        self._icon.show_icon(*_KINDS[kind])
        self._text.setText(text)
        self.button.setText(action)
        self.button.setVisible(bool(action))
        self.setAccessibleName(text)

    def text(self) -> str:
        return self._text.text()


class EmptyState(Spaced):
    """Stands where there is nothing yet: what is missing, and a few buttons for what to do about it."""

    chosen = Signal(int)  # 0: the primary button, from 1 on: the others

    def __init__(
        self,
        icon: str,
        title: str,
        sentence: str = "",
        primary: str = "",
        secondary: Sequence[str] = (),
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        self._lay(column, (0, 48, 0, 48), 8)
        self._icon = Icon(icon, "dim", 40)
        self._title = Heading(title, 2)
        self._sentence = Sentence(sentence)
        for label in (self._title, self._sentence):
            label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        column.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addWidget(self._title)
        column.addWidget(self._sentence)
        self._sentence.setVisible(bool(sentence))
        self._group = QButtonGroup(self)
        self.buttons: list[Button] = []
        self._row = self._buttons(primary, secondary)
        column.addSpacing(8)
        column.addWidget(self._row, 0)
        self._group.idClicked.connect(self.chosen)

    def show_words(self, title: str, sentence: str = "") -> None:
        self._title.setText(title)
        self._sentence.setText(sentence)
        self._sentence.setVisible(bool(sentence))

    def _buttons(self, primary: str, secondary: Sequence[str]) -> Row:
        # side by side in the middle, or one below the other
        self.buttons = [PrimaryButton(primary)] if primary else []
        self.buttons += [Button(text) for text in secondary]
        row = Row(spacing=8)
        row.content.addStretch(1)
        for number, button in enumerate(self.buttons, 0 if primary else 1):
            self._group.addButton(button, number)
            row.add(button)
            row.content.setAlignment(button, Qt.AlignmentFlag.AlignHCenter)
        row.content.addStretch(1)
        if not self.buttons:
            row.hide()
        return row
