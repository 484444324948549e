# SPDX-License-Identifier: Apache-2.0
"""Buttons and other small parts in a line that goes on in the next one where it is too long."""

from __future__ import annotations

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QLayout, QLayoutItem, QSizePolicy, QWidget

from ..look import theme
from .icon import Restyled


class _Lines(QLayout):
    """Items in lines, as words in a text; those from `first_right` on stand at the other end of their line."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._items: list[QLayoutItem] = []
        self.first_right: int | None = None

    def addItem(self, item: QLayoutItem) -> None:
        self._items.append(item)

    def count(self) -> int:
        return len(self._items)

    def itemAt(self, index: int) -> QLayoutItem | None:
        return self._items[index] if 0 <= index < len(self._items) else None

    def takeAt(self, index: int) -> QLayoutItem | None:
        return self._items.pop(index) if 0 <= index < len(self._items) else None

    def expandingDirections(self) -> Qt.Orientation:
        return Qt.Orientation(0)

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        heights = [max(self._items[at].sizeHint().height() for at in line) for line in self._broken(width)]
        return sum(heights) + self.spacing() * max(0, len(heights) - 1)

    def sizeHint(self) -> QSize:
        shown = self._shown()
        width = sum(self._items[at].sizeHint().width() for at in shown) + self.spacing() * max(0, len(shown) - 1)
        return QSize(width, max((self._items[at].sizeHint().height() for at in shown), default=0))

    def minimumSize(self) -> QSize:
        return QSize(max((self._items[at].minimumSize().width() for at in self._shown()), default=0), 0)

    def setGeometry(self, place: QRect) -> None:
        super().setGeometry(place)
        top = place.top()
        for line in self._broken(place.width()):
            height = max(self._items[at].sizeHint().height() for at in line)
            self._lay_line(line, QRect(place.left(), top, place.width(), height))
            top += height + self.spacing()

    def _shown(self) -> list[int]:
        return [at for at, item in enumerate(self._items) if not item.isEmpty()]

    def _broken(self, width: int) -> list[list[int]]:
        """Numbers of the items in each line. Those of the right end stay together while one line can hold them."""
        lines: list[list[int]] = []
        used = 0
        for at in self._shown():
            wide = self._items[at].sizeHint().width()
            ahead = self._right_width() if at == self.first_right else wide
            if not lines or used + self.spacing() + ahead > width:
                lines.append([])
                used = -self.spacing()
            lines[-1].append(at)
            used += self.spacing() + wide
        return lines

    def _right_width(self) -> int:
        right = [self._items[at].sizeHint().width() for at in self._shown() if at >= (self.first_right or 0)]
        return sum(right) + self.spacing() * (len(right) - 1)

    def _lay_line(self, line: list[int], place: QRect) -> None:
        widths = {at: min(self._items[at].sizeHint().width(), place.width()) for at in line}
        right = [at for at in line if self.first_right is not None and at >= self.first_right]
        x = place.left()
        for at in line:
            if right and at == right[0]:
                x = place.right() + 1 - sum(widths[r] for r in right) - self.spacing() * (len(right) - 1)
            height = self._items[at].sizeHint().height()
            box = QRect(x, place.top() + (place.height() - height) // 2, widths[at], height)
            if QGuiApplication.isRightToLeft():
                box.moveLeft(place.left() + place.right() - box.right())
            self._items[at].setGeometry(box)
            x += widths[at] + self.spacing()


class Flow(Restyled, QWidget):
    """Small parts side by side, in as many lines as they need. After `push()`, parts stand at the right end."""

    def __init__(self, *widgets: QWidget, spacing: int = 8, parent: QWidget | None = None) -> None:
        """`spacing` in px at text scale 1, between parts and between lines."""
        super().__init__(parent)
        self._spacing = spacing
        self._lines = _Lines(self)
        self._lines.setContentsMargins(0, 0, 0, 0)
        self.restyle()
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        for widget in widgets:
            self.add(widget)

    def add(self, widget: QWidget) -> None:
        self._lines.addWidget(widget)

    def remove(self, widget: QWidget) -> None:
        self._lines.removeWidget(widget)
        widget.hide()
        widget.deleteLater()

    def push(self) -> None:
        """Puts what is added from now on at the right end of its line."""
        self._lines.first_right = self._lines.count()

    def restyle(self) -> None:
        self._lines.setSpacing(theme.gap(self._spacing))
