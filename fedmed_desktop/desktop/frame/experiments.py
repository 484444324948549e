# SPDX-License-Identifier: Apache-2.0
"""Experiments of the lab in the window: the one that is open stands in the Monitor's place until it is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Slot

if TYPE_CHECKING:
    from ..experiment.page import ExperimentPage
    from ..monitor.page import MonitorPage
    from .window import Window


class Experiments(QObject):
    """Asks for an experiment, and puts it in the Monitor's place."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._window = window
        window.pages.monitor.then(self._connect_monitor)
        window.pages.experiment.then(self._connect)

    def _connect_monitor(self, page: MonitorPage) -> None:
        page.experiment_asked.connect(self.ask)

    def _connect(self, page: ExperimentPage) -> None:
        page.opened.connect(self._show)
        page.refused.connect(self._window.say)
        page.closed.connect(self._close)

    @Slot()
    def ask(self) -> None:
        """Asks for the folder of an experiment; the page is turned to once one was read."""
        self._window.experiment.ask()

    @Slot()
    def _show(self) -> None:
        self._window.pages.places["monitor"] = self._window.pages.experiment
        self._window.turn_again("monitor")
        self._window.experiment.focus()

    @Slot()
    def _close(self) -> None:
        self._window.pages.places["monitor"] = self._window.pages.monitor
        self._window.turn_again("monitor")
        self._window.focus_pages()
