# SPDX-License-Identifier: Apache-2.0
"""Parts of the form: things to tick, one of several under a name, and what is said below them."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QVBoxLayout, QWidget

from ...scores import TASKS, TaskName
from ...wording import task_name, tr
from ..look.fields import EMPTY, Choice, Verdict
from ..widgets import Caption, Flow, Icon, Label, Spaced
from ..widgets.field import ChoiceBox
from ..widgets.labels import Weight


class Below(Spaced):
    """Words about the choice above them: a hint, or a verdict with its icon. Hidden while there is neither."""

    def __init__(self, hint: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._hint = hint
        self.verdict = EMPTY
        row = QHBoxLayout(self)
        self._lay(row, (0, 0, 0, 0), 6)
        self._icon, self._words = Icon("warning", "bad", 16), Caption(wrap=True)
        row.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self._words, 1)
        self._tell(EMPTY)
        if not hint:  # with one it is shown together with what it stands in
            self.hide()

    def show_verdict(self, verdict: Verdict) -> None:
        self._tell(verdict)
        self.setVisible(bool(self._words.text()))

    def _tell(self, verdict: Verdict) -> None:
        self.verdict = verdict
        is_told = verdict.warns or verdict.state == "wrong"
        self._icon.show_icon(
            "warning" if verdict.state == "wrong" else "info", "bad" if verdict.state == "wrong" else "dim"
        )
        self._icon.setVisible(is_told)
        self._words.set_tone("bad" if verdict.state == "wrong" else "dim")
        self._words.setText(verdict.sentence or self._hint)

    def text(self) -> str:
        return self._words.text()


class NamedChoice(Spaced):
    """One of several things, under a name, with a sentence below it."""

    chosen = Signal()

    def __init__(self, name: str, choices: Mapping[str, str], hint: str = "", parent: QWidget | None = None) -> None:
        """`choices`: words by key; the first one is chosen."""
        super().__init__(parent)
        column = QVBoxLayout(self)
        self._lay(column, (0, 0, 0, 0), 4)
        label, self.box = Label(name, weight=Weight.Medium), ChoiceBox(name)
        label.setBuddy(self.box)
        self.box.show_choices([Choice(key, tr(words)) for key, words in choices.items()], next(iter(choices)))
        self.box.currentIndexChanged.connect(self.chosen)
        self.below = Below(hint)
        for widget in (label, self.box, self.below):
            column.addWidget(widget)

    def key(self) -> str:
        return self.box.key()


class TaskTicks(Spaced):
    """Tasks to learn: boxes to tick, one at least."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        self._lay(column, (0, 0, 0, 0), 4)
        self.boxes: dict[TaskName, QCheckBox] = {name: QCheckBox(task_name(name)) for name in TASKS}
        self.boxes["entities"].setChecked(True)
        for box in self.boxes.values():
            box.toggled.connect(self.changed)
        self.below = Below()
        column.addWidget(Label(self.tr("Tasks"), weight=Weight.Medium))
        column.addWidget(Flow(*self.boxes.values(), spacing=12))
        column.addWidget(self.below)

    def chosen(self) -> frozenset[TaskName]:
        return frozenset(name for name, box in self.boxes.items() if box.isChecked())
