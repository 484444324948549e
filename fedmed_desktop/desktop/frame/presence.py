# SPDX-License-Identifier: Apache-2.0
"""Presence of the program in the system around its window: an icon in the tray, notifications, the desktop that a
second start calls to the front, a computer that stays awake while it trains, and how busy it is with that.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import Final

from PySide6.QtCore import QObject, Signal, Slot

from ..rounds.status import Status
from ..work.awake import Awake
from ..work.bridge import EventBuffer
from ..work.desk import Desk
from ..work.load import LoadMeter
from ..work.log import log
from ..work.news import Load
from ..work.settings import NotificationKind, SettingsFile
from ..work.tasks import run_task
from .front import bring_to_front
from .notifications import Notifier
from .second_start import Call, Listener
from .tray import Tray
from .window import Window

LOAD_EVERY_S: Final = 2.0  # often enough to see whether a GPU is busy (inferred)


class Presence(QObject):
    """Tray icon, notifications and the calls of a second start from `begin` to `end`, in the GUI thread. `folder`: None
    where another desktop has it, which is the one that is called then. `called` carries what a second start asked for;
    the window is in front by then.
    """

    called = Signal(object)

    def __init__(self, window: Window, folder: Path | None, settings: SettingsFile, buffer: EventBuffer) -> None:
        super().__init__(window)
        self._window, self._settings = window, settings
        self.tray = Tray(window)
        self.notifier = Notifier(window, self.tray, self._silent)
        self.awake = Awake(buffer.append)
        self._put, self._meter = buffer.append, LoadMeter()
        self._measured, self._measuring = 0.0, False
        self._listener = Listener(folder, self) if folder is not None else None
        self.tray.open_requested.connect(self.open)
        if self._listener is not None:
            self._listener.called.connect(self._called)

    def begin(self) -> None:
        if self._listener is not None:
            self._listener.begin()

    def show_desk(self, desk: Desk, status: Status, now: datetime) -> None:
        """Shows the desk, as often as it changes or ten times a second."""
        self.tray.show_desk(desk, self._window.windowTitle())
        self.notifier.show_desk(desk, status, now)
        trains = desk.fits or (desk.running and desk.computing.busy and not desk.paused)
        self.awake.want(trains and self._settings.values.keep_awake)
        if trains:
            self._measure()

    def _measure(self) -> None:
        """Every two seconds at most, beside this thread, and never twice at a time."""
        now = time.monotonic()
        if self._measuring or now - self._measured < LOAD_EVERY_S:
            return
        self._measuring, self._measured = True, now
        run_task(self, self._meter.read, self._loaded, self._not_loaded)

    def _loaded(self, load: Load | None) -> None:
        self._measuring = False
        if load is not None:
            self._put(load)

    def _not_loaded(self, error: BaseException) -> None:
        """Logs the error and does not try again: the load is worth no fault."""
        log.warning("the load of this computer cannot be read: %r", error)

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
