# SPDX-License-Identifier: Apache-2.0
"""The strip at the bottom of the window, on every page: what this computer does, how far it is, and Pause."""

from __future__ import annotations

from datetime import datetime

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QWidget

from .view.desk import Desk
from .view.progress import WORDS
from .view.status import Status
from .widgets import Bar, Button, Caption, ElidedLabel, Progress


class WorkStrip(Bar):
    """Hidden while there is no session. Pause is there where there is something to pause."""

    pause_requested = Signal()
    resume_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("top", parent)
        self._paused = False
        self._line = ElidedLabel()
        self._progress = Progress(self.tr("Progress of the work on this computer"))
        self._memory = Caption()
        self._pause = Button(self.tr("Pause"))
        self._pause.clicked.connect(self._pressed)
        self.add(self._line, 3)
        self.add(self._progress, 2)
        self.content.addStretch(1)
        self.add(self._memory)
        self.add(self._pause)

    def show_desk(self, desk: Desk, status: Status, now: datetime) -> None:
        self.setVisible(desk.running)
        if not desk.running:
            return
        work = desk.computing
        busy = work.busy and not desk.paused and status.state not in ("approval", "countdown", "offline")
        line = work.line(now) if busy else status.headline
        if busy and work is not desk.work:
            line = self.tr("{site}: {line}").format(site=work.site, line=line)
        if status.state in ("approval", "countdown"):
            line = self.tr("{headline} · nothing has left this computer").format(headline=status.headline)
        if desk.paused and desk.work.total:
            line = self.tr("Paused · step {step} of {steps}").format(step=desk.work.done, steps=desk.work.total)
        self._line.setText(line)
        share = work.share if busy or desk.paused else None
        self._progress.setVisible(share is not None)
        self._progress.set_share(share or 0.0)
        self._memory.setVisible(work.memory_mib > 0)
        self._memory.setText(self.tr("{size} GB memory").format(size=f"{work.memory_mib / 953.67:.1f}"))
        self._paused = desk.paused
        self._pause.setText(self.tr("Go on") if desk.paused else self.tr("Pause"))
        self._pause.setVisible(desk.paused or desk.work.phase in WORDS and desk.work.phase != "uploading")

    @Slot()
    def _pressed(self) -> None:
        if self._paused:
            self.resume_requested.emit()
        else:
            self.pause_requested.emit()
