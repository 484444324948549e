# SPDX-License-Identifier: Apache-2.0
"""Choice of what is asked about the note: the task and, for a question, its words and the answers to choose from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QLineEdit, QVBoxLayout, QWidget

from ...scores import TaskName
from ..look.fields import Choice
from ..widgets import Label, Row, Sentence, Spaced
from ..widgets.field import ChoiceBox
from ..widgets.labels import set_tone
from .asked_note import asked_options

USUAL_OPTIONS = "yes | no | maybe"


class TaskPanel(Spaced):
    """`changed`: another task, or another question."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.box = ChoiceBox(self.tr("Task"))
        self.box.chosen.connect(self._chosen)
        self.question, self.options = QLineEdit(), QLineEdit(USUAL_OPTIONS)
        self.question.setPlaceholderText(self.tr("Does the note say that …?"))
        self.question.setAccessibleName(self.tr("Question about the note"))
        self.options.setAccessibleName(self.tr("Answers to choose from, with | between them"))
        for line in (self.question, self.options):
            line.textEdited.connect(self.changed)
        self.fault = Sentence(tone="bad")
        self.fault.hide()
        column = QVBoxLayout(self)
        self._lay(column, (0, 0, 0, 0), 8)
        self._asks = Spaced()
        asks = QVBoxLayout(self._asks)
        self._asks._lay(asks, (0, 0, 0, 0), 8)
        self._head = _labelled(self.tr("&Task"), self.box)
        asks.addWidget(_labelled(self.tr("&Question"), self.question))
        asks.addWidget(_labelled(self.tr("&Answers"), self.options))
        for part in (self._head, self._asks, self.fault):
            column.addWidget(part)
        self.show_tasks([])

    def show_tasks(self, tasks: Sequence[Choice]) -> None:
        """Hidden where there is nothing to choose."""
        before = self.task
        self.box.show_choices(tasks, "entities")
        if not self.box.key() and tasks:
            self.box.choose(tasks[0].key)
        if self.task != before:
            self.changed.emit()
        self._head.setVisible(len(tasks) > 1)
        self._show()

    @property
    def task(self) -> TaskName:
        return cast(TaskName, self.box.key() or "entities")

    def asked(self) -> tuple[str, tuple[str, ...]]:
        """Question and options of the task that asks one; nothing of the others. Raises UserFacingError."""
        if self.task != "questions":
            return "", ()
        return asked_options(self.question.text(), self.options.text())

    @property
    def at_fault(self) -> QLineEdit:
        """The line that a fault is about."""
        return self.options if self.question.text().strip() else self.question

    def show_fault(self, sentence: str) -> None:
        self.fault.setText(sentence)
        self.fault.setVisible(bool(sentence))
        for line in (self.question, self.options):
            line.setAccessibleDescription(sentence if line is self.at_fault else "")
            set_tone(line, "fault", bool(sentence) and line is self.at_fault)

    @Slot()
    def _chosen(self) -> None:
        self.show_fault("")
        self._show()
        self.changed.emit()

    def _show(self) -> None:
        self._asks.setVisible(self.task == "questions")
        self.setVisible(not self._head.isHidden() or self.task == "questions")


def _labelled(words: str, field: QWidget) -> Row:
    label = Label(words, tone="dim")
    label.setBuddy(field)
    row = Row(spacing=12)
    row.add(label)
    row.add(field, 1)
    return row
