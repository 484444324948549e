# SPDX-License-Identifier: Apache-2.0
"""Layer by layer: a sentence, and a table of the modules that sorts by any column."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QSortFilterProxyModel, Qt
from PySide6.QtWidgets import QWidget

from ...wording import tr
from ..widgets import Caption, Card, Sentence, Table
from ..widgets.labels import plain_tip
from ..widgets.table import Index
from .layers import COLUMNS, LayerRow, Layers

MOST_ROWS = 12


class LayersModel(QAbstractTableModel):
    """Rows as they were measured; `UserRole` has the number behind a text, to sort by."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.rows: tuple[LayerRow, ...] = ()

    def show_rows(self, rows: Sequence[LayerRow]) -> None:
        if tuple(rows) != self.rows:
            self.beginResetModel()
            self.rows = tuple(rows)
            self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008  # Qt's own signature
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(COLUMNS)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if not index.isValid():
            return None
        row, column = self.rows[index.row()], index.column()
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return row.texts[column]
            case Qt.ItemDataRole.UserRole:
                return row.values[column]
            case Qt.ItemDataRole.ToolTipRole:
                return plain_tip(row.name)
            case Qt.ItemDataRole.AccessibleTextRole:
                return f"{tr(COLUMNS[column])}: {row.texts[column]}"
            case _:
                return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if orientation != Qt.Orientation.Horizontal:
            return None
        return tr(COLUMNS[section]) if role == Qt.ItemDataRole.DisplayRole else None


class LayersCard(Card):
    """Hidden until it is asked for; `has_rows` says whether there is anything to ask for."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(self.tr("Layer by layer"), parent=parent)
        self._lay(self.content, (20, 14, 20, 14), 8)
        self.sentence = Sentence(tone="ink")
        self.layers_model = LayersModel(self)
        self._sorted = QSortFilterProxyModel(self)
        self._sorted.setSourceModel(self.layers_model)
        self._sorted.setSortRole(Qt.ItemDataRole.UserRole)
        self.table = Table(self.tr("Layer by layer"), most_rows=MOST_ROWS)
        self.table.setModel(self._sorted)
        self.table.let_sort()
        self.add(self.sentence)
        self.add(self.table)
        self.add(
            Caption(
                self.tr(
                    "Layers are numbered from the input onwards. Norm: how large the change is. Click a heading to "
                    "sort."
                ),
                wrap=True,
            )
        )

    @property
    def has_rows(self) -> bool:
        return bool(self.layers_model.rows)

    def show_layers(self, found: Layers) -> None:
        self.sentence.setText(found.sentence)
        self.layers_model.show_rows(found.rows)
