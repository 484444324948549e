# SPDX-License-Identifier: Apache-2.0
"""A fault of the program, told once: what it means for the person first, the traceback behind a button."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QDialog, QHBoxLayout, QPlainTextEdit, QVBoxLayout, QWidget

from ..look import theme
from ..widgets import Button, Heading, PrimaryButton, Sentence
from ..work.news import Problem


class FaultDialog(QDialog):
    """Says that the program is at fault, that nothing was sent by it, and where the details are kept."""

    def __init__(self, parent: QWidget, problem: Problem, log: Path) -> None:
        super().__init__(parent)
        self.problem = problem
        self.setWindowTitle(self.tr("The program has a fault"))
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.gap(24), theme.gap(24), theme.gap(24), theme.gap(24))
        column.setSpacing(theme.gap(12))
        sentence = Sentence(problem.sentence)
        sentence.setMinimumWidth(theme.px(420))
        column.addWidget(Heading(self.tr("The program has a fault"), 2))
        column.addWidget(sentence)
        column.addWidget(Sentence(self.tr("The details are in the log file, {path}").format(path=log)))
        self._details = QPlainTextEdit(problem.details)
        self._details.setReadOnly(True)
        self._details.setAccessibleName(self.tr("Details for the people who maintain the program"))
        self._details.setMinimumHeight(theme.px(200))
        self._details.hide()
        column.addWidget(self._details, 1)
        row = QHBoxLayout()
        self.show_details = Button(self.tr("Show details"))
        self.show_details.clicked.connect(self._show)
        copy = Button(self.tr("Copy details"))
        copy.clicked.connect(self._copy)
        close = PrimaryButton(self.tr("Close"))
        close.setDefault(True)
        close.clicked.connect(self.accept)
        row.addWidget(self.show_details)
        row.addWidget(copy)
        row.addStretch(1)
        row.addWidget(close)
        column.addLayout(row)

    @Slot()
    def _show(self) -> None:
        self._details.show()
        self.show_details.setEnabled(False)

    @Slot()
    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(f"{self.problem.sentence}\n\n{self.problem.details}")
