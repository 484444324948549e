# SPDX-License-Identifier: Apache-2.0
"""Tables of the Rounds page: earlier rounds, and what a demonstration came to."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from ..look.icons import icon
from ..work.news import DemoScored
from .history import COLUMNS, PastRound

Index = QModelIndex | QPersistentModelIndex
_PART = 1


class TextTable(QAbstractTableModel):
    """Rows of words under headings; told anew only where something has changed, so that a choice in it stays."""

    def __init__(self, headings: Sequence[str] = (), parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.headings = tuple(headings)
        self._rows: tuple[tuple[str, ...], ...] = ()

    def show_texts(self, headings: Sequence[str], rows: Sequence[tuple[str, ...]]) -> None:
        if (tuple(headings), tuple(rows)) != (self.headings, self._rows):
            self.beginResetModel()
            self.headings, self._rows = tuple(headings), tuple(rows)
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
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{self.headings[index.column()]}: {text}"
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return self.headings[section]
        return None


class PastRounds(TextTable):
    """Earlier rounds; the site's part has its icon before the word."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(COLUMNS, parent)
        self._rounds: list[PastRound] = []

    def show_rounds(self, rounds: list[PastRound]) -> None:
        self._rounds = rounds
        self.show_texts(COLUMNS, [row.texts for row in rounds])

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if role == Qt.ItemDataRole.DecorationRole and index.isValid() and index.column() == _PART:
            row = self._rounds[index.row()]
            return icon(row.icon, row.tone or "dim")
        return super().data(index, role)


class DemoScores(TextTable):
    """One line for each model, one column for all sites and each of them."""

    def show_scores(self, scored: DemoScored) -> None:
        columns = list(dict.fromkeys(column for row in scored.rows.values() for column in row))
        rows = [
            (name, *(f"{row[column]:.3f}" if column in row else "–" for column in columns))
            for name, row in scored.rows.items()
        ]
        self.show_texts([self.tr("Model"), *columns], rows)
