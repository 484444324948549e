# SPDX-License-Identifier: Apache-2.0
"""Small jobs off the GUI thread, such as looking into a folder: the result comes back to a slot, or is dropped.

The training thread is not for these; it may be busy for hours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import shiboken6
from PySide6.QtCore import QObject, QRunnable, Qt, QThreadPool, Signal, Slot

T = TypeVar("T")

# Enough that one folder on a share that does not answer holds up no other look, however few cores there are.
THREADS = 4

# A task lives here until its outcome has come back to the GUI thread: a QObject must not die on another one.
_running: set[Task] = set()


class Task(QObject):
    """One job. What comes of it is told in the GUI thread, once, unless it was dropped before or its owner is gone."""

    _came = Signal(object, object)

    def __init__(
        self,
        owner: QObject,
        fn: Callable[[], T],
        done: Callable[[T], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        super().__init__()
        self._owner = owner
        self._done: Callable[[Any], None] = done
        self._failed = failed
        self._dropped = False
        self._work = _Work(fn, self._came.emit)
        self._came.connect(self._take, Qt.ConnectionType.QueuedConnection)

    def start(self) -> None:
        _running.add(self)
        _pool().start(self._work)

    def drop(self) -> None:
        """Nobody wants the result any more. Work that has not begun is never done."""
        self._dropped = True
        if _pool().tryTake(self._work):
            _running.discard(self)

    @Slot(object, object)
    def _take(self, result: object, error: BaseException | None) -> None:
        _running.discard(self)
        if self._dropped or not shiboken6.isValid(self._owner):
            return
        if error is None:
            self._done(result)
        else:
            self._failed(error)


def _pool() -> QThreadPool:
    pool = QThreadPool.globalInstance()
    pool.setMaxThreadCount(max(pool.maxThreadCount(), THREADS))
    return pool


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
    owner: QObject,
    fn: Callable[[], T],
    done: Callable[[T], None],
    failed: Callable[[BaseException], None],
    replaces: Task | None = None,
) -> Task:
    """Runs `fn` on a thread of the pool; `done(result)` or `failed(exception)` is then called in the GUI thread.

    From the GUI thread. Neither is called once `owner` is deleted. `replaces` is an earlier task with the same
    question, whose answer is now stale.
    """
    if replaces is not None:
        replaces.drop()
    task = Task(owner, fn, done, failed)
    task.start()
    return task
