# SPDX-License-Identifier: Apache-2.0
"""The strip at the bottom of the window, on every page: what this computer does, how far it is, and Pause."""

from __future__ import annotations

from datetime import datetime

from PySide6.QtCore import QSize, Signal, Slot
from PySide6.QtWidgets import QWidget

from ...wording import tr, written
from ..rounds.heading import round_line
from ..rounds.status import Status
from ..widgets import Bar, Button, Caption, ElidedLabel, Icon, LinkButton, Progress
from ..work.desk import Desk
from ..work.progress import WORDS


def can_pause(desk: Desk) -> bool:
    """Tells whether there is work to pause, or paused work to continue."""
    pausable = desk.work.phase in WORDS and desk.work.phase != "uploading"
    return desk.running and not desk.closing and (desk.paused or pausable)


class WorkStrip(Bar):
    """Hidden while there is no session. What is going on at the left; at the right how far it is, and what can be done.
    Pause is there where there is something to pause. `action_requested` carries a status's next step.
    """

    pause_requested = Signal()
    resume_requested = Signal()
    action_requested = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("top", parent)
        self._paused = False
        self._action = ""
        self._offers = False
        self._icon = Icon("clock", "dim")
        self._line = ElidedLabel()
        self._progress = Progress(self.tr("Progress of the work on this computer"))
        self._round = Caption()
        self._memory = Caption()
        self._review = LinkButton()
        self._review.clicked.connect(self._act)
        self._pause = Button(self.tr("Pause"))
        self._pause.clicked.connect(self._pressed)
        self.add(self._icon)
        self.add(self._line)
        self.content.addStretch(1)
        self.add(self._progress, 100)  # as wide as it may be; what is left stays empty
        for widget in (self._round, self._memory, self._review, self._pause):
            self.add(widget)
        self.restyle()

    def show_desk(self, desk: Desk, status: Status, now: datetime, offers: bool = True) -> None:
        """`offers`: the page that is seen does not offer the status's next step itself."""
        self.setVisible(desk.running)
        if not desk.running:
            return
        work = desk.computing
        busy = work.busy and not desk.paused and status.state not in ("approval", "countdown", "offline", "closing")
        self._icon.show_icon(status.icon, status.tone or "dim")
        self._line.setText(self._sentence(desk, status, now, busy))
        share = work.share if busy or desk.paused else None
        self._progress.setVisible(share is not None)
        self._progress.set_share(share or 0.0)
        self._memory.setVisible(busy and work.memory_mib > 0)
        self._memory.setText(self.tr("{size} GB memory").format(size=written(work.memory_mib / 953.67, ".1f")))
        self._show_buttons(desk, status, offers)
        self._round.setText(round_line(desk, now))
        self._round.setVisible(bool(self._round.text()) and not (busy or self._paused or self._offers))

    def _sentence(self, desk: Desk, status: Status, now: datetime, busy: bool) -> str:
        work = desk.computing
        if status.state in ("approval", "countdown"):
            return self.tr("{headline} · not sent").format(headline=status.headline)
        if desk.paused and desk.work.total:
            return " · ".join((tr("Paused"), desk.work.reached))
        if not busy:
            return status.headline
        line = work.line(now)
        return line if work is desk.work else self.tr("{site}: {line}").format(site=work.site, line=line)

    def _show_buttons(self, desk: Desk, status: Status, offers: bool) -> None:
        self._action = status.action or ""
        self._review.setText(status.action_label)
        self._offers = offers and self._action in ("review", "take_back")
        self._review.setVisible(self._offers)
        self._paused = desk.paused
        self._pause.setText(self.tr("Continue") if desk.paused else self.tr("Pause"))
        self._pause.setVisible(can_pause(desk))

    def minimumSizeHint(self) -> QSize:
        """Size that is as high as with the button, so that pages do not jump when there is one."""
        margins, edge = self.content.contentsMargins(), self.height() - self.contentsRect().height()
        high = self._pause.sizeHint().height() + margins.top() + margins.bottom() + edge
        return super().minimumSizeHint().expandedTo(QSize(0, high))

    def sizeHint(self) -> QSize:
        return super().sizeHint().expandedTo(QSize(0, self.minimumSizeHint().height()))

    def restyle(self) -> None:
        super().restyle()
        self._progress.setMaximumWidth(self._progress.sizeHint().width())

    @Slot()
    def _act(self) -> None:
        self.action_requested.emit(self._action)

    @Slot()
    def _pressed(self) -> None:
        if self._paused:
            self.resume_requested.emit()
        else:
            self.pause_requested.emit()
