# SPDX-License-Identifier: Apache-2.0
"""Three cards in as many columns as there is room for."""

from __future__ import annotations

from PySide6.QtCore import QSize
from PySide6.QtWidgets import QGridLayout, QWidget

from .layout import Turning


class CardColumns(Turning):
    """Side by side; where that is too wide, the first and the last below each other beside the middle one; where that
    is too wide as well, all below each other. Hidden ones take no room.
    """

    def __init__(self, first: QWidget, middle: QWidget, last: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._cards = (first, middle, last)
        self._grid = QGridLayout(self)
        self._lay(self._grid, (0, 0, 0, 0), 16)
        self._places: tuple[tuple[int, int, int], ...] = ()
        self._put(((0, 0, 1), (0, 1, 1), (0, 2, 1)))

    @property
    def columns(self) -> int:
        shown = [place for card, place in zip(self._cards, self._places, strict=True) if not card.isHidden()]
        return 1 + max((column for _, column, _ in shown), default=0)

    def _put(self, places: tuple[tuple[int, int, int], ...]) -> None:
        """`places`: row, column and number of rows of each card."""
        if places == self._places:
            return
        self._places = places
        for card in self._cards:
            self._grid.removeWidget(card)
        for card, (row, column, rows) in zip(self._cards, places, strict=True):
            self._grid.addWidget(card, row, column, rows, 1)
        self._stretch()

    def _stretch(self) -> None:
        columns = self.columns
        for column in range(3):
            self._grid.setColumnStretch(column, int(column < columns))

    def _turn(self) -> None:
        first, middle, last = (0 if card.isHidden() else card.minimumSizeHint().width() for card in self._cards)
        gap, there = self._grid.horizontalSpacing(), self.width()
        if first + middle + last + gap * sum(width > 0 for width in (middle, last)) <= there:
            self._put(((0, 0, 1), (0, 1, 1), (0, 2, 1)))
        elif max(first, last) + gap + middle <= there:
            self._put(((0, 0, 1), (0, 1, 2), (1, 0, 1)))
        else:
            self._put(((0, 0, 1), (1, 0, 1), (2, 0, 1)))
        self._stretch()

    def minimumSizeHint(self) -> QSize:
        shown = [card.minimumSizeHint().width() for card in self._cards if not card.isHidden()]
        return QSize(max(shown, default=0), 0)
