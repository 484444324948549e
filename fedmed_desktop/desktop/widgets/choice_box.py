# SPDX-License-Identifier: Apache-2.0
"""One of several, by key."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QComboBox, QSizePolicy, QWidget

from ..look.fields import Choice


class ChoiceBox(QComboBox):
    """Things to choose from by key. What is chosen stays chosen while the list changes; the wheel scrolls the page."""

    chosen = Signal()

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._choices: tuple[Choice, ...] = ()
        self.setAccessibleName(name)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(18)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.activated.connect(self.chosen)

    def show_choices(self, choices: Sequence[Choice], default: str) -> None:
        """`default` is chosen where nothing was. A list that is open at this moment stays as it is."""
        if tuple(choices) == self._choices or self.view().isVisible():
            return
        kept = self.key() or default
        self._choices = tuple(choices)
        self.clear()
        for choice in choices:
            self.addItem(choice.label, choice.key)
        self.choose(kept)

    def choose(self, key: str) -> bool:
        """False where there is no such choice."""
        place = self.findData(key)
        if place >= 0:
            self.setCurrentIndex(place)
        return place >= 0

    def key(self) -> str:
        """Of what is chosen; "" for nothing."""
        return str(self.currentData() or "")

    def choice(self) -> Choice | None:
        return next((choice for choice in self._choices if choice.key == self.key()), None)

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()
