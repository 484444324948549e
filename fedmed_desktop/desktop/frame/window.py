# SPDX-License-Identifier: Apache-2.0
"""The window: header, navigation, pages, work strip. It shows the desk and says by signals what a person wants."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar, cast

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtGui import QCloseEvent, QKeySequence
from PySide6.QtWidgets import QBoxLayout, QHBoxLayout, QMainWindow, QStackedWidget, QVBoxLayout, QWidget

from ..approvals.page import ApprovalsPage
from ..guide.window import GuideDialog
from ..look.icons import app_icon
from ..notes.page import NotesPage
from ..rounds.status import Status, status
from ..trial.choices import BLOB, best_adapter
from ..trial.page import TrialPage
from ..widgets import NavigationButton
from ..work.desk import Desk, utc_now
from .header import APP_NAME, Header
from .home import Home
from .hosting import Hosting
from .menu import Menu
from .pages import GUIDES, PAGES, PageList, tab_before
from .sayings import Sayings
from .strip import WorkStrip

if TYPE_CHECKING:
    from ..experiment.page import ExperimentPage
    from ..history.page import HistoryPage
    from ..monitor.page import MonitorPage
    from ..settings.page import SettingsPage
    from ..welcome.page import WelcomePage

SIZE: Final = (1280, 720)

B = TypeVar("B", bound=QBoxLayout)
P = TypeVar("P", bound=QWidget)


def _close(layout: B) -> B:
    """Sets a layout's parts edge to edge."""
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(0)
    return layout


