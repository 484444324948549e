# SPDX-License-Identifier: Apache-2.0
"""The five deadlines of a federation, all on one screen."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import QWidget

from ...wording import tr
from ..widgets import Dialog, Table, TextTable
from .deadlines import COLUMNS


class DeadlinesDialog(Dialog):
    """Made once; `show_deadlines` fills and opens it."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(
            parent,
            tr("Deadlines"),
            tr("A round closes once all sites have answered, or when it need not wait any longer for the rest."),
            least=500,
        )
        self.model = TextTable(self)
        self.table = Table(tr("Deadlines"))
        self.table.setModel(self.model)
        self.column.addWidget(self.table)
        self.column.addWidget(self.closing_button())

    def show_deadlines(self, rows: Sequence[tuple[str, ...]]) -> None:
        self.model.show_texts([tr(name) for name in COLUMNS], rows)
        self.open()
