# SPDX-License-Identifier: Apache-2.0
"""Dialogs of the whole program: a question with two verbs, and a fault of the program."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal, Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QDialogButtonBox, QHBoxLayout, QPlainTextEdit, QWidget

from ...wording import tr
from ..look import theme
from ..widgets import Button, Dialog, Sentence
from ..work.news import Problem
from .questions import Words


class Question(Dialog):
    """`open` it; `confirmed` is emitted if the person chose to, `other_chosen` where there is a second verb. The
    default, and Escape, is the one that changes nothing.
    """

    confirmed = Signal()
    other_chosen = Signal()

    def __init__(self, parent: QWidget, words: Words) -> None:
        super().__init__(parent, words.title, words.text, least=360)
        box = QDialogButtonBox()
        self.no, self.yes = Button(words.no), Button(words.yes)
        self.other = Button(words.other, parent=self)
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


class FaultDialog(Dialog):
    """Says that the program is at fault, that nothing was sent by it, and where the details are kept. The traceback is
    behind a button.
    """

    def __init__(self, parent: QWidget, problem: Problem, log: Path) -> None:
        super().__init__(parent, tr("The program has a fault"), problem.sentence)
        self.problem = problem
        self.column.addWidget(Sentence(self.tr("The details are in the log file, {path}").format(path=log)))
        self._details = QPlainTextEdit(problem.details)
        self._details.setReadOnly(True)
        self._details.setAccessibleName(self.tr("Details for the people who maintain the program"))
        self._details.setMinimumHeight(theme.px(80))
        self._details.hide()
        self.column.addWidget(self._details, 1)
        row = QHBoxLayout()
        self.show_details = Button(self.tr("Show details"))
        self.show_details.clicked.connect(self._show)
        copy = Button(self.tr("Copy details"))
        copy.clicked.connect(self._copy)
        row.addWidget(self.show_details)
        row.addWidget(copy)
        row.addStretch(1)
        row.addWidget(self.closing_button())
        self.column.addLayout(row)

    @Slot()
    def _show(self) -> None:
        self._details.show()
        self.show_details.setEnabled(False)

    @Slot()
    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(f"{self.problem.sentence}\n\n{self.problem.details}")
