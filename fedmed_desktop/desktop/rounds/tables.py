# SPDX-License-Identifier: Apache-2.0
"""Tables of the Rounds page: earlier rounds, and what a demonstration came to."""

from __future__ import annotations

from PySide6.QtCore import QObject, Qt

from ...wording import tr
from ..look.icons import icon
from ..widgets.text_table import Index, TextTable
from ..work.news import DemoScored
from .history import COLUMNS, PastRound

_PART = 1


class PastRounds(TextTable):
    """Earlier rounds; the site's part has its icon before the word."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__([tr(name) for name in COLUMNS], parent)
        self._rounds: list[PastRound] = []

    def show_rounds(self, rounds: list[PastRound]) -> None:
        self._rounds = rounds
        self.show_texts([tr(name) for name in COLUMNS], [row.texts for row in rounds])

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
