# SPDX-License-Identifier: Apache-2.0
"""A window of its own above another one."""

from __future__ import annotations

from PySide6.QtWidgets import QDialog, QVBoxLayout, QWidget

from ...wording import tr
from ..look import theme
from .buttons import PrimaryButton
from .labels import Heading, Sentence


class Dialog(QDialog):
    """A title and sentences, at least `least` px wide at text scale 1; more is added to `column`."""

    def __init__(self, parent: QWidget, title: str, *sentences: str, least: int = 420) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(*[theme.gap(24)] * 4)
        self.column.setSpacing(theme.gap(12))
        self.column.addWidget(Heading(title, 2))
        for text in sentences:
            sentence = Sentence(text)
            sentence.setMinimumWidth(theme.px(least))
            self.column.addWidget(sentence)

    def closing_button(self) -> PrimaryButton:
        button = PrimaryButton(tr("Close"))
        button.setDefault(True)
        button.clicked.connect(self.accept)
        return button
