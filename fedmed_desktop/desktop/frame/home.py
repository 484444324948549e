# SPDX-License-Identifier: Apache-2.0
"""Home page of the window: the rounds, the form to join, or the first run."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QStackedWidget, QWidget

from ..join.page import JoinPage
from ..rounds.page import RoundsPage
from ..rounds.status import Status
from ..work.desk import Desk

if TYPE_CHECKING:
    from ..welcome.page import WelcomePage


class Home(QStackedWidget):
    """`folder` is the program's own: sites' folders are made in it."""

    def __init__(self, folder: Path, parent: QWidget) -> None:
        super().__init__(parent)
        self._folder = folder
        self.rounds, self.join = RoundsPage(self), JoinPage(folder / "sites", self)
        self.addWidget(self.rounds)
        self.addWidget(self.join)

    @cached_property
    def welcome(self) -> WelcomePage:
        """Made where somebody starts for the first time."""
        from ..welcome.page import WelcomePage

        page = WelcomePage(self._folder, self)
        page.notes.report.tokens_of = self.join.report.tokens_of
        page.ask_torch = self.join.findings.ask_torch
        self.addWidget(page)
        return page

    @property
    def page(self) -> str:
        """Name of what is shown, as the guide has it."""
        shown = self.currentWidget()
        return "rounds" if shown is self.rounds else "join" if shown is self.join else "first-run"

    def show_desk(self, desk: Desk, status: Status, now: datetime) -> None:
        if self.currentWidget() is self.rounds:
            self.rounds.show_desk(desk, now, status)
