# SPDX-License-Identifier: Apache-2.0
"""The window: header, navigation, pages, work strip. It shows the desk and says by signals what a person wants."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from PySide6.QtCore import QEvent, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QCloseEvent, QKeySequence, QWhatsThisClickedEvent
from PySide6.QtWidgets import QBoxLayout, QHBoxLayout, QMainWindow, QVBoxLayout, QWidget

from ..look.icons import app_icon
from ..rounds.status import Status, status
from ..trial.choices import BLOB
from ..widgets import NavigationButton
from ..work.desk import Desk, utc_now
from .experiments import Experiments
from .header import APP_NAME, Header
from .hosting import Hosting
from .late import Late
from .menu import Menu
from .pages import GUIDES, PAGES, PageList, tab_before
from .sayings import Sayings
from .stack import Pages
from .strip import WorkStrip

if TYPE_CHECKING:
    from ..approvals.page import ApprovalsPage
    from ..experiment.page import ExperimentPage
    from ..guide.window import GuideDialog
    from ..history.page import HistoryPage
    from ..join.page import JoinPage
    from ..monitor.page import MonitorPage
    from ..notes.page import NotesPage
    from ..rounds.page import RoundsPage
    from ..settings.page import SettingsPage
    from ..trial.page import TrialPage
    from ..welcome.page import WelcomePage

SIZE: Final = (1280, 720)

B = TypeVar("B", bound=QBoxLayout)


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
    leave_requested = Signal()

    def __init__(self, folder: Path, clock: Callable[[], datetime] = utc_now) -> None:
        """`folder` is the program's own: sites' folders are made in it."""
        super().__init__()
        self._clock = clock
        self._desk, self._ended = Desk(), False
        self.setWindowTitle(APP_NAME)
        self.setWindowIcon(app_icon())
        self.resize(*SIZE)
        self.guide = Late(self._make_guide)
        self.menu = self._make_menu()
        self._lay_out(folder)
        self.hosts = Hosting(self, folder, clock)
        self._host.triggered.connect(self.hosts.begin)
        self._experiments = Experiments(self)
        self._open.triggered.connect(self._experiments.ask)
        self._header.menu.strayed.connect(self._take_focus)
        self._navigation.button(0).setFocus()

    def _make_guide(self) -> GuideDialog:
        from ..guide.window import GuideDialog

        return GuideDialog(self)

    def _make_menu(self) -> Menu:
        menu = Menu(self)
        menu.add(self.tr("Guide to this page"), QKeySequence.StandardKey.HelpContents).triggered.connect(
            self.show_guide
        )
        self._host = menu.add(self.tr("Host a federation…"))
        self._open = menu.add(self.tr("Open experiment…"), QKeySequence.StandardKey.Open)
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
        self.pages = Pages(folder, self._clock, whole)
        column.addWidget(self._header)
        middle = _close(QHBoxLayout())
        column.addLayout(middle, 1)
        middle.addWidget(self._navigation)
        content = _close(QVBoxLayout())
        middle.addLayout(content, 1)
        content.addWidget(self._said)
        content.addWidget(self.pages, 1)
        self.strip = WorkStrip(whole)  # after the pages, as Tab comes to it
        column.addWidget(self.strip)
        self.strip.action_requested.connect(self.rounds.action_requested)
        self._connect()

    def _connect(self) -> None:
        """Connects pages with the window, those that are made late as soon as they are there."""
        pages = self.pages
        pages.added.connect(self._order)
        self.rounds.guide_requested.connect(self.show_guide_at)
        pages.join.then(lambda page: page.guide_requested.connect(self.show_guide))
        pages.settings.then(lambda page: page.policy.guide_requested.connect(self.show_guide_at))
        pages.history.then(lambda page: page.join_requested.connect(self.show_join))

    @Slot(object)
    def _order(self, page: QWidget) -> None:
        """Tab comes to a page that was made late before it comes to the strip below."""
        tab_before(page, self.strip)

    # -- pages -------------------------------------------------------------------------------------------------------

    @property
    def rounds(self) -> RoundsPage:
        return self.pages.home.rounds

    @property
    def join(self) -> JoinPage:
        return self.pages.join()

    @property
    def monitor(self) -> MonitorPage:
        return self.pages.monitor()

    @property
    def experiment(self) -> ExperimentPage:
        return self.pages.experiment()

    @property
    def approvals(self) -> ApprovalsPage:
        return self.pages.approvals()

    @property
    def trial(self) -> TrialPage:
        return self.pages.trial()

    @property
    def notes(self) -> NotesPage:
        return self.pages.notes()

    @property
    def history(self) -> HistoryPage:
        return self.pages.history()

    @property
    def settings(self) -> SettingsPage:
        return self.pages.settings()

    def let_host(self, shown: bool) -> None:
        """Shows or hides the entry for hosting in the list of pages."""
        self._navigation.show_page("hosting", shown)

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
        self.pages.show_page(PAGES[number])
        self.show_now()

    @Slot()
    def _keyed(self) -> None:
        self._first_on_page().setFocus(Qt.FocusReason.ShortcutFocusReason)

    def _first_on_page(self) -> QWidget:
        """Widget for a person who came by keys: the note that is to be read, else the one next step."""
        own: QWidget = self._navigation.button(self._navigation.current())
        match self.page:
            case "trial":
                found: QWidget = self.trial.note.editor
            case "approvals":
                found = self.approvals.decision.form.hold
            case "rounds":
                found = self.rounds.session.status.button
            case _:
                return own
        return found if found.isVisible() else own

    @Slot()
    def _take_focus(self) -> None:
        QTimer.singleShot(0, self._focus_page)  # not at once: Qt is still about to move it

    @Slot()
    def _focus_page(self) -> None:
        self._first_on_page().setFocus(Qt.FocusReason.OtherFocusReason)

    @Slot()
    def show_rounds(self) -> None:
        self.pages.home.setCurrentWidget(self.rounds)
        self.go("rounds")
        self.show_now()

    @Slot()
    def show_join(self) -> None:
        self.pages.home.setCurrentWidget(self.join)
        self.go("rounds")
        self.join.begin()

    def show_welcome(self) -> WelcomePage:
        """Leads through the first run, in Rounds' place."""
        page = self.pages.welcome()
        self.pages.home.setCurrentWidget(page)
        self.go("rounds")
        return page

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

    def turn_again(self, page: str) -> None:
        """Turns to a page, also where that is on top already: another one may stand in its place now."""
        if self.page == page:
            self._turn_to(self._navigation.current())
        else:
            self.go(page)

    def focus_pages(self) -> None:
        """Gives the keyboard to the entry of the page that is on top."""
        self._navigation.focus()

    @Slot()
    def show_guide(self) -> None:
        page = self.pages.home.page if self.page == "rounds" else self.page
        self.show_guide_at(GUIDES.get(page, page))

    @Slot(str)
    def show_guide_at(self, place: str) -> None:
        self.guide().open_at(place)

    def event(self, event: QEvent) -> bool:
        """Opens the guide where a "?" somewhere in the window asks for it."""
        if isinstance(event, QWhatsThisClickedEvent):
            self.show_guide_at(event.href())
            return True
        return super().event(event)

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
        page = self.pages.currentWidget()
        if page is self.pages.home:
            self.pages.home.show_desk(desk, state, now)
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
