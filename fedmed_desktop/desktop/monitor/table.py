# SPDX-License-Identifier: Apache-2.0
"""The charts' numbers as a table: every step, and what was measured before and after each round's training."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import numpy as np
from PySide6.QtCore import QAbstractTableModel, QModelIndex, Qt
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from ...wording import later, moment, tr, written
from ..charts.columns import NAN, Numbers
from ..charts.scales import number
from ..look import theme
from ..widgets.icon import Restyled
from ..widgets.table import ROW_PX, Index
from ..work.scored import headline_name
from .figures import ALONE, FIELDS, MOMENTS, SCORES, Table

# field -> (heading, digits after the point; None: as `number` writes it)
_COLUMNS: Final[dict[str, tuple[str, int | None]]] = {
    "round": (later("Round"), 0),
    "step": (later("Step"), 0),
    "moment": (later("Moment"), None),
    "time": (later("Time"), None),
    "training_loss": (later("Training loss"), 4),
    "validation_loss": (later("Validation loss"), 4),
    ALONE: (later("Score"), 3),
    **dict.fromkeys(SCORES, ("", 3)),  # headed by their task
    "drift_model": (later("Model drift"), 3),
    "drift_performance": (later("Performance drift"), 3),
    "drift_semantic": (later("Semantic drift"), 3),
    "drift_combined": (later("Combined drift"), 3),
    "rank": (later("Rank"), 0),
    "learning_rate": (later("Learning rate"), None),
    "tokens_per_second": (later("Tokens/s"), 0),
    "memory_mib": (later("Memory, MiB"), 0),
}
_NAMES: Final = tuple(_COLUMNS)


class CurvesModel(QAbstractTableModel):
    """Rows are added where only rows were added, so that a person reading in the table keeps the place."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._table = Table(np.empty((0, len(FIELDS))), np.empty(0, np.int8))

    def show_table(self, table: Table) -> None:
        old, count = self._table, len(self._table)
        grew = len(table) >= count and np.array_equal(table.moments[:count], old.moments)
        if grew and np.array_equal(table.values[:count], old.values, equal_nan=True):
            if len(table) > count:
                self.beginInsertRows(QModelIndex(), count, len(table) - 1)
                self._table = table
                self.endInsertRows()
            return
        self.beginResetModel()
        self._table = table
        self.endResetModel()

    def column(self, field: str) -> Numbers:
        """All values of a field, NaN where not measured."""
        values: Numbers = self._table.values[:, FIELDS.index(field)]
        return values

    def is_unmeasured(self, column: int) -> bool:
        name = _NAMES[column]
        return name != "moment" and not np.isfinite(self.column(name)).any()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._table)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(_NAMES)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return _heading(_NAMES[section])
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(_NAMES[section])
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        name = _NAMES[index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            return self._word(name, index.row())
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(name)
        if role == Qt.ItemDataRole.UserRole:
            return NAN if name == "moment" else float(self.column(name)[index.row()])
        return None

    def _word(self, name: str, row: int) -> str:
        if name == "moment":
            return tr(MOMENTS[int(self._table.moments[row])])
        value, digits = float(self.column(name)[row]), _COLUMNS[name][1]
        if value != value:
            return "–"
        if name == "time":
            return moment(datetime.fromtimestamp(value).astimezone(), "stamp")
        return number(value) if digits is None else written(value, f",.{digits}f")


def _heading(name: str) -> str:
    return headline_name(SCORES[name], several=True) if name in SCORES else tr(_COLUMNS[name][0])


def _alignment(name: str) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignLeft if name in ("round", "step", "moment", "time") else Qt.AlignmentFlag.AlignRight
    return side | Qt.AlignmentFlag.AlignVCenter


class CurvesView(Restyled, QTableView):
    """The table. Scrolls both ways; columns that nobody has measured are left out."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.curves_model = CurvesModel(self)
        self.setModel(self.curves_model)
        self.setAccessibleName(self.tr("Numbers of the charts"))
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.verticalHeader().hide()
        self.horizontalHeader().setHighlightSections(False)
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        self.restyle()

    def show_table(self, table: Table, is_following: bool) -> None:
        self.curves_model.show_table(table)
        for column in range(self.curves_model.columnCount()):
            self.setColumnHidden(column, self.curves_model.is_unmeasured(column))
        if is_following:
            self.scrollToBottom()

    def restyle(self) -> None:
        self.verticalHeader().setMinimumSectionSize(1)
        self.verticalHeader().setDefaultSectionSize(theme.px(ROW_PX - 5))
        metrics, heading = self.fontMetrics(), self.horizontalHeader()
        samples = {"moment": max(map(tr, MOMENTS), key=len), "time": "2026-00-00 00:00:00"}
        for column, name in enumerate(_NAMES):
            least = metrics.horizontalAdvance(samples.get(name, "0,000.0")) + theme.gap(24)
            self.setColumnWidth(column, max(least, heading.sectionSizeHint(column) + theme.gap(12)))
