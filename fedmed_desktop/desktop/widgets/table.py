# SPDX-License-Identifier: Apache-2.0
"""A table that looks like a list of sentences: no grid, a dim heading, lines between rows; and its words."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import (
    QAbstractItemModel,
    QAbstractTableModel,
    QEvent,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRect,
    QSize,
    Qt,
    Slot,
)
from PySide6.QtGui import QHelpEvent, QPainter, QPaintEvent, QPen, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QSizePolicy, QTableView, QToolTip, QWidget

from ..look import theme
from ..look.icons import icon, icon_size
from .icon import Restyled
from .labels import plain_tip

Index = QModelIndex | QPersistentModelIndex
ROW_PX = 35
MEASURED_ROWS = 64  # for the widths of columns: measuring 200 rows of six columns takes 50 ms
LEAST_PX = 170  # a column that needs less is never shortened
WHOLE = "0000-00-00 00:00:00"  # nor one that needs no more than this


def shortened(widths: Sequence[int], by: int, least: int) -> list[int]:
    """Widths less `by` px in all, taken from the widest first; none is brought below `least`."""
    cut = list(widths)
    while by > 0 and (widest := max(cut)) > least:
        cut[cut.index(widest)] -= 1
        by -= 1
    return cut


class Table(Restyled, QTableView):
    """Rows are chosen whole, by mouse or arrow keys; Tab leaves. `name` is what a screen reader calls the table.

    Columns take what their content needs and share what is left. Where there is too little, the widest are shortened
    (the tool tip then has the whole text), but none below LEAST_PX or what a time takes: numbers stay whole, and the
    table scrolls sideways. It is as high as its rows, up to `most_rows`; then it scrolls.
    """

    def __init__(self, name: str, most_rows: int = 12, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._most_rows = most_rows
        self._need: list[int] = []  # the width of each column, where it has been measured since the last change
        self.setAccessibleName(name)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.setTabKeyNavigation(False)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.verticalHeader().hide()
        heading = self.horizontalHeader()
        heading.setHighlightSections(False)
        heading.setSectionsClickable(False)
        heading.setTextElideMode(Qt.TextElideMode.ElideRight)
        heading.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        heading.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        heading.setResizeContentsPrecision(MEASURED_ROWS)
        self.horizontalScrollBar().rangeChanged.connect(self._make_room)
        self.restyle()

    def let_sort(self) -> None:
        """A click on a heading sorts by it, another one the other way round; until then rows are as they come."""
        heading = self.horizontalHeader()
        heading.setSectionsClickable(True)
        heading.setSortIndicatorClearable(True)
        heading.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        self.setSortingEnabled(True)

    def choose_again(self, row: int) -> None:
        """Chooses what was chosen before other words came; what is seen stays in its place."""
        bar = self.verticalScrollBar()
        seen = bar.value()
        self.selectRow(row)
        bar.setValue(seen)

    def setModel(self, model: QAbstractItemModel | None) -> None:
        super().setModel(model)
        if model is not None:
            for signal in (model.modelReset, model.rowsInserted, model.rowsRemoved, model.layoutChanged):
                signal.connect(self._refit)
        self._refit()

    def sizeHint(self) -> QSize:
        model = self.model()
        rows = min(model.rowCount(), self._most_rows) if model is not None else 0
        frame = 2 * self.frameWidth()
        height = self.horizontalHeader().sizeHint().height() + rows * self.verticalHeader().defaultSectionSize()
        bar = self.horizontalScrollBar()
        beside = bar.sizeHint().height() if bar.maximum() > 0 else 0
        return QSize(super().sizeHint().width(), height + frame + beside + 2)

    def minimumSizeHint(self) -> QSize:
        return QSize(theme.px(160), self.sizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        painter = QPainter(self.viewport())
        width, last = self.viewport().width(), self.verticalHeader().count() - 1
        painter.setPen(theme.active().color("line"))
        for row in range(max(self.rowAt(0), 0), last):
            below = self.rowViewportPosition(row) + self.rowHeight(row) - 1
            if below > self.viewport().height():
                break
            painter.drawLine(0, below, width, below)
        if self.hasFocus():
            painter.setPen(QPen(theme.active().color("focus"), 2))
            painter.drawRect(self._focused().adjusted(1, 1, -1, -1))

    def _focused(self) -> QRect:
        """The row that the keys act on, or all of the table while it has none."""
        row = self.currentIndex().row()
        if row < 0:
            return self.viewport().rect()
        return QRect(0, self.rowViewportPosition(row), self.viewport().width(), self.rowHeight(row))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._share()

    def restyle(self) -> None:
        self.setIconSize(icon_size())
        self.verticalHeader().setMinimumSectionSize(1)
        self.verticalHeader().setDefaultSectionSize(theme.px(ROW_PX))
        self._refit()

    @Slot()
    def _make_room(self) -> None:
        """A bar below the last row needs its own height, or all rows would scroll for it."""
        self.updateGeometry()

    @Slot()
    def _refit(self) -> None:
        self.updateGeometry()
        self._need = []
        if self.isVisible():
            self._share()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._share()

    def _share(self) -> None:
        """Gives each column its need and an equal part of what is left over."""
        count = self.model().columnCount() if self.model() is not None else 0
        if not count:
            return
        if not self._need:
            hint = self.horizontalHeader().sectionSizeHint
            self._need = [max(self.sizeHintForColumn(c), hint(c)) + theme.gap(12) for c in range(count)]
        need = list(self._need)
        spare = self.viewport().width() - sum(need)
        if spare >= 0:
            need = [width + spare // count for width in need]
            need[-1] += spare % count
        whole = self.fontMetrics().horizontalAdvance(WHOLE) + theme.gap(24)
        least = max(theme.px(LEAST_PX), whole)
        for column, width in enumerate(shortened(need, -spare, least) if spare < 0 else need):
            self.setColumnWidth(column, width)

    def viewportEvent(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            index = self.indexAt(event.pos())
            text = str(index.data() or "")
            if self.fontMetrics().horizontalAdvance(text) + 6 > self.columnWidth(index.column()):
                QToolTip.showText(event.globalPos(), plain_tip(text), self)
                return True
        return super().viewportEvent(event)


class TextTable(QAbstractTableModel):
    """Rows of words under headings; reset only where something has changed, so that a choice in it stays. `icons`: for
    each row the drawing that stands before the word in column `marked`, with its colour's token.
    """

    def __init__(self, parent: QObject | None = None, marked: int = 0) -> None:
        super().__init__(parent)
        self._marked = marked
        self.headings: tuple[str, ...] = ()
        self._rows: tuple[tuple[str, ...], ...] = ()
        self._icons: tuple[tuple[str, str], ...] = ()

    def show_texts(
        self, headings: Sequence[str], rows: Sequence[tuple[str, ...]], icons: Sequence[tuple[str, str]] = ()
    ) -> None:
        new = tuple(headings), tuple(rows), tuple(icons)
        if new != (self.headings, self._rows, self._icons):
            self.beginResetModel()
            self.headings, self._rows, self._icons = new
            self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008  # Qt's own signature
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.headings)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if not index.isValid():
            return None
        text = self._rows[index.row()][index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            return text
        if role == Qt.ItemDataRole.DecorationRole and self._icons and index.column() == self._marked:
            return icon(*self._icons[index.row()])
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{self.headings[index.column()]}: {text}"
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return self.headings[section]
        return None
