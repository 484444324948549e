# SPDX-License-Identifier: Apache-2.0
"""One question with two verbs. The default, and Escape, is the one that changes nothing."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QVBoxLayout, QWidget

from ..look import theme
from ..widgets import Button, Heading, Sentence


class Question(QDialog):
    """`open` it; `confirmed` is emitted if the person chose to. `yes` and `no` are verbs, never Yes and No."""

    confirmed = Signal()

    def __init__(self, parent: QWidget, title: str, text: str, *, yes: str, no: str) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.gap(24), theme.gap(24), theme.gap(24), theme.gap(24))
        column.setSpacing(theme.gap(12))
        sentence = Sentence(text)
        sentence.setMinimumWidth(theme.px(360))
        column.addWidget(Heading(title, 2))
        column.addWidget(sentence)
        box = QDialogButtonBox()
        self.no, self.yes = Button(no), Button(yes)
        box.addButton(self.yes, QDialogButtonBox.ButtonRole.AcceptRole)
        box.addButton(self.no, QDialogButtonBox.ButtonRole.RejectRole)
        self.no.setDefault(True)
        self.no.setFocus()
        column.addWidget(box)
        box.accepted.connect(self.accept)
        box.rejected.connect(self.reject)
        self.accepted.connect(self.confirmed)
