# SPDX-License-Identifier: Apache-2.0
"""Dialog of the whole program: a fault of the program."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QHBoxLayout, QPlainTextEdit, QWidget

from ...wording import tr
from ..look import theme
from ..widgets import Button, Dialog, Sentence
from ..work.news import Problem


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
