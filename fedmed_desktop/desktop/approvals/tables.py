# SPDX-License-Identifier: Apache-2.0
"""Tables of the Approvals page: every number that leaves; decisions and receipts."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt

from ..look.icons import icon
from ..widgets.text_table import Index, TextTable
from .receipts import COLUMNS, ReceiptRow

_DECISION = COLUMNS.index("Decision")


class Numbers(TextTable):
    """Names and values; what is too long for its column is whole in the tool tip."""

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if role == Qt.ItemDataRole.ToolTipRole:
            return super().data(index, Qt.ItemDataRole.DisplayRole)
        return super().data(index, role)


class Receipts(Numbers):
    """The record of decisions; each decision has its icon before the word."""

    _shown: tuple[ReceiptRow, ...] = ()

    def show_receipts(self, headings: Sequence[str], rows: tuple[ReceiptRow, ...]) -> None:
        self._shown = rows
        self.show_texts(headings, [row.cells for row in rows])

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if role == Qt.ItemDataRole.DecorationRole and index.isValid() and index.column() == _DECISION:
            return icon(self._shown[index.row()].icon, "dim")
        return super().data(index, role)
