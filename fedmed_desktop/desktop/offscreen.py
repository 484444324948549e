# SPDX-License-Identifier: Apache-2.0
"""The demonstration without a person: the same windows, drawn offscreen; the demo's rule decides, pictures remain."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Final

from PySide6.QtCore import QObject, Slot
from PySide6.QtGui import QImageWriter

from ..demo.settings import DEMO_RULE
from ..errors import UserFacingError
from ..site import Verdict
from .program import Program

SIZE: Final = (1280, 720)
TURNS: Final = 5


class Recorder(QObject):
    """Approves by rule whatever waits, after its sheet was drawn; closes the program when the demonstration is over.

    A page that has just been turned to is laid out over some turns of the event loop before its picture is taken.
    `problem`: why there is no result, or what could not be written; to be raised once the program has closed.
    """

    def __init__(self, program: Program, report: Path) -> None:
        super().__init__(program)
        self._program = program
        self._report = report
        self._todo: list[str] = []
        self._turns = 0
        self._pictured: tuple[str, int] | None = None
        self._answered: tuple[str, int] | None = None
        self._over = False
        self.problem: UserFacingError | None = None
        program.window.resize(*SIZE)
        program.taken.connect(self._look)

    @Slot()
    def _look(self) -> None:
        desk, window = self._program.desk, self._program.window
        self._turns = self._turns + 1 if self._todo and window.page == self._todo[0] else 0
        if self._turns == TURNS:
            self._picture(self._report / f"{self._todo.pop(0)}.png")
            self._turns = 0
        if self._todo:
            window.go(self._todo[0])
            return
        self._answer()
        if desk.ended and not self._over:
            self._over = True
            self._todo = ["monitor"]
        elif desk.ended:
            self._end()

    def _answer(self) -> None:
        """Pictures first, then the answer; once for each question, and a round without a quorum asks it again."""
        desk, question = self._program.desk, self._question()
        asked = desk.entry(question[0]) if question else None
        if question is None:
            self._pictured = self._answered = None
        elif asked and question != self._pictured:
            self._pictured = question
            # The last one holds scores only; the pictures show an adapter.
            self._todo = ["approvals", "rounds"] if asked.update.parts else []
        elif asked and question != self._answered:
            self._answered = question
            rule = Verdict(approve=True, by="rule", reason=DEMO_RULE, delay=timedelta(0))
            self._program.engine.decide(asked.sha256, rule)

    def _question(self) -> tuple[str, int] | None:
        """The update asked for, and how often it was decided before: a question may go and return between looks."""
        desk = self._program.desk
        if desk.asked is None:
            return None
        return desk.asked, sum(decision.sha256 == desk.asked for decision in desk.record.decisions)

    def _picture(self, path: Path) -> None:
        """Writes a picture; a failure is told at the end, since the demonstration has a report beside its pictures."""
        writer = QImageWriter(str(path), b"png")
        if not writer.write(self._program.window.grab().toImage()):
            self.problem = UserFacingError("desktop.not_written", path=str(path), reason=writer.errorString())

    def _end(self) -> None:
        if fatal := self._program.desk.fatal:
            self.problem = UserFacingError(fatal.code, retryable=False, **fatal.params)
        self._program.close()
