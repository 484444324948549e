# SPDX-License-Identifier: Apache-2.0
"""Small jobs off the GUI thread, such as looking into a folder: the result comes back to a slot, or is dropped.

The training thread is not for these; it may be busy for hours. Their threads are daemons: a look at a share that no
longer answers may never return, and neither Qt nor Python may wait for it when the program ends.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeVar

import shiboken6
from PySide6.QtCore import QObject, Qt, Signal, Slot

T = TypeVar("T")

# Enough that one folder on a share that does not answer holds up no other look, however few cores there are.
THREADS: Final = 4
GRACE_MS: Final = 500

# A task lives here until its outcome has come back to the GUI thread: a QObject must not die on another one.
_running: set[Task] = set()


class Pool:
    """Runs what it is given on at most so many threads, in order. A thread ends when nothing waits: looks are rare."""

    def __init__(self, most: int = THREADS) -> None:
        self._most = most
        self._threads = 0
        self._waiting: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()

    def start(self, work: Callable[[], None]) -> None:
        with self._changed:
            self._waiting.append(work)
            if self._threads == self._most:
                return
            self._threads += 1
        threading.Thread(target=self._run, name="look", daemon=True).start()

    def take_back(self, work: Callable[[], None]) -> bool:
        """Takes work back; returns whether it had not begun, and now never will."""
        with self._changed, contextlib.suppress(ValueError):
            self._waiting.remove(work)
            return True
        return False

    def end(self, milliseconds: int) -> bool:
        """Drops what waits; whether what runs has ended in this time."""
        with self._changed:
            self._waiting.clear()
            return self._changed.wait_for(lambda: not self._threads, milliseconds / 1000)

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    self._threads -= 1
                    self._changed.notify_all()
                    return
                work = self._waiting.popleft()
            work()


_pool = Pool()


class Task(QObject):
    """One job. What comes of it is told in the GUI thread, once, unless it was dropped before or its owner is gone."""

    _came = Signal(object, object)

    def __init__(
        self, owner: QObject, fn: Callable[[], T], done: Callable[[T], None], failed: Callable[[BaseException], None]
    ) -> None:
        super().__init__()
        self._owner = owner
        self._fn: Callable[[], Any] = fn
        self._done: Callable[[Any], None] = done
        self._failed = failed
        self._dropped = self._ended = False
        self._came.connect(self._take, Qt.ConnectionType.QueuedConnection)

    def start(self) -> None:
        _running.add(self)
        _pool.start(self._work)

    def drop(self) -> None:
        """Nobody wants the result any more. Work that has not begun is never done."""
        self._dropped = True
        if _pool.take_back(self._work):
            _running.discard(self)

    def forget(self) -> None:
        """Drops it for good: not even its end is told, since the program that would hear of it ends as well."""
        self._dropped = self._ended = True

    def _work(self) -> None:
        """Does the work, on a thread of the pool."""
        try:
            outcome: tuple[object, BaseException | None] = self._fn(), None
        except BaseException as error:  # told on the thread where it can be shown
            outcome = None, error
        if not self._ended:
            with contextlib.suppress(RuntimeError):  # Qt has deleted the signal's source: the application is gone
                self._came.emit(*outcome)

    @Slot(object, object)
    def _take(self, result: object, error: BaseException | None) -> None:
        _running.discard(self)
        if self._dropped or not shiboken6.isValid(self._owner):
            return
        if error is None:
            self._done(result)
        else:
            self._failed(error)


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


def end(milliseconds: int = GRACE_MS) -> bool:
    """Ends the pool when the program closes, from the GUI thread: no result is told any more, what waits is never
    begun.

    Gives what runs this time to end; whether it did. What did not goes down with the process, which waits for nothing
    here: these jobs only read.
    """
    for task in _running:
        task.forget()
    has_ended = _pool.end(milliseconds)
    if has_ended:
        _running.clear()
    return has_ended
