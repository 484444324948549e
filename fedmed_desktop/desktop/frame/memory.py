# SPDX-License-Identifier: Apache-2.0
"""State of the window between starts: restored at the beginning, saved whenever it changes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast
from urllib.parse import urlsplit

from pydantic import JsonValue
from PySide6.QtCore import QByteArray, QObject, Slot

from ... import events
from ...errors import UserFacingError
from ..look.theme import Appearance
from ..work.connections import Why, noted
from ..work.hosted import Hosted
from ..work.requests import JoinRequest
from ..work.settings import SettingsFile
from ..work.tasks import run_task
from .stack import load_pages
from .window import Window

if TYPE_CHECKING:
    from ..approvals.page import ApprovalsPage
    from ..history.page import HistoryPage
    from ..join.page import JoinPage
    from ..settings.page import SettingsPage


class Memory(QObject):
    """Keeps the window's state. `keeps` False: nothing is written, as where another desktop has the folder.

    `failed` carries the reason why writing failed.
    """

    def __init__(
        self,
        settings: SettingsFile,
        keeps: bool,
        window: Window,
        appearance: Appearance,
        failed: Callable[[UserFacingError], None],
        log_path: Path,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._settings = settings
        self._keeps = keeps
        self._window, self._appearance = window, appearance
        self._failed, self._log_path = failed, log_path
        self._page: SettingsPage | None = None
        self.knows_monitor = False  # else the Monitor was never told how it was left
        appearance.changed.connect(self._looks_otherwise)
        window.rounds.session.identity.compared.connect(self._compared)
        window.rounds.action_requested.connect(self._acted)
        window.hosts.changed.connect(self._hosts)
        window.hosts.overseen.connect(self._oversees)
        window.pages.join.then(self._fill_join)
        window.pages.approvals.then(self._fill_approvals)
        window.pages.history.then(self._fill_history)
        window.pages.settings.then(self._fill_settings)

    def restore(self) -> None:
        values, window = self._settings.values, self._window
        if values.geometry:
            window.restoreGeometry(QByteArray.fromBase64(values.geometry.encode()))
        window.hosts.proxy = values.proxy
        window.hosts.restore(values.hosted, values.overseen)
        hosts = values.hosted is not None or values.overseen is not None
        window.go(values.page if values.page != "hosting" or hosts else "rounds")
        window.rounds.session.identity.done = values.compared

    def make_monitor(self) -> None:
        """The Monitor is made soon after the start, once the charts' library is there."""
        run_task(self, load_pages, self._made, self._fault)

    @Slot(object)
    def _made(self, _nothing: None) -> None:
        self._window.prepare()
        self._window.monitor.restore(dict(self._settings.values.monitor))
        self.knows_monitor = True

    @Slot(object)
    def _fault(self, error: BaseException) -> None:
        """Raises a fault of the program, which a dialog then shows."""
        raise error

    def remember(self) -> None:
        """Saves how the window is left."""
        values = self._settings.values
        values.geometry = bytes(self._window.saveGeometry().toBase64().data()).decode()
        values.page = self._window.page
        if self.knows_monitor:
            values.monitor = cast(dict[str, JsonValue], self._window.monitor.state())
        self.save()

    def joins(self, request: JoinRequest) -> None:
        """Goes on with it at the next start."""
        self._settings.values.joined, self._settings.values.rejoin = request, True
        self.save()

    @Slot(str)
    def _acted(self, action: str) -> None:
        """Remembers that the person has agreed, who is not asked again at the next start."""
        if action == "agree" and (joined := self._settings.values.joined):
            self._settings.values.joined = joined.model_copy(update={"agreed": True})
            self.save()

    def leaves(self) -> None:
        """The next start does not go on with it by itself."""
        self._settings.values.rejoin = False
        self.save()

    @property
    def when_closed(self) -> Literal["ask", "stay", "quit"]:
        return self._settings.values.when_closed

    def closes(self, choice: Literal["stay", "quit"]) -> None:
        """Meaning of closing the window, from now on."""
        self._settings.values.when_closed = choice
        self.save()

    def was_welcomed(self) -> None:
        """Does not lead through the first run again."""
        self._settings.values.welcomed = True
        self.save()

    def has_joined(self) -> None:
        """Forgets the invitation, which has been used: the site remembers its coordinator itself."""
        joined = self._settings.values.joined
        if joined and joined.invitation:
            self._settings.values.joined = joined.model_copy(update={"invitation": ""})
            self.save()

    def _fill_join(self, page: JoinPage) -> None:
        page.proxy = self._settings.values.proxy
        page.findings.reaching.connect(self._checked)

    def _fill_approvals(self, page: ApprovalsPage) -> None:
        page.name = self.approver()
        page.named.connect(self._named)
        page.send_requested.connect(self.save)
        page.keep_requested.connect(self.save)

    def _fill_history(self, page: HistoryPage) -> None:
        page.name_of = self.approver

    def _fill_settings(self, page: SettingsPage) -> None:
        self._page = page
        page.log_path = self._log_path
        page.changed.connect(self.save)
        page.appearance.appearance_chosen.connect(self._appearance.choose)
        page.appearance.scale_chosen.connect(self._appearance.set_text_scale)
        page.findings.reaching.connect(self._checked)
        page.show_values(self._settings.values)

    @Slot()
    def _looks_otherwise(self) -> None:
        values = self._settings.values
        values.appearance, values.text_scale = self._appearance.choice, self._appearance.text_scale
        if self._page is not None:
            self._page.appearance.show_values(values.appearance, values.text_scale)

    def has_connected(self, event: events.ConnectionChanged) -> None:
        if event.state == "connected":
            self._note(event.address, "part", event.time)

    @Slot(str)
    def _checked(self, address: str) -> None:
        self._note(address, "check", datetime.now(UTC))

    def _note(self, address: str, why: Why, now: datetime) -> None:
        values = self._settings.values
        values.connections = noted(values.connections, urlsplit(address).netloc or address, why, now)
        self.save()

    @Slot(str)
    def _compared(self, words: str) -> None:
        self._settings.values.compared = words
        self.save()

    @Slot(object)
    def _hosts(self, hosted: Hosted) -> None:
        """Finds it again at the next start."""
        self._settings.values.hosted, self._settings.values.overseen = hosted, None
        self.save()

    @Slot(object)
    def _oversees(self, folder: Path | None) -> None:
        self._settings.values.overseen = folder
        self.save()

    @Slot(str)
    def _named(self, name: str) -> None:
        self._settings.values.approver = name

    def approver(self) -> str:
        """Name of the person who decides here, as far as known."""
        return self._settings.values.approver

    @Slot()
    def save(self) -> None:
        self._window.hosts.proxy = self._settings.values.proxy
        if (join := self._window.pages.join.made) is not None:
            join.proxy = self._settings.values.proxy
        if not self._keeps:
            return
        try:
            self._settings.save()
        except UserFacingError as error:
            self._failed(error)
