# SPDX-License-Identifier: Apache-2.0
"""A small card with one number on it."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt
from PySide6.QtWidgets import QHBoxLayout, QWidget

from ..look import theme
from .labels import Caption, Label, Weight
from .layout import Card, Spaced

MOST_PX = 92  # of height, where there is room to spare


class FigureCard(Card):
    """A number with its name and unit, and a few words below where there are any."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self._lay(self.content, (20, 12, 20, 12), 4)
        self._name = name
        self.value = Label("–", size=20, weight=Weight.DemiBold)
        self.unit = Label(size=14, weight=Weight.DemiBold, tone="dim")
        self.note = Caption()
        row = Spaced()
        line = QHBoxLayout(row)
        row._lay(line, (0, 0, 0, 0), 6)
        line.addWidget(self.value, 0, Qt.AlignmentFlag.AlignBaseline)
        line.addWidget(self.unit, 0, Qt.AlignmentFlag.AlignBaseline)
        line.addStretch(1)
        self.content.addStretch(1)
        self.add(Caption(name))
        self.add(row)
        self.add(self.note)
        self.content.addStretch(1)
        self.show_value("–")
        self._limit()

    def _limit(self) -> None:
        self.setMaximumHeight(theme.px(MOST_PX))

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.StyleChange:
            self._limit()

    def show_value(self, value: str, unit: str = "", note: str = "") -> None:
        for label, text in ((self.value, value), (self.unit, unit), (self.note, note)):
            if label.text() != text:
                label.setText(text)
        self.note.setVisible(bool(note))
        self.setAccessibleName(" ".join(word for word in (f"{self._name}:", value, unit, note) if word))
