# SPDX-License-Identifier: Apache-2.0
"""Presence of the program in the system around its window: an icon in the tray, notifications, the desktop that a
second start calls to the front, and a computer that stays awake while it trains.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from ..rounds.status import status
from ..work.awake import Awake
from ..work.bridge import EventBuffer
from ..work.desk import Desk
from ..work.settings import NotificationKind, SettingsFile
from .front import bring_to_front
from .notifications import Notifier
from .second_start import Call, Listener
from .tray import Tray
from .window import Window


class Presence(QObject):
    """From `begin` to `end`, in the GUI thread. `folder`: None where another desktop has it, which is the one that is
    called then. `called` carries what a second start asked for; the window is in front by then.
    """

    called = Signal(object)

    def __init__(self, window: Window, folder: Path | None, settings: SettingsFile, buffer: EventBuffer) -> None:
        super().__init__(window)
        self._window, self._settings = window, settings
        self.tray = Tray(window)
        self.notifier = Notifier(window, self.tray, self._silent)
        self.awake = Awake(buffer.append)
        self._listener = Listener(folder, self) if folder is not None else None
        self.tray.open_requested.connect(self.open)
        if self._listener is not None:
            self._listener.called.connect(self._called)

    def begin(self) -> None:
        if self._listener is not None:
            self._listener.begin()

    def show_desk(self, desk: Desk, now: datetime) -> None:
        """As often as the desk changes, or ten times a second."""
        self.tray.show_desk(desk, self._window.windowTitle())
        self.notifier.show_desk(desk, status(desk, now), now)
        trains = desk.running and desk.computing.busy and not desk.paused
        self.awake.want(trains and self._settings.values.keep_awake)

    def stay(self) -> None:
        """The window goes, the program does not: the tray's icon leads back."""
        self._window.hide()

    @Slot()
    def open(self) -> None:
        bring_to_front(self._window)

    @Slot(object)
    def _called(self, call: Call) -> None:
        bring_to_front(self._window, call.activation)
        self.called.emit(call)

    def _silent(self) -> Collection[NotificationKind]:
        return self._settings.values.silent

    def end(self) -> None:
        if self._listener is not None:
            self._listener.end()
        self.awake.end()
        self.tray.end()
