# SPDX-License-Identifier: Apache-2.0
"""Facts: pairs of a name and a value, one per line, which can be marked and copied; one number on a small card."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QFocusEvent, QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from ..look import theme
from .icon import Icon
from .labels import Caption, Label, Weight, set_tone
from .layout import Card, Spaced, fit_rows

_EM = "\u2003"
_STEPS = {int(Qt.Key.Key_Up): -1, int(Qt.Key.Key_Down): 1}
MOST_PX = 92  # of a card's height, where there is room to spare
VALUE_PX = 300  # that a value may ask for to stay on one line
_MARKS = {"ok": "check", "warn": "warning", "bad": "warning"}


class Pair(NamedTuple):
    """One line: tone "ok", "warn" or "bad" adds its icon; "ink" and "dim" are plain. `spoken`: to a screen reader.

    Em spaces before a name put it to the right by as much, in all its lines: a part of the line above.
    """

    name: str
    value: str
    tone: str = "ink"
    spoken: str = ""


class Value(Label):
    """A value that can be marked: wholly when the keyboard comes to it, in parts with the mouse.

    On one line where it is short and there is room; Qt would break a text that wraps into a block of several lines.
    """

    def sizeHint(self) -> QSize:
        hint = super().sizeHint()
        line = self.fontMetrics().horizontalAdvance(self.text()) + 2
        return QSize(max(hint.width(), min(line, theme.px(VALUE_PX))), hint.height())

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        if event.reason() != Qt.FocusReason.MouseFocusReason:
            self.setSelection(0, len(self.text()))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in _STEPS:
            event.ignore()  # the rows walk to the next value
        else:
            super().keyPressEvent(event)


class Fact(Spaced):
    """One line of KeyValueRows."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        row = QHBoxLayout(self)
        self._lay(row, (0, 8, 0, 8), 8)
        self._depth = 0
        self._name = Label(tone="dim", wrap=True)
        self._mark = Icon("check", "ok", 16)
        self.value = Value(wrap=True)
        self.value.setIndent(0)
        self.value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        flags = Qt.TextInteractionFlag
        self.value.setTextInteractionFlags(flags.TextSelectableByMouse | flags.TextSelectableByKeyboard)
        row.addWidget(self._name, 1)
        row.addWidget(self._mark, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self.value)
        self.restyle()

    def show_pair(self, pair: Pair, last: bool) -> None:
        name = pair.name.lstrip(_EM)
        self._depth = len(pair.name) - len(name)
        self._name.setText(name)
        self._put_in()
        self.value.setText(pair.value)
        self.value.set_tone(pair.tone)
        self.value.setAccessibleName(pair.spoken or f"{name}: {pair.value}")
        self._mark.setVisible(pair.tone in _MARKS)
        if pair.tone in _MARKS:
            self._mark.show_icon(_MARKS[pair.tone], pair.tone)
        set_tone(self, "last", last)

    def restyle(self) -> None:
        super().restyle()
        if hasattr(self, "value"):
            self._put_in()

    def _put_in(self) -> None:
        self._name.setContentsMargins(self._depth * theme.px(theme.TEXT_PX), 0, 0, 0)


class KeyValueRows(QWidget):
    """Lines of name and value. Showing the same number of pairs again only sets texts. Tab comes to the first value, up
    and down walk through the others.
    """

    def __init__(self, pairs: Sequence[Pair | tuple[str, str]] = (), parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(0)
        self.facts: list[Fact] = []
        self.show_pairs(pairs)

    def show_pairs(self, pairs: Sequence[Pair | tuple[str, str]]) -> None:
        fit_rows(self.facts, len(pairs), self._column, Fact)
        for number, (row, pair) in enumerate(zip(self.facts, pairs, strict=True)):
            row.show_pair(Pair(*pair), number == len(pairs) - 1)
        if self.facts:
            self.facts[0].value.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        at = next((number for number, row in enumerate(self.facts) if row.value.hasFocus()), None)
        if at is None or event.key() not in _STEPS:
            super().keyPressEvent(event)
            return
        to = min(max(at + _STEPS[event.key()], 0), len(self.facts) - 1)
        self.facts[to].value.setFocus(Qt.FocusReason.OtherFocusReason)

    def values(self) -> list[str]:
        return [row.value.text() for row in self.facts]


class FigureCard(Card):
    """A number with its name and unit, and a few words below where there are any."""

    def __init__(self, name: str, least: int, parent: QWidget | None = None) -> None:
        """`least`: as of Card."""
        super().__init__(least=least, parent=parent)
        self._lay(self.content, (20, 12, 20, 12), 4)
        self._name = name
        self.value = Label("–", size=20, weight=Weight.DemiBold)
        self.unit = Label(size=14, weight=Weight.DemiBold, tone="dim")
        self.note = Caption(wrap=True)
        row = Spaced()
        line = QHBoxLayout(row)
        row._lay(line, (0, 0, 0, 0), 6)
        line.addWidget(self.value, 0, Qt.AlignmentFlag.AlignBaseline)
        line.addWidget(self.unit, 0, Qt.AlignmentFlag.AlignBaseline)
        line.addStretch(1)
        self.content.addStretch(1)
        self.add(Caption(name, wrap=True))
        self.add(row)
        self.add(self.note)
        self.content.addStretch(1)
        self.show_value("–")
        self.restyle()

    def restyle(self) -> None:
        super().restyle()
        self._keep_low()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._keep_low()

    def _keep_low(self) -> None:
        """Keeps the card no higher than MOST_PX, or than its words need at this width."""
        self.setMaximumHeight(max(theme.px(MOST_PX), self.heightForWidth(self.width())))

    def show_value(self, value: str, unit: str = "", note: str = "") -> None:
        for label, text in ((self.value, value), (self.unit, unit), (self.note, note)):
            if label.text() != text:
                label.setText(text)
        self.note.setVisible(bool(note))
        self._keep_low()
        self.setAccessibleName(" ".join(word for word in (f"{self._name}:", value, unit, note) if word))
