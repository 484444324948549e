# SPDX-License-Identifier: Apache-2.0
"""The five deadlines of a federation, all on one screen."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import QWidget

from ...wording import tr
from ..widgets import Dialog, KeyValueRows


class DeadlinesDialog(Dialog):
    """Made once; `show_deadlines` fills and opens it."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(
            parent,
            tr("Deadlines"),
            tr(
                "The federation's specification sets them, the same for all sites. A round closes once all sites have "
                "answered, or when it need not wait any longer for the rest."
            ),
            least=520,
        )
        self.rows = KeyValueRows()
        self.column.addWidget(self.rows)
        self.column.addWidget(self.closing_button())

    def show_deadlines(self, rows: Sequence[tuple[str, str]]) -> None:
        self.rows.show_pairs(rows)
        self.open()
