# SPDX-License-Identifier: Apache-2.0
"""One line icon as a widget, and the habit of most widgets here: the theme is asked again when the look changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QRectF, QSize
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from ..look import theme
from ..look.icons import ICON_PX, paint_icon

if TYPE_CHECKING:
    _Widget = QWidget
else:
    _Widget = object


class Restyled(_Widget):
    """Mixed into a widget, before Qt's class: sets again, in `restyle`, all that depends on theme and text size."""

    _last_look: int | None = None  # set for this one: Qt tells of a change whenever a widget is put into another, too

    def restyle(self) -> None:
        self.updateGeometry()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.StyleChange and self._last_look != theme.applied():
            self._last_look = theme.applied()
            self.restyle()


class Icon(QWidget):
    """A drawing in the colour of a token; grows with the text. Decoration only: the word beside it says the same."""

    def __init__(self, name: str, token: str = "ink", size: float = ICON_PX, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._name, self._token, self._size = name, token, size
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def show_icon(self, name: str, token: str) -> None:
        if (name, token) != (self._name, self._token):
            self._name, self._token = name, token
            self.update()

    def sizeHint(self) -> QSize:
        return QSize(theme.px(self._size), theme.px(self._size))

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        side = min(self.width(), self.height())
        place = QRectF((self.width() - side) / 2, (self.height() - side) / 2, side, side)
        paint_icon(painter, place, self._name, theme.active().color(self._token))
