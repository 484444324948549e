# SPDX-License-Identifier: Apache-2.0
"""Card that looks whether this computer can take part, and shows what was found, each thing with a sentence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from ...site.findings import Finding, Level
from ...site.preflight import Asked, findings, with_known_sizes
from ...wording import tr
from ...wording.findings import finding_line, subject
from ..widgets import Button, Card, Icon, Label, Sentence, Spaced, announce
from ..widgets.labels import Weight
from ..widgets.layout import fit_rows
from ..work.tasks import Task, run_task

_ICONS: Final[dict[Level, tuple[str, str]]] = {
    "ok": ("check", "ok"),
    "warning": ("warning", "warn"),
    "wrong": ("warning", "bad"),
}


class FindingRow(Spaced):
    """One finding: an icon, what was looked at, and the sentence below it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        row = QHBoxLayout(self)
        self._lay(row, (0, 4, 0, 4), 10)
        self._icon = Icon("check", "ok", 16)
        self._subject = Label(weight=Weight.Medium)
        self._sentence = Sentence()
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(self._subject)
        words.addWidget(self._sentence)
        row.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(words, 1)

    def show_finding(self, finding: Finding) -> None:
        self._icon.show_icon(*_ICONS[finding.level])
        self._subject.setText(subject(finding))
        self._sentence.setText(finding_line(finding))
        self._sentence.set_tone("dim" if finding.level == "ok" else "ink")

    def text(self) -> str:
        return f"{self._subject.text()}: {self._sentence.text()}"


class FindingsCard(Card):
    """`wanted`: the button was pressed; the owner answers with `look`, or with `say` where something is missing first.

    `ask_torch` adds what torch alone can tell of a model. It is called beside the GUI thread and may take seconds.
    """

    wanted = Signal()
    reaching = Signal(str)  # an address that is about to be connected to

    def __init__(
        self,
        button: str,
        hint: str,
        ask_torch: Callable[[Asked], Asked] = lambda asked: asked,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent=parent)
        self._hint = hint
        self.ask_torch = ask_torch
        self._task: Task | None = None
        self.button = Button(button)
        self.button.clicked.connect(self.wanted)
        self.summary = Sentence(hint)
        self._column = QVBoxLayout()
        self._column.setSpacing(0)
        self.rows: list[FindingRow] = []
        self.content.addWidget(self.button, 0, Qt.AlignmentFlag.AlignLeft)
        self.add(self.summary)
        self.content.addLayout(self._column)
        self.setAccessibleName(button)

    def look(self, asked: Asked) -> None:
        """Begins to look; what was found is shown when all of it is known."""
        self.button.setEnabled(False)
        if asked.target is not None:
            self.reaching.emit(asked.target.address)
        self.say(self.tr("Looking… This takes some seconds; up to a minute where nothing answers."))
        self._task = run_task(self, partial(_look, asked, self.ask_torch), self._found, self._fault, self._task)

    def say(self, sentence: str) -> None:
        """A sentence in place of findings."""
        fit_rows(self.rows, 0, self._column, FindingRow)
        self.summary.setText(sentence)
        announce(self, sentence)

    @Slot()
    def forget(self) -> None:
        """Drops what was found, or is being looked for: it is about something that no longer counts."""
        if self._task is not None:
            self._task.drop()
            self._task = None
        self.button.setEnabled(True)
        fit_rows(self.rows, 0, self._column, FindingRow)
        self.summary.setText(self._hint)

    @Slot(object)
    def _found(self, found: Sequence[Finding]) -> None:
        self._task = None
        self.button.setEnabled(True)
        self.show_findings(found)

    def show_findings(self, found: Sequence[Finding]) -> None:
        """Shows the worst first."""
        worst_first = sorted(found, key=lambda finding: ("wrong", "warning", "ok").index(finding.level))
        wrong = sum(finding.level == "wrong" for finding in found)
        doubtful = sum(finding.level == "warning" for finding in found)
        if wrong:
            self.say(tr("%n thing(s) must be put right.", "", wrong))
        elif doubtful:
            self.say(tr("Nothing is wrong, but %n thing(s) should be looked at.", "", doubtful))
        else:
            self.say(self.tr("All is well."))
        fit_rows(self.rows, len(found), self._column, FindingRow)
        for row, finding in zip(self.rows, worst_first, strict=True):
            row.show_finding(finding)

    @Slot(object)
    def _fault(self, error: BaseException) -> None:
        """Raises a fault of the program, which a dialog then shows."""
        self.forget()
        raise error


def _look(asked: Asked, ask_torch: Callable[[Asked], Asked]) -> list[Finding]:
    """Looks at everything that is asked, on a thread of the pool."""
    asked = with_known_sizes(asked)
    return findings(ask_torch(asked) if asked.model else asked)
