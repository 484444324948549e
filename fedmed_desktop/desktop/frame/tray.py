# SPDX-License-Identifier: Apache-2.0
"""The program's icon in the system's tray, where there is one: the state in its tooltip, and a menu."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QSystemTrayIcon, QWidget

from ..look.icons import app_icon
from ..work.desk import Desk
from .strip import can_pause

CLICKS = (QSystemTrayIcon.ActivationReason.Trigger, QSystemTrayIcon.ActivationReason.DoubleClick)


class Tray(QObject):
    """Says by signals what was chosen. `is_there` False: the system has no tray, and nothing here does anything.
    `is_there` can be given for tests.
    """

    open_requested = Signal()
    pause_requested = Signal()
    resume_requested = Signal()
    quit_requested = Signal()

    def __init__(self, window: QWidget, is_there: bool | None = None) -> None:
        super().__init__(window)
        self.is_there = QSystemTrayIcon.isSystemTrayAvailable() if is_there is None else is_there
        self.icon: QSystemTrayIcon | None = None
        self._paused = False
        self.menu = QMenu(window)
        self.open = self._add(self.tr("Open the window"))
        self.pause = self._add("")
        self.menu.addSeparator()
        self.quit = self._add(self.tr("Quit"))
        self.open.triggered.connect(self.open_requested)
        self.pause.triggered.connect(self._pause_or_resume)
        self.quit.triggered.connect(self.quit_requested)
        if self.is_there:
            self.icon = QSystemTrayIcon(app_icon(), self)
            self.icon.setContextMenu(self.menu)
            self.icon.activated.connect(self._clicked)
            self.icon.messageClicked.connect(self.open_requested)
            self.icon.show()

    def _add(self, text: str) -> QAction:
        action = QAction(text, self)
        self.menu.addAction(action)
        return action

    def show_desk(self, desk: Desk, title: str) -> None:
        """`title` tells the state in a line, as the window's title does."""
        self._paused = desk.paused
        self.pause.setText(self.tr("Continue training") if desk.paused else self.tr("Pause training"))
        self.pause.setVisible(can_pause(desk))
        self.quit.setEnabled(not desk.closing)
        if self.icon is not None and self.icon.toolTip() != title:
            self.icon.setToolTip(title)

    def tell(self, title: str, text: str) -> None:
        if self.icon is not None:
            self.icon.showMessage(title, text, app_icon())

    def end(self) -> None:
        if self.icon is not None:
            self.icon.hide()

    @Slot()
    def _pause_or_resume(self) -> None:
        if self._paused:
            self.resume_requested.emit()
        else:
            self.pause_requested.emit()

    @Slot(QSystemTrayIcon.ActivationReason)
    def _clicked(self, reason: QSystemTrayIcon.ActivationReason) -> None:
        if reason in CLICKS:
            self.open_requested.emit()
