# SPDX-License-Identifier: Apache-2.0
"""The answer of one side of Try it to a task other than entities."""

from __future__ import annotations

from PySide6.QtCore import QItemSelection, Signal, Slot
from PySide6.QtWidgets import QVBoxLayout, QWidget

from ..widgets import Caption, Sentence, Spaced
from ..widgets.bars import Bars, BarValue
from ..widgets.table import Table, TextTable
from .answers import AnswerView, LinkRow
from .copied_text import CopiedText

SENTENCE_TENTHS = 7  # of the width: what is beside these bars is a whole sentence


class AnswerPanel(Spaced):
    """Hidden while there is no answer. `link_chosen`: the row of a modifier has been chosen, or none (None)."""

    link_chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        self._lay(column, (0, 0, 0, 0), 8)
        self.sentence = Sentence(tone="ink")
        self.bars = Bars(SENTENCE_TENTHS)
        self.about = Caption(wrap=True)
        self.links = Table(self.tr("Modifiers and the entities that they belong to"))
        self.links.setModel(TextTable(self.links))
        self.links.selectionModel().selectionChanged.connect(self._chosen)
        self._rows: tuple[LinkRow, ...] = ()
        self.text = CopiedText(self.tr("Summary"), grows=True)
        for part in (self.sentence, self.bars, self.about, self.links, self.text):
            column.addWidget(part)
        self.links.hide()
        self.show_answer(None)

    def show_answer(self, view: AnswerView | None) -> None:
        self.setVisible(view is not None)
        shown = view or AnswerView("")
        self.sentence.setText(shown.sentence)
        self.bars.show_bars([BarValue(bar.name, bar.text, bar.share, bar.chosen) for bar in shown.bars])
        self.bars.setVisible(bool(shown.bars))
        self.about.setText(shown.about)
        self.about.setVisible(bool(shown.about))
        self.text.show_text(shown.text)
        self.text.setVisible(bool(shown.text))
        self._show_links(shown.links)

    def _show_links(self, rows: tuple[LinkRow, ...]) -> None:
        if rows == self._rows:
            return
        self._rows = rows
        model = self.links.model()
        assert isinstance(model, TextTable)
        headings = self.tr("Entity"), self.tr("Kind"), self.tr("Modifier")
        model.show_texts(headings, [row.texts for row in rows])
        self.links.setVisible(bool(rows))
        self.link_chosen.emit(None)

    @Slot(QItemSelection, QItemSelection)
    def _chosen(self, now: QItemSelection, _before: QItemSelection) -> None:
        at = now.indexes()[0].row() if not now.isEmpty() else -1
        self.link_chosen.emit(self._rows[at].link if 0 <= at < len(self._rows) else None)
