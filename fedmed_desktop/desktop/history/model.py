# SPDX-License-Identifier: Apache-2.0
"""The record's lines as a table's model: made of values once, so that ten thousand rows cost what is seen of them."""

from __future__ import annotations

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt

from ...wording import tr
from ..look.icons import icon
from ..widgets.table import Index
from .view import Line, headings

WHAT = 1  # the column with the drawing


class EntriesModel(QAbstractTableModel):
    """Reset where other lines are shown. The number of a row's entry is its `UserRole`."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lines: tuple[Line, ...] = ()
        self._headings = headings()

    def show_lines(self, lines: tuple[Line, ...]) -> None:
        if lines != self._lines:
            self.beginResetModel()
            self._lines = lines
            self.endResetModel()

    def row_of(self, number: int) -> int:
        """Row of this entry; -1 where it is not shown."""
        return next((row for row, line in enumerate(self._lines) if line.number == number), -1)

    def number_at(self, row: int) -> int:
        """Number of the entry in a row; 0 for none."""
        return self._lines[row].number if 0 <= row < len(self._lines) else 0

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008  # Qt's own signature
        return 0 if parent.isValid() else len(self._lines)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._headings)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if not index.isValid():
            return None
        line = self._lines[index.row()]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return line.texts[index.column()]
            case Qt.ItemDataRole.DecorationRole if index.column() == WHAT:
                return icon(line.drawing, line.tone)
            case Qt.ItemDataRole.AccessibleTextRole:
                text = line.texts[index.column()] or tr("none")
                return f"{self._headings[index.column()]}: {text}"
            case Qt.ItemDataRole.UserRole:
                return line.number
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return self._headings[section]
        return None
