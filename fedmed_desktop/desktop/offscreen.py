# SPDX-License-Identifier: Apache-2.0
"""The demonstration without a person: the same windows, drawn offscreen; the demo's rule decides, pictures remain."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Final

from PySide6.QtCore import QObject, Slot

from ..demo.settings import DEMO_RULE
from ..errors import UserFacingError
from ..site import Verdict
from .program import Program

SIZE: Final = (1280, 720)
PICTURES: Final = ("rounds", "monitor", "approvals")


class Recorder(QObject):
    """Approves by rule whatever waits, after its sheet was drawn; closes the program when the demonstration is over."""

    def __init__(self, program: Program, report: Path) -> None:
        super().__init__(program)
        self._program = program
        self._report = report
        self._answered: set[str] = set()
        self._done = False
        self.problem: UserFacingError | None = None
        program.window.resize(*SIZE)
        program.taken.connect(self._look)

    @Slot()
    def _look(self) -> None:
        desk = self._program.desk
        asked = desk.entry(desk.asked) if desk.asked else None
        if asked and asked.sha256 not in self._answered:
            self._answered.add(asked.sha256)
            if asked.update.parts:  # the last one holds scores only; the picture shows an adapter
                self._picture("approvals")
                self._picture("rounds")
            verdict = Verdict(approve=True, by="rule", reason=DEMO_RULE, delay=timedelta(0))
            self._program.engine.decide(asked.sha256, verdict)
        if desk.ended and not self._done:
            self._done = True
            fatal = [problem for problem in desk.problems if problem.fatal]
            if fatal:
                self.problem = UserFacingError(fatal[-1].code, **fatal[-1].params)
            else:
                self._picture("monitor")
            self._program.close()

    def _picture(self, page: str) -> None:
        window = self._program.window
        window.go(page)
        window.show_now()
        self._report.mkdir(parents=True, exist_ok=True)
        window.grab().save(str(self._report / f"{page}.png"))
