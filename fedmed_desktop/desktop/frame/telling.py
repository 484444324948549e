# SPDX-License-Identifier: Apache-2.0
"""Reporting of errors to the person: a fault of the program in a dialog, any other as a sentence in the window."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, QUrl, Slot
from PySide6.QtGui import QDesktopServices

from ..work.log import log
from ..work.news import Problem
from .dialogs import FaultDialog
from .window import Window


class Teller(QObject):
    """Tells the person of faults, in the GUI thread. The same fault again (a page that cannot be drawn fails ten times
    a second) is only logged.
    """

    def __init__(self, window: Window, log_path: Path) -> None:
        super().__init__(window)
        self._window = window
        self._log_path = log_path
        self._known: set[tuple[str, str]] = set()
        self._dialog: FaultDialog | None = None
        self._waiting: list[Problem] = []
        self.faults: list[Problem] = []  # each that a dialog has told or will tell

    @property
    def dialog(self) -> FaultDialog | None:
        """The fault that is on the screen."""
        return self._dialog

    def tell(self, problem: Problem) -> None:
        if problem.code != "desktop.fault":
            log.error("%s", problem.sentence)
            if not problem.fatal:
                self._window.say(problem.sentence)
            return
        place = (str(problem.params.get("kind")), _where(problem.details))
        if place in self._known:
            return
        self._known.add(place)
        log.error("%s\n%s", problem.sentence, problem.details)
        self.faults.append(problem)
        self._waiting.append(problem)
        self._next()

    @Slot()
    def open_log(self) -> None:
        """Opens the log in the system's own program for text."""
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._log_path)))

    @Slot()
    def _next(self) -> None:
        if self._dialog is not None or not self._waiting:
            return
        self._dialog = FaultDialog(self._window, self._waiting.pop(0), self._log_path)
        self._dialog.finished.connect(self._told)
        self._dialog.open()

    @Slot()
    def _told(self) -> None:
        if self._dialog is not None:
            self._dialog.deleteLater()
            self._dialog = None
        self._next()


def _where(details: str) -> str:
    """The innermost place in a traceback."""
    places = [line.strip() for line in details.splitlines() if line.strip().startswith("File ")]
    return places[-1] if places else details
