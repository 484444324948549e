# SPDX-License-Identifier: Apache-2.0
"""The training thread: a worker object on a QThread that does one job after the other. It is an Executor, so that the
site's agent hands it jobs as it would hand them to a pool of one thread.
"""

from __future__ import annotations

import concurrent.futures
import queue
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from PySide6.QtCore import QObject, Qt, QThread, Signal, Slot

T = TypeVar("T")
P = ParamSpec("P")


class TrainingWorker(QObject):
    """Lives on its QThread. `run` ends when it is handed None; a job's fault goes into its future, never further."""

    finished = Signal()

    def __init__(self, jobs: queue.SimpleQueue[Callable[[], None] | None]) -> None:
        super().__init__()
        self._jobs = jobs

    @Slot()
    def run(self) -> None:
        try:
            while (job := self._jobs.get()) is not None:
                job()
                del job  # what it made, or raised with, is not kept until the next one comes
        finally:
            self.finished.emit()


class TrainingThread(concurrent.futures.Executor):
    """The QThread and its worker. `submit` from any thread; `shutdown` from the GUI thread, with no job running."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._unfinished: set[concurrent.futures.Future[Any]] = set()
        self._thread = QThread()
        self._thread.setObjectName("training")
        self._worker = TrainingWorker(self._jobs)
        self._worker.moveToThread(self._thread)
        self._thread.started.connect(self._worker.run)
        # Direct, since nobody delivers a queued call to the GUI thread while that waits for this one to end.
        self._worker.finished.connect(self._thread.quit, Qt.ConnectionType.DirectConnection)

    def start(self) -> None:
        self._thread.start(QThread.Priority.LowPriority)

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> concurrent.futures.Future[T]:
        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._unfinished.add(future)

        def job() -> None:
            try:
                if not future.set_running_or_notify_cancel():
                    return
                try:
                    result = function(*args, **kwargs)
                except BaseException as error:  # told through the future
                    future.set_exception(error)
                else:
                    future.set_result(result)
            finally:
                self._unfinished.discard(future)

        self._jobs.put(job)
        return future

    @property
    def busy(self) -> bool:
        """Tells whether a job runs or waits."""
        return bool(self._unfinished)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Ends the thread after the running job. Destroying a QThread that runs would abort the program."""
        if cancel_futures:
            for future in list(self._unfinished):
                future.cancel()
        self._jobs.put(None)
        if wait:
            self._thread.wait()
