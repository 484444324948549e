# SPDX-License-Identifier: Apache-2.0
"""Home page of the window: the rounds, the form to join, or the first run."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QStackedWidget, QWidget

from ..rounds.page import RoundsPage
from ..rounds.status import Status
from ..work.desk import Desk
from .late import Late

if TYPE_CHECKING:
    from ..join.page import JoinPage
    from ..welcome.page import WelcomePage

P = TypeVar("P", bound=QWidget)


class Home(QStackedWidget):
    """`folder` is the program's own: sites' folders are made in it. `added` carries a page that was made late."""

    added = Signal(object)

    def __init__(self, folder: Path, parent: QWidget) -> None:
        super().__init__(parent)
        self._folder = folder
        self.rounds = RoundsPage(self)
        self.addWidget(self.rounds)
        self.join = Late(self._make_join)
        self.welcome = Late(self._make_welcome)

    def _make_join(self) -> JoinPage:
        from ..join.page import JoinPage

        return self._add(JoinPage(self._folder / "sites", self))

    def _make_welcome(self) -> WelcomePage:
        from ..welcome.page import WelcomePage

        return self._add(WelcomePage(self._folder, self))

    def _add(self, page: P) -> P:
        self.addWidget(page)
        self.added.emit(page)
        return page

    @property
    def page(self) -> str:
        """Name of what is shown, as the guide has it."""
        shown = self.currentWidget()
        return "rounds" if shown is self.rounds else "join" if shown is self.join.made else "first-run"

    def show_desk(self, desk: Desk, status: Status, now: datetime) -> None:
        if self.currentWidget() is self.rounds:
            self.rounds.show_desk(desk, now, status)
