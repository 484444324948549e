# SPDX-License-Identifier: Apache-2.0
"""Notifications of the system for what a person would miss while the window is not in front: rare, of four kinds that
can each be switched off, and without a word about notes, sites or scores.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Final, NamedTuple

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QApplication, QWidget

from ...wording import tr
from ..rounds.heading import clock
from ..rounds.status import Status
from ..work.desk import Desk
from ..work.settings import NotificationKind
from .tray import Tray

SOON_S: Final = 15 * 60  # before a round closes, a waiting decision is told of once more (inferred)
AWAY_S: Final = 15 * 60  # a coordinator that is away for less is no news (inferred)


class Notification(NamedTuple):
    """`key`: the occasion, of which is told once."""

    kind: NotificationKind
    key: tuple[str, ...]
    title: str
    text: str = ""


def notifications(desk: Desk, status: Status, now: datetime) -> list[Notification]:
    """News that a person should have heard of by now, of the session that is on or has just ended by itself."""
    if not desk.running and (desk.ended is None or desk.ended.reason == "stopped"):
        return []
    found = []
    if status.state == "approval" and desk.pending:
        found.append(_decision(desk.pending.sha256, desk, now))
    if desk.standing and desk.standing.history:
        closed = desk.standing.history[-1].round
        title = tr("Round {round} is finished").format(round=closed)
        found.append(Notification("round", ("round", str(closed)), title, tr("The sites' adapters are combined.")))
    match status.state:
        case "failed":
            text = tr("Open the program to see why.")
            found.append(Notification("trouble", ("failed", status.headline), status.headline, text))
        case "finished":
            found.append(Notification("finished", ("finished",), status.headline))
        case "offline" if desk.connection and (now - desk.connection.time).total_seconds() > AWAY_S:
            found.append(Notification("trouble", ("offline", desk.connection.time.isoformat()), status.headline))
    return found


def _decision(sha256: str, desk: Desk, now: datetime) -> Notification:
    closes = desk.standing.closes if desk.standing else None
    if closes is None or closes <= now:
        return Notification("decision", ("approval", sha256), tr("A decision waits for you"))
    text = tr("It counts until {time}.").format(time=clock(closes, now))
    if (closes - now).total_seconds() <= SOON_S:
        title = tr("A decision waits for you, and time runs out")
        return Notification("decision", ("approval", sha256, "soon"), title, text)
    return Notification("decision", ("approval", sha256), tr("A decision waits for you"), text)


class Notifier(QObject):
    """Tells through the system's tray where there is one; the window's entry in the task bar asks for attention in any
    case. `silent`: kinds that the person does not want to be told of. `told`: titles of what was told.
    """

    def __init__(self, window: QWidget, tray: Tray, silent: Callable[[], Collection[NotificationKind]]) -> None:
        super().__init__(window)
        self._window, self._tray, self._silent = window, tray, silent
        self._known: set[tuple[str, ...]] = set()
        self._session: object = None
        self._is_new = False
        self.told: list[str] = []

    def show_desk(self, desk: Desk, status: Status, now: datetime) -> None:
        """Tells of each occasion once, and of none that the person sees happen; called as often as the desk changes."""
        if desk.session is not self._session:  # whose rounds and troubles are others, also where they are called alike
            self._session, self._is_new = desk.session, True
            self._known = {key for key in self._known if key[0] == "approval"}
        found = [one for one in notifications(desk, status, now) if one.key not in self._known]
        if self._is_new and desk.standing:
            self._is_new = False  # rounds that had been closed before this start are no news
            self._known.update(one.key for one in found if one.kind == "round")
            found = [one for one in found if one.kind != "round"]
        self._known.update(one.key for one in found)
        if self._window.isActiveWindow():
            return
        for one in found:
            if one.kind not in self._silent():
                self.told.append(one.title)
                QApplication.alert(self._window)
                self._tray.tell(one.title, one.text)
