# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C while Qt runs: Python's signal handlers get their turn only when Python code runs, so a timer gives it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from PySide6.QtCore import QObject, QTimer, Slot

PERIOD_MS = 200


class _Turn(QObject):
    """Its timer's slot is the Python code in which a pending signal is handled."""

    def __init__(self) -> None:
        super().__init__()
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._nothing)
        self._timer.start(PERIOD_MS)

    @Slot()
    def _nothing(self) -> None:
        return


@contextmanager
def quit_on_interrupt(close: Callable[[], object]) -> Iterator[None]:
    """SIGINT and SIGTERM close the program in order, as its window's button does; a second one does so again."""
    turn = _Turn()

    def handle(number: int, frame: FrameType | None) -> None:
        close()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        turn.deleteLater()