class Window(QMainWindow):
    """One per program. `page` is the name of the page that is shown; the join form stands in Rounds' place."""

    closing = Signal()  # the window is to close
    quit_requested = Signal()
    log_requested = Signal()
    settings_made = Signal(object)  # its page
    leave_requested = Signal()

    def __init__(self, folder: Path, clock: Callable[[], datetime] = utc_now) -> None:
        """`folder` is the program's own: sites' folders are made in it."""
        super().__init__()
        self._clock = clock
        self._desk, self._folder = Desk(), folder
        self._ended = self._shows_experiment = False
        self.record_folder: Callable[[], Path | None] = lambda: None  # of the site, which has its audit chain
        self.setWindowTitle(APP_NAME)
        self.setWindowIcon(app_icon())
        self.resize(*SIZE)
        self._guide = GuideDialog(self)
        self.menu = self._make_menu()
        self._lay_out(folder)
        self.hosts = Hosting(self, folder, clock)
        self._host.triggered.connect(self.hosts.begin)
        self._header.menu.strayed.connect(self._take_focus)
        self._navigation.button(0).setFocus()

    def _make_menu(self) -> Menu:
        menu = Menu(self)
        menu.add(self.tr("Guide to this page"), QKeySequence.StandardKey.HelpContents).triggered.connect(
            self.show_guide
        )
        self._host = menu.add(self.tr("Host a federation…"))
        menu.add(self.tr("Open experiment…"), QKeySequence.StandardKey.Open).triggered.connect(self.ask_experiment)
        menu.add(self.tr("Settings…"), QKeySequence.StandardKey.Preferences).triggered.connect(self.show_settings)
        menu.add(self.tr("Open the log file")).triggered.connect(self.log_requested)
        menu.add_separator()
        self._leave = menu.add(self.tr("Stop taking part…"))
        self._leave.triggered.connect(self.leave_requested)
        menu.add(self.tr("Quit"), "Ctrl+Q").triggered.connect(self.quit_requested)
        return menu

    def _lay_out(self, folder: Path) -> None:
        """Builds from the outside in: Qt applies the style sheet to all of a widget again when that is moved."""
        whole = QWidget(self)
        self.setCentralWidget(whole)
        column = _close(QVBoxLayout(whole))
        self._header = Header(self.menu.widget, whole)
        self._navigation = PageList(self, whole)
        self._navigation.chosen.connect(self._turn_to)
        self._navigation.keyed.connect(self._keyed)
        self._said = Sayings(whole)
        self._stack = QStackedWidget(whole)
        column.addWidget(self._header)
        middle = _close(QHBoxLayout())
        column.addLayout(middle, 1)
        middle.addWidget(self._navigation)
        content = _close(QVBoxLayout())
        middle.addLayout(content, 1)
        content.addWidget(self._said)
        content.addWidget(self._stack, 1)
        self._make_pages(folder)
        self.strip = WorkStrip(whole)  # after the pages, as Tab comes to it
        column.addWidget(self.strip)
        self.strip.action_requested.connect(self.rounds.action_requested)

    def _make_pages(self, folder: Path) -> None:
        self._home = Home(folder, self._stack)
        self.rounds, self.join = self._home.rounds, self._home.join
        self.approvals = ApprovalsPage(self._clock, self._stack)
        self.trial, self.notes = TrialPage(self._clock, self._stack), NotesPage(self._stack)
        self.trial.blind.path = folder / "preferences.jsonl"
        for page in (self._home, self.approvals, self.trial, self.notes):
            self._stack.addWidget(page)
        self.join.guide_requested.connect(self.show_guide)
        self.rounds.guide_requested.connect(self.show_guide_at)
        self.notes.adapter_of = lambda desk: best.label if (best := best_adapter(desk)) else ""

    # -- pages -------------------------------------------------------------------------------------------------------

    @cached_property
    def monitor(self) -> MonitorPage:
        """Made at the first need: its charts' library takes a tenth of a second that the first paint can spare."""
        from ..monitor.page import MonitorPage

        page = MonitorPage(self._stack)
        page.experiment_asked.connect(self.ask_experiment)
        page.comparing.root, page.comparing.present = self._folder / "sites", self.record_folder
        return self.add_late(page)

    @cached_property
    def history(self) -> HistoryPage:
        """Made at the first need."""
        from ..history.page import HistoryPage

        page = HistoryPage(self._clock, self._stack)
        page.folder_of, page.name_of = self.record_folder, lambda: self.approvals.name
        page.join_requested.connect(self.show_join)
        return self.add_late(page)

    def let_host(self, shown: bool) -> None:
        """Shows or hides the entry for hosting in the list of pages."""
        self._navigation.show_page("hosting", shown)

    def add_late(self, page: P) -> P:
        """Adds a page that is made at its first need; Tab comes to it before it comes to the strip below."""
        self._stack.addWidget(page)
        tab_before(page, self.strip)
        return page

    @cached_property
    def settings(self) -> SettingsPage:
        """Made at the first need; who has the settings fills it then."""
        from ..settings.page import SettingsPage

        page = SettingsPage(self._stack)
        page.policy.guide_requested.connect(self.show_guide_at)
        self.settings_made.emit(page)
        return self.add_late(page)

    @cached_property
    def experiment(self) -> ExperimentPage:
        """Made when somebody first wants to see one; it stands in the Monitor's place until it is closed."""
        from ..experiment.page import ExperimentPage

        page = ExperimentPage(self._stack)
        page.opened.connect(self._show_experiment)
        page.refused.connect(self.say)
        page.closed.connect(self._close_experiment)
        return self.add_late(page)

    @Slot()
    def prepare(self) -> None:
        """Makes what the first paint did without."""
        self.monitor.ensurePolished()

    @property
    def page(self) -> str:
        return self._navigation.page

    def go(self, page: str) -> None:
        """Turns to a page by its name; an unknown one (of another version's settings) changes nothing."""
        self._navigation.go(page)

    @Slot(int)
    def _turn_to(self, number: int) -> None:
        if isinstance(self.focusWidget(), NavigationButton):
            self._navigation.focus()  # who turns pages by keys goes on from there
        self._stack.setCurrentWidget(self._pages(number))
        self.show_now()

    def _pages(self, number: int) -> QWidget:
        page = PAGES[number]
        if page == "rounds":
            return self._home
        if page == "hosting":
            return self.hosts.page
        if page == "monitor" and self._shows_experiment:
            return self.experiment
        return cast(QWidget, getattr(self, page))

    @Slot()
    def _keyed(self) -> None:
        self._first_on_page().setFocus(Qt.FocusReason.ShortcutFocusReason)

    def _first_on_page(self) -> QWidget:
        """Widget for a person who came by keys: the note that is to be read, else the one next step."""
        steps: dict[str, QWidget] = {
            "trial": self.trial.note.editor,
            "approvals": self.approvals.decision.form.hold,
            "rounds": self.rounds.session.status.button,
        }
        found = steps.get(self.page)
        own = self._navigation.button(self._navigation.current())
        return found if found is not None and found.isVisible() else own

    @Slot()
    def _take_focus(self) -> None:
        QTimer.singleShot(0, self._focus_page)  # not at once: Qt is still about to move it

    @Slot()
    def _focus_page(self) -> None:
        self._first_on_page().setFocus(Qt.FocusReason.OtherFocusReason)

    @Slot()
    def show_rounds(self) -> None:
        self._home.setCurrentWidget(self.rounds)
        self.go("rounds")
        self.show_now()

    @Slot()
    def show_join(self) -> None:
        self._home.setCurrentWidget(self.join)
        self.go("rounds")
        self.join.begin()

    def show_welcome(self) -> WelcomePage:
        """Leads through the first run, in Rounds' place."""
        self._home.setCurrentWidget(self._home.welcome)
        self.go("rounds")
        return self._home.welcome

    @Slot()
    def show_trial(self) -> None:
        self.go("trial")

    @Slot()
    def show_settings(self) -> None:
        self.go("settings")

    @Slot(str)
    def show_trial_of(self, update: str) -> None:
        """Try it, with the adapter of a waiting update on the right side."""
        entry = self._desk.entry(update)
        self.go("trial")
        if entry and (part := entry.update.parts.get("adapter")):
            self.trial.choose(f"{BLOB}{part.sha256}")

    @Slot()
    def ask_experiment(self) -> None:
        """Asks for the folder of an experiment; the page is turned to once one was read."""
        self.experiment.ask()

    @Slot()
    def _show_experiment(self) -> None:
        self._shows_experiment = True
        self._turn_to_monitor()
        self.experiment.focus()

    @Slot()
    def _close_experiment(self) -> None:
        self._shows_experiment = False
        self._turn_to_monitor()
        self._navigation.focus()

    def _turn_to_monitor(self) -> None:
        if self.page == "monitor":
            self._turn_to(self._navigation.current())
        else:
            self.go("monitor")

    @Slot()
    def show_guide(self) -> None:
        page = self._home.page if self.page == "rounds" else self.page
        self._guide.open_at(GUIDES.get(page, page))

    @Slot(str)
    def show_guide_at(self, place: str) -> None:
        self._guide.open_at(place)

    # -- what is shown -----------------------------------------------------------------------------------------------

    def show_desk(self, desk: Desk, now: datetime) -> Status:
        """Shows the desk ten times a second in the frame and on the page that is seen; other pages wait until they are.

        Returns the desk's status, for whatever else tells of it.
        """
        self._desk = desk
        state = status(desk, now)
        self._header.show_desk(desk)
        self.setWindowTitle(self._header.title(state.headline if desk.session else ""))
        self.strip.show_desk(desk, state, now, offers=self.page not in ("rounds", "approvals"))
        self._navigation.count("approvals", sum(e.state == "pending" for e in desk.queue))
        self._leave.setEnabled(desk.running)
        self._leave.setText(self.tr("End the demonstration…") if desk.is_demo else self.tr("Stop taking part…"))
        page = self._stack.currentWidget()
        if page is self._home:
            self._home.show_desk(desk, state, now)
        else:
            page.show_desk(desk)  # type: ignore[union-attr]
        return state

    @Slot()
    def show_now(self) -> None:
        """The desk as it was shown last, on the page that is seen now."""
        self.show_desk(self._desk, self._clock())

    @Slot(str)
    def say(self, sentence: str) -> None:
        """One sentence above the page, until it is dismissed; then the next one, if there is one."""
        self._said.say(sentence)

    # -- the end -----------------------------------------------------------------------------------------------------

    def closeEvent(self, event: QCloseEvent) -> None:
        """The window stays until everything that runs has ended: `end` then closes it for good."""
        if self._ended:
            event.accept()
            return
        event.ignore()
        self.closing.emit()

    def end(self) -> None:
        self._ended = True
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.close()
