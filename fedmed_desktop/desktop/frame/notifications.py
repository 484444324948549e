# SPDX-License-Identifier: Apache-2.0
"""Notifications of the system for what a person would miss while the window is not in front: rare, and without a word
about notes, sites or scores.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple

from PySide6.QtCore import QObject, Slot
from PySide6.QtWidgets import QApplication, QSystemTrayIcon, QWidget

from ...wording import tr
from ..look.icons import app_icon
from ..rounds.heading import clock
from ..rounds.status import Status
from ..work.desk import Desk

SOON_S: Final = 15 * 60  # before a round closes, a waiting decision is told of once more (inferred)
AWAY_S: Final = 15 * 60  # a coordinator that is away for less is no news (inferred)


class Notification(NamedTuple):
    """`key`: the occasion, of which is told once."""

    key: tuple[str, ...]
    title: str
    text: str


def notification(desk: Desk, status: Status, now: datetime) -> Notification | None:
    """News that a person should hear of now; None where there is none."""
    if not desk.running:
        return None
    if status.state == "approval" and desk.pending:
        return _decision(desk.pending.sha256, desk, now)
    match status.state:
        case "failed":
            return Notification(("failed", status.headline), status.headline, tr("Open the program to see why."))
        case "finished":
            return Notification(("finished",), status.headline, "")
        case "offline" if desk.connection and (now - desk.connection.time).total_seconds() > AWAY_S:
            return Notification(("offline", desk.connection.time.isoformat()), status.headline, "")
    return None


def _decision(sha256: str, desk: Desk, now: datetime) -> Notification:
    closes = desk.standing.closes if desk.standing else None
    if closes is None or closes <= now:
        return Notification(("approval", sha256), tr("A decision waits for you"), "")
    text = tr("It counts until {time}.").format(time=clock(closes, now))
    if (closes - now).total_seconds() <= SOON_S:
        return Notification(("approval", sha256, "soon"), tr("A decision waits for you, and time runs out"), text)
    return Notification(("approval", sha256), tr("A decision waits for you"), text)


class Notifier(QObject):
    """Tells through the system's tray where there is one; the window's entry in the task bar asks for attention in any
    case. `told`: titles of what was told.
    """

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._window = window
        self._known: set[tuple[str, ...]] = set()
        self.told: list[str] = []
        self._tray: QSystemTrayIcon | None = None
        if QSystemTrayIcon.isSystemTrayAvailable():
            self._tray = QSystemTrayIcon(app_icon(), self)
            self._tray.activated.connect(self._show_window)
            self._tray.messageClicked.connect(self._show_window)
            self._tray.show()

    def show_desk(self, desk: Desk, status: Status, now: datetime) -> None:
        """As often as the desk changes; tells of each occasion once, and of none that the person sees happen."""
        if self._tray is not None:
            self._tray.setToolTip(self._window.windowTitle())
        found = notification(desk, status, now)
        if found is None or found.key in self._known:
            return
        self._known.add(found.key)
        if self._window.isActiveWindow():
            return
        self.told.append(found.title)
        QApplication.alert(self._window)
        if self._tray is not None:
            self._tray.showMessage(found.title, found.text, app_icon())

    def end(self) -> None:
        """Takes the icon out of the tray."""
        if self._tray is not None:
            self._tray.hide()

    @Slot()
    def _show_window(self) -> None:
        self._window.showNormal() if self._window.isMinimized() else self._window.show()
        self._window.raise_()
        self._window.activateWindow()
