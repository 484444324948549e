# SPDX-License-Identifier: Apache-2.0
"""The small cards beside the charts: what training costs, what was moved, and what it is worth."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize
from PySide6.QtWidgets import QVBoxLayout, QWidget

from ..look import theme
from ..widgets import Caption, Card, KeyValueRows, Spaced
from ..widgets.facts import FigureCard
from .summary import Figures

WIDTH_PX = 216


class MonitorCards(Spaced):
    """Small cards beside the charts, as narrow as their numbers allow."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.speed = FigureCard(self.tr("Speed"), WIDTH_PX)
        self.memory = FigureCard(self.tr("Most memory used"), WIDTH_PX)
        self.moved = FigureCard(self.tr("Sent / received"), WIDTH_PX)
        self.rate = FigureCard(self.tr("Step size (learning rate)"), WIDTH_PX)
        self._scores_name, self.scores = Caption(wrap=True), KeyValueRows()
        self.scores_card = Card(least=WIDTH_PX)
        self.scores_card._lay(self.scores_card.content, (20, 12, 20, 8), 4)
        self.scores_card.add(self._scores_name)
        self.scores_card.add(self.scores)
        self._earlier_name, self.earlier = Caption(wrap=True), KeyValueRows()
        self.earlier_card = Card(least=WIDTH_PX)
        self.earlier_card._lay(self.earlier_card.content, (20, 12, 20, 8), 4)
        self.earlier_card.add(self._earlier_name)
        self.earlier_card.add(self.earlier)
        self.earlier_card.hide()
        column = QVBoxLayout(self)
        self._lay(column, (0, 0, 0, 0), 12)
        for card in (self.speed, self.memory, self.moved, self.rate):
            column.addWidget(card, 1)
        column.addWidget(self.scores_card)
        column.addWidget(self.earlier_card)
        column.addStretch(0)

    def show_figures(self, found: Figures) -> None:
        """Texts that have not changed are left alone: setting them would lay out the page again."""
        self.speed.show_value(*found.speed)
        self.memory.show_value(*found.memory)
        self.moved.show_value(*found.moved)
        self.rate.show_value(*found.rate)
        self.scores_card.setVisible(bool(found.scores))
        self.scores_card.setToolTip(found.scores_of)
        self.scores_card.setAccessibleName(f"{found.scores_name}. {found.scores_of}")
        changed = self._scores_name.text() != found.scores_name
        if found.scores and (changed or self.scores.values() != [value for _, value in found.scores]):
            self._scores_name.setText(found.scores_name)
            self.scores.show_pairs(found.scores)

    def show_earlier(self, name: str, rows: Sequence[tuple[str, str]]) -> None:
        """Scores of an earlier federation and the present one, after as many rounds; hidden without rows."""
        self.earlier_card.setVisible(bool(rows))
        self.earlier_card.setAccessibleName(name)
        changed = self._earlier_name.text() != name
        if rows and (changed or self.earlier.values() != [value for _, value in rows]):
            self._earlier_name.setText(name)
            self.earlier.show_pairs(rows)

    def minimumSizeHint(self) -> QSize:
        return super().minimumSizeHint().expandedTo(QSize(theme.px(WIDTH_PX), 0))

    def sizeHint(self) -> QSize:
        return QSize(self.minimumSizeHint().width(), super().sizeHint().height())
