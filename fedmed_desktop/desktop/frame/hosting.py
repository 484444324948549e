# SPDX-License-Identifier: Apache-2.0
"""Hosting in the window: its page and its entry among the pages, and what becomes of a coordinator at the end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from ...errors import UserFacingError
from ...protocol.invitation import Invitation, read_invitation
from ...site.proxy import SYSTEM
from ...wording import told, tr
from ..work.hosted import Hosted, Inside, host_folder
from .asking import Asking
from .late import Late

if TYPE_CHECKING:
    from ..hosting.page import HostingPage
    from ..widgets.question import Question
    from .window import Window


class Hosting(QObject):
    """`changed` carries what is hosted, to be remembered; `may_close`: nothing here holds the window open any more."""

    changed = Signal(object)
    may_close = Signal()
    overseen = Signal(object)  # the folder of a host of a federation that is served elsewhere

    def __init__(self, window: Window, folder: Path, clock: Callable[[], datetime]) -> None:
        super().__init__(window)
        self._window, self._folder, self._clock = window, folder, clock
        self._hosted: Hosted | None = None
        self._overseen: Path | None = None  # folder of a host of a federation that is served elsewhere
        self.proxy = SYSTEM
        self._is_ending = False
        self.look_inside: Callable[[Path], Inside] = lambda model: Inside(None, "plain")
        self._asking = Asking(window)
        self._page = window.pages.places["hosting"] = Late(self._make_page)

    @property
    def page(self) -> HostingPage:
        return self._page()

    def _make_page(self) -> HostingPage:
        from ..hosting.page import HostingPage

        page = HostingPage(self._folder / "federations", self._inside, self._clock)
        page.changed.connect(self._changed)
        page.left.connect(self._left)
        page.stop_asked.connect(self._ask_stop)
        page.ended.connect(self._ended)
        page.forget_asked.connect(self._ask_forget)
        page.guide_requested.connect(self._window.show_guide_at)
        return self._window.pages.add(page)

    @property
    def question(self) -> Question | None:
        """Question that is on the screen."""
        return self._asking.question

    def _inside(self, model: Path) -> Inside:
        """Looks inside a model, on a thread of the pool."""
        return self.look_inside(model)

    def restore(self, hosted: Hosted | None, overseen: Path | None) -> None:
        """Shows what was hosted when the program was closed last: here, where its coordinator may still run, or not."""
        self._hosted = hosted
        self._window.let_host(hosted is not None)
        if overseen is not None:
            self._oversee(overseen, None)
        elif hosted is not None:
            self.page.show_hosted(hosted)

    @Slot(str)
    def invited(self, line: str) -> None:
        """Shows the federation of a host's invitation. One that is served here comes first."""
        invitation = read_invitation(line)
        if self._hosted is not None and self.page.is_running:
            self._window.say(
                tr("This computer serves {federation}. Stop that first, to be a host of another federation.").format(
                    federation=self._hosted.name
                )
            )
            return
        self._window.let_host(True)
        self._window.go("hosting")
        self._oversee(host_folder(self._folder / "hosts", invitation), invitation)

    def _oversee(self, folder: Path, invitation: Invitation | None) -> None:
        self._window.let_host(True)
        try:
            self.page.oversee(folder, invitation, self.proxy)
        except UserFacingError as error:
            self._window.say(told(error))
            self._window.let_host(self._hosted is not None)
            if self._hosted is not None:
                self.page.show_hosted(self._hosted)
            return
        self._overseen = folder
        self.overseen.emit(folder)

    def end(self) -> None:
        """Disconnects, for the end of the program. A coordinator that runs goes on."""
        if self._page.made is not None:
            self._page.made.end()

    @Slot()
    def begin(self) -> None:
        """Turns to the page: what is hosted, or the form where nothing is."""
        self._window.let_host(True)
        self._window.go("hosting")
        if self._hosted is None and self._overseen is None:
            self.page.begin()

    @Slot()
    def _left(self) -> None:
        self._window.show_rounds()
        self._window.let_host(self._hosted is not None or self._overseen is not None)

    @Slot(object)
    def _changed(self, hosted: Hosted) -> None:
        self._hosted, self._overseen = hosted, None
        self.changed.emit(hosted)

    # -- stopping ------------------------------------------------------------------------------------------------------

    @Slot()
    def _ask_stop(self) -> None:
        from ..hosting.acts import about_stopping

        question = self._asking.ask(about_stopping())
        question.confirmed.connect(self.page.stop)

    @Slot()
    def _ask_forget(self) -> None:
        from ..hosting.acts import about_forgetting

        question = self._asking.ask(about_forgetting(self.page.title.text()))
        question.confirmed.connect(self._forget)

    @Slot()
    def _forget(self) -> None:
        """Back to what was founded here, if anything was."""
        self.page.forget()
        self._overseen = None
        self.overseen.emit(None)
        if self._hosted is not None:
            self.page.show_hosted(self._hosted)
        else:
            self._left()

    @Slot()
    def close(self) -> None:
        """Emits `may_close` once it is decided, and done, what becomes of a coordinator that runs."""
        if self._hosted is None or not self.page.is_running:
            self.may_close.emit()
            return
        from ..hosting.acts import about_the_end

        question = self._asking.ask(about_the_end(self._hosted))
        question.confirmed.connect(self.may_close)
        question.other_chosen.connect(self._stop_and_close)

    @Slot()
    def _stop_and_close(self) -> None:
        self._is_ending = True
        self.page.stop()

    @Slot()
    def _ended(self) -> None:
        if self._is_ending:
            self._is_ending = False
            self.may_close.emit()
