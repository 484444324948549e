# SPDX-License-Identifier: Apache-2.0
"""Layout: pages, columns, cards, rows that break. Empty space is in steps of 8 px, grown with the text."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import TypeVar

from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QFrame, QHBoxLayout, QLayout, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from ..look import theme
from .icon import Restyled
from .labels import Overline

W = TypeVar("W", bound=QWidget)
MAX_WIDTH = 1200  # of a page's content, at text scale 1: lines stay readable on wide screens
SHARE = 0.5  # of a very wide window, which content may fill beyond that; pages of charts and notes fill more (inferred)
WIDE_SHARE = 0.85


class Spaced(Restyled, QFrame):
    """A frame whose layout keeps its margins and spacing in step with the text scale."""

    _laid: QLayout | None = None

    def _lay(self, layout: QLayout, margins: tuple[int, int, int, int], spacing: int) -> None:
        """Margins (left, top, right, bottom) and spacing in px at text scale 1."""
        self._margins, self._spacing, self._laid = margins, spacing, layout
        Spaced.restyle(self)

    def restyle(self) -> None:
        if self._laid:
            self._laid.setContentsMargins(*(theme.gap(margin) for margin in self._margins))
            self._laid.setSpacing(theme.gap(self._spacing))


def fit_rows(rows: list[W], count: int, column: QLayout, make: Callable[[], W]) -> None:
    """Adds rows to the end of a column, or takes them from there, until there are `count`."""
    while len(rows) < count:
        rows.append(make())
        column.addWidget(rows[-1])
    while len(rows) > count:
        row = rows.pop()
        column.removeWidget(row)
        row.hide()
        row.deleteLater()


class Card(Spaced):
    """A quiet box for things that belong together: `content` is its column; the title, if any, is small capitals."""

    def __init__(self, title: str = "", least: int = 240, parent: QWidget | None = None) -> None:
        """`least` is the width in px at text scale 1 below which a Row puts cards one below the other."""
        super().__init__(parent)
        self._least = least
        self.content = QVBoxLayout(self)
        self._lay(self.content, (20, 20, 20, 20), 12)
        self.title = Overline(title)
        self.content.addWidget(self.title)
        self.title.setVisible(bool(title))
        if title:
            self.setAccessibleName(title)

    def set_title(self, title: str) -> None:
        self.title.setText(title)
        self.title.setVisible(bool(title))
        self.setAccessibleName(title)

    def add(self, widget: QWidget, stretch: int = 0) -> None:
        self.content.addWidget(widget, stretch)

    def minimumSizeHint(self) -> QSize:
        hint = super().minimumSizeHint()
        return QSize(max(hint.width(), theme.px(self._least)), hint.height())


class Bar(Spaced):
    """A strip across the window with a line at one edge ("top" or "bottom"): the header, the work strip."""

    def __init__(self, edge: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("edge", edge)
        self.content = QHBoxLayout(self)
        self._lay(self.content, (20, 6, 20, 6), 12)

    def minimumSizeHint(self) -> QSize:
        return super().minimumSizeHint().expandedTo(QSize(0, theme.gap(48)))

    def sizeHint(self) -> QSize:
        return super().sizeHint().expandedTo(QSize(0, theme.gap(48)))

    def add(self, widget: QWidget, stretch: int = 0) -> None:
        self.content.addWidget(widget, stretch)


class Turning(Spaced):
    """Parts that lie otherwise where there is less room: `_turn` looks anew whenever the room, or what a part needs,
    has changed.
    """

    @abstractmethod
    def _turn(self) -> None:
        """Lays the parts out as there is room for them."""

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._turn()

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.LayoutRequest:
            self._turn()
        return super().event(event)


class Row(Turning):
    """Widgets side by side, of equal height; one below the other where the window is too narrow for their minimum."""

    def __init__(self, *widgets: QWidget, spacing: int = 16, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.content = QBoxLayout(QBoxLayout.Direction.LeftToRight, self)
        self._lay(self.content, (0, 0, 0, 0), spacing)
        self._widgets: dict[QWidget, int] = {}  # with the widths that they need
        for widget in widgets:
            self.add(widget, 1)

    def add(self, widget: QWidget, stretch: int = 0, least: int = 0) -> None:
        """`least`: the width in px at text scale 1 that it needs beside others, where its minimum is too little."""
        self._widgets[widget] = least
        self.content.addWidget(widget, stretch)

    def is_stacked(self) -> bool:
        return self.content.direction() == QBoxLayout.Direction.TopToBottom

    def _needed(self) -> int:
        shown = [widget for widget in self._widgets if not widget.isHidden()]
        least = sum(max(_beside(one), one.minimumWidth(), theme.px(self._widgets[one])) for one in shown)
        return least + self.content.spacing() * max(0, len(shown) - 1)

    def _turn(self) -> None:
        stacked = self._needed() > self.width()
        way = QBoxLayout.Direction.TopToBottom if stacked else QBoxLayout.Direction.LeftToRight
        if way != self.content.direction():
            self.content.setDirection(way)
            self.updateGeometry()

    def minimumSizeHint(self) -> QSize:
        shown = [widget for widget in self._widgets if not widget.isHidden()]
        widest = max((max(w.minimumSizeHint().width(), w.minimumWidth()) for w in shown), default=0)
        # Where texts wrap, the height follows from the width that there is, not from the least.
        return QSize(widest, 0 if self.content.hasHeightForWidth() else super().minimumSizeHint().height())


def _beside(widget: QWidget) -> int:
    """Width that a widget needs beside others: a row in a row is not to be one below the other there."""
    return widget._needed() if isinstance(widget, Row) else widget.minimumSizeHint().width()


class Column(Spaced):
    """Content of a page from top to bottom, with margins: at most MAX_WIDTH wide, or `share` of the window."""

    def __init__(self, share: float = SHARE, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._share, self._there = share, 0
        self.setObjectName("page")
        self.content = QVBoxLayout(self)
        self._lay(self.content, (32, 24, 32, 24), 16)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.restyle()

    def add(self, widget: QWidget, stretch: int = 0) -> None:
        self.content.addWidget(widget, stretch)

    def fit(self, there: int) -> None:
        """Takes its width out of `there` px."""
        self._there = there
        self.setMaximumWidth(max(theme.px(MAX_WIDTH), round(self._share * there)))

    def restyle(self) -> None:
        super().restyle()
        self.fit(self._there)


def add_column(row: Row, cards: Iterable[QWidget]) -> None:
    """Adds the cards as one column of the row, at its top, as wide as its other columns."""
    side = QWidget()
    row.add(side, 1)  # before it is filled: what is in it is styled again whenever it is put into another
    row.content.setAlignment(side, Qt.AlignmentFlag.AlignTop)
    column = QVBoxLayout(side)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(16)
    for card in cards:
        column.addWidget(card)
    column.addStretch(1)


class _Ground(QWidget):
    """Scrolled content of a page. Its height follows from its width; Qt would take that of the least width instead."""

    def minimumSizeHint(self) -> QSize:
        return QSize(super().minimumSizeHint().width(), 0)


class PageBase(QScrollArea):
    """A page of the window: scrolls up and down, never sideways. Subclasses fill `column` and end with `finish()`.
    `share`: of a very wide window, how much the content fills; it stands in the middle.
    """

    def __init__(self, parent: QWidget | None = None, share: float = SHARE) -> None:
        super().__init__(parent)
        self.column = Column(share)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        ground = _Ground()
        ground.setObjectName("page")
        row = QHBoxLayout(ground)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addStretch(0)
        row.addWidget(self.column, 1)
        row.addStretch(0)
        self.setWidget(ground)

    def resizeEvent(self, event: QResizeEvent) -> None:
        self.column.fit(event.size().width())
        super().resizeEvent(event)

    def add(self, widget: QWidget, stretch: int = 0) -> None:
        self.column.add(widget, stretch)

    def finish(self) -> None:
        """Keeps the content at the top."""
        self.column.content.addStretch(1)
