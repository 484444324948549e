# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C while Qt runs: Python's signal handlers get their turn only when Python code runs, so a timer gives it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from PySide6.QtCore import QObject, QTimer, Slot

PERIOD_MS = 200


class _Interrupts(QObject):
    """Does what a signal asked for, between two turns of the event loop.

    The signal's own handler only notes it: Python may call that anywhere, such as while the GUI thread holds the
    buffer's lock, and what closing appends there would then wait for itself.
    """

    def __init__(self, close: Callable[[], object]) -> None:
        super().__init__()
        self._close = close
        self._asked = False
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._look)
        self._timer.start(PERIOD_MS)

    def note(self, number: int, frame: FrameType | None) -> None:
        self._asked = True

    @Slot()
    def _look(self) -> None:
        if self._asked:
            self._asked = False
            self._close()


@contextmanager
def quit_on_interrupt(close: Callable[[], object]) -> Iterator[None]:
    """SIGINT and SIGTERM close the program in order, as its window's button does; a second one does so again. From the
    main thread, which is the GUI thread; `close` is called there, a fifth of a second later at most.
    """
    interrupts = _Interrupts(close)
    before = {number: signal.signal(number, interrupts.note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        interrupts.deleteLater()
