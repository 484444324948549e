# SPDX-License-Identifier: Apache-2.0
"""Memory of the desktop between starts: put into the window at the beginning, written down whenever it changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from pydantic import JsonValue
from PySide6.QtCore import QByteArray, QObject, Qt, Slot

from ...errors import UserFacingError
from ..look.theme import Appearance
from ..work.requests import JoinRequest
from .settings import SettingsFile
from .window import Window


class Memory(QObject):
    """`keeps` False: nothing is written, as where another desktop has the folder. `failed` is told why writing did."""

    def __init__(
        self,
        settings: SettingsFile,
        keeps: bool,
        window: Window,
        appearance: Appearance,
        failed: Callable[[UserFacingError], None],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._settings = settings
        self._keeps = keeps
        self._window, self._appearance = window, appearance
        self._failed = failed
        self.knows_monitor = False  # else the Monitor was never told how it was left
        window.rounds.session.identity.compared.connect(self._compared)
        window.rounds.action_requested.connect(self._acted)
        window.approvals.named.connect(self._named)
        window.approvals.send_requested.connect(self.save)
        window.approvals.keep_requested.connect(self.save)

    def restore(self) -> None:
        values, window = self._settings.values, self._window
        if values.geometry:
            window.restoreGeometry(QByteArray.fromBase64(values.geometry.encode()))
        window.menu.mark_appearance(self._appearance.choice)
        window.go(values.page)
        window.join.proxy = values.proxy
        window.rounds.session.identity.done = values.compared
        window.approvals.name = values.approver

    def restore_monitor(self) -> None:
        """The Monitor is made later than the rest."""
        self._window.monitor.restore(dict(self._settings.values.monitor))
        self.knows_monitor = True

    def remember(self) -> None:
        """How the window is left."""
        values = self._settings.values
        values.geometry = bytes(self._window.saveGeometry().toBase64().data()).decode()
        values.page = self._window.page
        if self.knows_monitor:
            values.monitor = cast(dict[str, JsonValue], self._window.monitor.state())
        values.appearance, values.text_scale = self._appearance.choice, self._appearance.text_scale
        self.save()

    def joins(self, request: JoinRequest) -> None:
        """Goes on with it at the next start."""
        self._settings.values.joined, self._settings.values.rejoin = request, True
        self.save()

    @Slot(str)
    def _acted(self, action: str) -> None:
        """Who has agreed is not asked again at the next start."""
        if action == "agree" and (joined := self._settings.values.joined):
            self._settings.values.joined = joined.model_copy(update={"agreed": True})
            self.save()

    def leaves(self) -> None:
        """The next start does not go on with it by itself."""
        self._settings.values.rejoin = False
        self.save()

    def has_joined(self) -> None:
        """Forgets the invitation, which has been used: the site remembers its coordinator itself."""
        joined = self._settings.values.joined
        if joined and joined.invitation:
            self._settings.values.joined = joined.model_copy(update={"invitation": ""})
            self.save()

    @Slot()
    def open_settings(self) -> None:
        dialog = self._window.settings
        dialog.changed.connect(self.save, Qt.ConnectionType.UniqueConnection)
        dialog.findings.ask_torch = self._window.join.findings.ask_torch
        dialog.open_on(self._settings.values, self._window.joined_spec)

    @Slot(str)
    def _compared(self, words: str) -> None:
        self._settings.values.compared = words
        self.save()

    @Slot(str)
    def _named(self, name: str) -> None:
        self._settings.values.approver = name

    @Slot()
    def save(self) -> None:
        self._window.join.proxy = self._settings.values.proxy
        if not self._keeps:
            return
        try:
            self._settings.save()
        except UserFacingError as error:
            self._failed(error)
