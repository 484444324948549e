# SPDX-License-Identifier: Apache-2.0
"""Pages of the window, one on top. Rounds is there from the start; each other one is made at its first need, since it
takes a twentieth of a second that the first paint can spare. `then` of a page says what becomes of it when it is made.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QStackedWidget, QWidget

from ..trial.choices import best_adapter
from ..work.desk import Desk
from .home import Home
from .late import Late

if TYPE_CHECKING:
    from ..approvals.page import ApprovalsPage
    from ..experiment.page import ExperimentPage
    from ..history.page import HistoryPage
    from ..monitor.page import MonitorPage
    from ..notes.page import NotesPage
    from ..settings.page import SettingsPage
    from ..trial.page import TrialPage

P = TypeVar("P", bound=QWidget)


class Pages(QStackedWidget):
    """`folder` is the program's own. `added` carries each page that is made late, also one of Home's. `places`: what
    stands where a name in the list of pages leads to.
    """

    added = Signal(object)

    def __init__(self, folder: Path, clock: Callable[[], datetime], parent: QWidget) -> None:
        super().__init__(parent)
        self._folder, self._clock = folder, clock
        self.record_folder: Callable[[], Path | None] = lambda: None  # of the site, which has its audit chain
        self.home = Home(folder, self)
        self.home.added.connect(self.added)
        self.addWidget(self.home)
        self.join, self.welcome = self.home.join, self.home.welcome
        self.monitor = Late(self._make_monitor)
        self.experiment = Late(self._make_experiment)
        self.approvals = Late(self._make_approvals)
        self.trial = Late(self._make_trial)
        self.notes = Late(self._make_notes)
        self.history = Late(self._make_history)
        self.settings = Late(self._make_settings)
        self.places: dict[str, Callable[[], QWidget]] = {
            "rounds": lambda: self.home,
            "monitor": self.monitor,
            "approvals": self.approvals,
            "trial": self.trial,
            "notes": self.notes,
            "history": self.history,
            "settings": self.settings,
        }

    def show_page(self, name: str) -> None:
        """Puts on top what stands in a page's place."""
        self.setCurrentWidget(self.places[name]())

    def add(self, page: P) -> P:
        self.addWidget(page)
        self.added.emit(page)
        return page

    def _make_monitor(self) -> MonitorPage:
        from ..monitor.page import MonitorPage

        page = MonitorPage(self)
        page.comparing.root, page.comparing.present = self._folder / "sites", self.record_folder
        return self.add(page)

    def _make_experiment(self) -> ExperimentPage:
        """Page of an experiment: made when somebody first wants to see one."""
        from ..experiment.page import ExperimentPage

        return self.add(ExperimentPage(self))

    def _make_approvals(self) -> ApprovalsPage:
        from ..approvals.page import ApprovalsPage

        return self.add(ApprovalsPage(self._clock, self))

    def _make_trial(self) -> TrialPage:
        from ..trial.page import TrialPage

        page = TrialPage(self._clock, self)
        page.blind.path = self._folder / "preferences.jsonl"
        return self.add(page)

    def _make_notes(self) -> NotesPage:
        from ..notes.page import NotesPage

        page = NotesPage(self)
        page.adapter_of = _best_adapter
        return self.add(page)

    def _make_history(self) -> HistoryPage:
        from ..history.page import HistoryPage

        page = HistoryPage(self._clock, self)
        page.folder_of = self.record_folder
        return self.add(page)

    def _make_settings(self) -> SettingsPage:
        from ..settings.page import SettingsPage

        return self.add(SettingsPage(self))


def _best_adapter(desk: Desk) -> str:
    return best.label if (best := best_adapter(desk)) else ""


def load_pages() -> None:
    """Imports the pages' modules, beside the GUI thread: that would stand still for a fifth of a second while the
    charts' library is loaded, and for a fiftieth at the first turn to most other pages.
    """
    for room in ("approvals", "history", "join", "monitor", "notes", "settings", "trial"):
        import_module(f"..{room}.page", __package__)
