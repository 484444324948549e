# SPDX-License-Identifier: Apache-2.0
"""Small jobs off the GUI thread, such as looking into a folder: the result comes back to a slot, or is dropped.

The training thread is not for these; it may be busy for hours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from PySide6.QtCore import QObject, QRunnable, Qt, QThreadPool, Signal, Slot

T = TypeVar("T")

# A task lives here until its outcome has come back to the GUI thread: a QObject must not die on another one.
_running: set[Task] = set()


class Task(QObject):
    """One job. `done` and `failed` are emitted in the GUI thread, one of them once, unless it was dropped before."""

    done = Signal(object)
    failed = Signal(object)
    _came = Signal(object, object)

    def __init__(self, fn: Callable[[], object]) -> None:
        super().__init__()
        self._dropped = False
        self._work = _Work(fn, self._came.emit)
        self._came.connect(self._take, Qt.ConnectionType.QueuedConnection)

    def start(self) -> None:
        _running.add(self)
        QThreadPool.globalInstance().start(self._work)

    def drop(self) -> None:
        """Nobody wants the result any more. Work that has not begun is never done."""
        self._dropped = True
        if QThreadPool.globalInstance().tryTake(self._work):
            _running.discard(self)

    @Slot(object, object)
    def _take(self, result: object, error: object) -> None:
        _running.discard(self)
        if self._dropped:
            return
        if error is None:
            self.done.emit(result)
        else:
            self.failed.emit(error)


class _Work(QRunnable):
    def __init__(self, fn: Callable[[], object], came: Callable[[object, object], None]) -> None:
        super().__init__()
        self.setAutoDelete(False)  # its task keeps it
        self._fn = fn
        self._came = came

    def run(self) -> None:
        try:
            result = self._fn()
        except BaseException as error:  # whoever waits is told, on the thread where it can be shown
            self._came(None, error)
        else:
            self._came(result, None)


def run_task(
    fn: Callable[[], T],
    done: Callable[[T], None],
    failed: Callable[[BaseException], None],
    replaces: Task | None = None,
) -> Task:
    """Runs `fn` on a thread of the pool; `done(result)` or `failed(exception)` is then called in the GUI thread.

    Both must be @Slot methods of QObjects of the GUI thread: a receiver that is gone by then is not called. `replaces`
    is an earlier task of the same question, whose answer is now stale.
    """
    if replaces is not None:
        replaces.drop()
    task = Task(fn)
    task.done.connect(done)
    task.failed.connect(failed)
    task.start()
    return task
