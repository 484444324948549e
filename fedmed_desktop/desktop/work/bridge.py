# SPDX-License-Identifier: Apache-2.0
"""The bridge from other threads to the screen: a bounded buffer, emptied ten times a second.

A queued signal for each training step freezes the window (measured: 2,900 signals a second stop it for seconds, the
same values through a deque cost 5 ms at the 99th percentile), so nothing here is a signal per event.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

from PySide6.QtCore import QObject, Qt, QTimer, Slot

from ... import events
from .news import Item

# Fifteen minutes of steps at the fastest pace seen; a few MiB.
MOST_STEPS = 20_000
PERIOD_MS = 100

_DROPPABLE = (events.TrainingStep, events.GenerationProgress, events.TransferProgress)


class EventBuffer:
    """Items from any thread, in their order. Steps and progress are dropped, oldest first, where nobody empties it."""

    def __init__(self, most_steps: int = MOST_STEPS) -> None:
        self._lock = threading.Lock()
        self._most = most_steps
        self._number = 0
        self._steps: deque[tuple[int, Item]] = deque(maxlen=most_steps)
        self._rare: list[tuple[int, Item]] = []
        self.dropped = 0

    def append(self, item: Item) -> None:
        with self._lock:
            self._number += 1
            if isinstance(item, _DROPPABLE):
                self.dropped += len(self._steps) == self._most
                self._steps.append((self._number, item))
            else:
                self._rare.append((self._number, item))

    def drain(self) -> list[Item]:
        """Everything since the last call, in the order in which it was appended."""
        with self._lock:
            taken = [*self._steps, *self._rare]
            self._steps.clear()
            self._rare.clear()
        taken.sort(key=lambda numbered: numbered[0])
        return [item for _, item in taken]


class Pump(QObject):
    """Empties a buffer in the GUI thread and hands on what was in it, also when that is nothing: clocks go on."""

    def __init__(self, buffer: EventBuffer, take: Callable[[Sequence[Item]], None], parent: QObject) -> None:
        super().__init__(parent)
        self._buffer = buffer
        self._take = take
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.CoarseTimer)
        self._timer.setInterval(PERIOD_MS)
        self._timer.timeout.connect(self.empty)

    def start(self) -> None:
        self._timer.start()

    def stop(self) -> None:
        self._timer.stop()

    @Slot()
    def empty(self) -> None:
        """Empties the buffer now, rather than at the next tick."""
        self._take(self._buffer.drain())
