# SPDX-License-Identifier: Apache-2.0
"""Parts of a report on notes: sentences, each with the place where it holds."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from ..widgets import Caption, Icon, Sentence, Spaced
from ..widgets.helped import HelpedCard
from ..widgets.labels import TONE_ICONS
from ..widgets.layout import fit_rows
from .view import Told


class ToldRow(Spaced):
    """An icon, a sentence and, small, the rows that it is about."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        row = QHBoxLayout(self)
        self._lay(row, (0, 4, 0, 4), 10)
        self._icon = Icon("info", "dim", 16)
        self._sentence = Sentence(tone="ink")
        self._where = Caption(wrap=True)
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addWidget(self._sentence)
        words.addWidget(self._where)
        row.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(words, 1)

    def show_told(self, told: Told) -> None:
        self._icon.show_icon("info" if told.tone == "dim" else TONE_ICONS[told.tone], told.tone)
        self._sentence.setText(told.sentence)
        self._where.setText(told.where)
        self._where.setVisible(bool(told.where))

    def text(self) -> str:
        return " · ".join(filter(None, (self._sentence.text(), self._where.text())))


class ToldRows(QWidget):
    """Sentences one below the other."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(0)
        self.rows: list[ToldRow] = []

    def show_told(self, told: Sequence[Told]) -> None:
        fit_rows(self.rows, len(told), self._column, ToldRow)
        for row, one in zip(self.rows, told, strict=True):
            row.show_told(one)
        self.setVisible(bool(told))

    def texts(self) -> list[str]:
        return [row.text() for row in self.rows]


class NotesCard(HelpedCard):
    """A card with words that the guide explains on its page about notes."""

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(title, parent, "notes#what-the-words-mean")


class ToldCard(NotesCard):
    """Sentences under a title; hidden while there are none."""

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(title, parent)
        self.rows = ToldRows()
        self.add(self.rows)

    def show_told(self, told: Sequence[Told]) -> None:
        self.rows.show_told(told)
        self.setVisible(bool(told))
