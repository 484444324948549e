# SPDX-License-Identifier: Apache-2.0
"""The answer of one side of Try it to a task other than entities."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QVBoxLayout, QWidget

from ..widgets import Caption, Label, Sentence, Spaced
from ..widgets.bars import Bars, BarValue
from ..widgets.layout import fit_rows
from .answers import AnswerView

NAME_TENTHS = 7


class AnswerPanel(Spaced):
    """Hidden while there is no answer."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        self._lay(column, (0, 0, 0, 0), 8)
        self.sentence = Sentence(tone="ink")
        self.bars = Bars(NAME_TENTHS)
        self.about = Caption(wrap=True)
        self.lines: list[Label] = []
        self._column = QVBoxLayout()
        self._column.setSpacing(4)
        self.text = Label(wrap=True)
        self.text.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        for part in (self.sentence, self.bars, self.about, self.text):
            column.addWidget(part)
        column.addLayout(self._column)
        self.show_answer(None)

    def show_answer(self, view: AnswerView | None) -> None:
        self.setVisible(view is not None)
        shown = view or AnswerView("")
        self.sentence.setText(shown.sentence)
        self.bars.show_bars([BarValue(bar.name, bar.text, bar.share, bar.chosen) for bar in shown.bars])
        self.bars.setVisible(bool(shown.bars))
        self.about.setText(shown.about)
        self.about.setVisible(bool(shown.about))
        self.text.setText(shown.text)
        self.text.setVisible(bool(shown.text))
        fit_rows(self.lines, len(shown.lines), self._column, lambda: Label(wrap=True))
        for label, line in zip(self.lines, shown.lines, strict=True):
            label.setText(line)
