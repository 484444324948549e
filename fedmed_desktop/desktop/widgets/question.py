# SPDX-License-Identifier: Apache-2.0
"""A question with two or three verbs, in a window above another one."""

from __future__ import annotations

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QDialogButtonBox, QWidget

from ..look.questions import Words
from .buttons import Button
from .dialog import Dialog


class Question(Dialog):
    """`open` it; `confirmed` is emitted if the person chose to, `other_chosen` where there is a second verb. The
    default, and Escape, is the one that changes nothing.
    """

    confirmed = Signal()
    other_chosen = Signal()

    def __init__(self, parent: QWidget, words: Words) -> None:
        super().__init__(parent, words.title, words.text, least=360)
        box = QDialogButtonBox()
        self.no, self.yes, self.other = Button(words.no), Button(words.yes), Button(words.other, parent=self)
        self.other.setVisible(bool(words.other))
        box.addButton(self.yes, QDialogButtonBox.ButtonRole.AcceptRole)
        box.addButton(self.no, QDialogButtonBox.ButtonRole.RejectRole)
        if words.other:
            box.addButton(self.other, QDialogButtonBox.ButtonRole.DestructiveRole)
        self.no.setDefault(True)
        self.no.setFocus()
        self.column.addWidget(box)
        box.accepted.connect(self.accept)
        box.rejected.connect(self.reject)
        self.accepted.connect(self.confirmed)
        self.other.clicked.connect(self._choose_other)

    @Slot()
    def _choose_other(self) -> None:
        self.reject()
        self.other_chosen.emit()
