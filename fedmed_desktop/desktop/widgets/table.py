# SPDX-License-Identifier: Apache-2.0
"""A table that looks like a list of sentences: no grid, a dim heading, lines between rows."""

from __future__ import annotations

from PySide6.QtCore import QAbstractItemModel, QEvent, QSize, Qt, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QSizePolicy, QTableView, QWidget

from fedmed_desktop.desktop import theme

ROW_PX = 35


class Table(QTableView):
    """Rows are chosen whole, by mouse or arrow keys; Tab leaves. `name` is what a screen reader calls the table.

    Columns take what their content needs and share what is left; where there is too little, the widest is shortened.
    The table is as high as its rows, up to `most_rows`; then it scrolls.
    """

    def __init__(self, name: str, most_rows: int = 12, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._most_rows = most_rows
        self.setAccessibleName(name)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.setTabKeyNavigation(False)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.verticalHeader().hide()
        heading = self.horizontalHeader()
        heading.setHighlightSections(False)
        heading.setSectionsClickable(False)
        heading.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        heading.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self._measure()

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
        return QSize(super().sizeHint().width(), height + frame + 2)

    def minimumSizeHint(self) -> QSize:
        return QSize(theme.px(160), self.sizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._share()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.StyleChange:
            self._measure()

    def _measure(self) -> None:
        self.verticalHeader().setMinimumSectionSize(1)
        self.verticalHeader().setDefaultSectionSize(theme.px(ROW_PX))
        self._refit()

    @Slot()
    def _refit(self) -> None:
        self.updateGeometry()
        self._share()

    def _share(self) -> None:
        """Gives each column its need and an equal part of what is left over."""
        count = self.model().columnCount() if self.model() is not None else 0
        if not count:
            return
        heading = self.horizontalHeader()
        need = [max(self.sizeHintForColumn(c), heading.sectionSizeHint(c)) + theme.gap(12) for c in range(count)]
        spare = self.viewport().width() - sum(need)
        if spare >= 0:
            need = [width + spare // count for width in need]
        while spare < 0 and max(need) > theme.px(48):
            widest = need.index(max(need))
            cut = min(-spare, max(1, need[widest] - sorted(need)[-2]) if count > 1 else -spare)
            need[widest] -= cut
            spare += cut
        for column, width in enumerate(need):
            self.setColumnWidth(column, width)
