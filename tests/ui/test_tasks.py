# SPDX-License-Identifier: Apache-2.0
"""Small jobs off the GUI thread: the result arrives in it, once, and only while somebody wants it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
import shiboken6
from PySide6.QtCore import QObject, Slot
from pytestqt.qtbot import QtBot

from fedmed_desktop.desktop.work import tasks
from fedmed_desktop.desktop.work.tasks import run_task


class Owner(QObject):
    def __init__(self) -> None:
        super().__init__()
        self.results: list[object] = []
        self.errors: list[BaseException] = []
        self.threads: set[threading.Thread] = set()

    @Slot(object)
    def take(self, result: object) -> None:
        self.results.append(result)
        self.threads.add(threading.current_thread())

    @Slot(object)
    def fail(self, error: BaseException) -> None:
        self.errors.append(error)
        self.threads.add(threading.current_thread())


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What holds a task until a test has looked."""
    event = threading.Event()
    yield event
    event.set()
    assert tasks.end(10_000)


def test_that_a_result_arrives_in_the_gui_thread(qtbot: QtBot) -> None:
    owner = Owner()
    where: list[int] = []
    run_task(owner, lambda: where.append(threading.get_ident()) or 42, owner.take, owner.fail)
    qtbot.waitUntil(lambda: owner.results == [42])
    assert owner.threads == {threading.current_thread()}
    assert where != [threading.get_ident()]
    assert not tasks._running


def test_that_a_fault_arrives_there_too(qtbot: QtBot) -> None:
    owner = Owner()
    run_task(owner, lambda: 1 / 0, owner.take, owner.fail)
    qtbot.waitUntil(lambda: bool(owner.errors))
    assert isinstance(owner.errors[0], ZeroDivisionError) and owner.results == []
    assert owner.threads == {threading.current_thread()}


def test_that_a_stale_result_is_dropped(qtbot: QtBot, gate: threading.Event) -> None:
    owner = Owner()

    def slow() -> str:
        gate.wait(10)
        return "stale"

    first = run_task(owner, slow, owner.take, owner.fail)
    run_task(owner, lambda: "fresh", owner.take, owner.fail, first)
    qtbot.waitUntil(lambda: owner.results == ["fresh"])
    gate.set()
    qtbot.waitUntil(lambda: not tasks._running)
    assert owner.results == ["fresh"] and owner.errors == []


def test_that_work_that_nobody_wants_any_more_is_not_begun(qtbot: QtBot, gate: threading.Event) -> None:
    owner = Owner()
    run_task(owner, lambda: gate.wait(10), owner.take, owner.fail)
    for _ in range(tasks.THREADS - 1):
        run_task(owner, lambda: gate.wait(10), owner.take, owner.fail)
    begun: list[bool] = []
    task = run_task(owner, lambda: begun.append(True), owner.take, owner.fail)
    task.drop()
    gate.set()
    qtbot.waitUntil(lambda: not tasks._running)
    assert begun == [] and len(owner.results) == tasks.THREADS


def test_that_a_receiver_that_is_gone_is_not_called(qtbot: QtBot, gate: threading.Event) -> None:
    owner = Owner()
    run_task(owner, lambda: gate.wait(10), owner.take, owner.fail)
    shiboken6.delete(owner)
    gate.set()
    qtbot.waitUntil(lambda: not tasks._running)
    assert owner.results == []


def test_that_work_runs_on_no_more_threads_than_it_should_and_they_end(gate: threading.Event) -> None:
    pool = tasks.Pool(2)
    begun: list[str] = []

    def work() -> None:
        begun.append(threading.current_thread().name)
        gate.wait(10)

    for _ in range(5):
        pool.start(work)
    deadline = time.monotonic() + 10
    while len(begun) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not pool.end(50), "two of them still wait at the gate"
    gate.set()
    assert pool.end(10_000)
    assert len(begun) == 2, "what had not begun never does"


def test_that_after_the_end_nothing_is_told(qtbot: QtBot, gate: threading.Event) -> None:
    owner = Owner()
    for _ in range(tasks.THREADS + 1):
        run_task(owner, lambda: gate.wait(10), owner.take, owner.fail)
    assert not tasks.end(0)
    gate.set()
    assert tasks.end(10_000) and not tasks._running
    run_task(owner, lambda: "later", owner.take, owner.fail)  # another desktop in this process
    qtbot.waitUntil(lambda: bool(owner.results))
    assert owner.results == ["later"] and owner.errors == []


def test_that_an_outcome_whose_task_qt_has_deleted_is_no_fault(qtbot: QtBot, gate: threading.Event) -> None:
    owner = Owner()
    task = run_task(owner, lambda: gate.wait(10), owner.take, owner.fail)
    shiboken6.delete(task)
    gate.set()
    assert tasks._pool.end(10_000)  # its thread's death would fail this test
    tasks._running.clear()
    assert owner.results == []


DEAD_SHARE = """
import os, sys, threading
from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QApplication
from fedmed_desktop.desktop.work import tasks

app = QApplication([])
owner = QObject()
never = os.pipe()[0]
begun = threading.Event()

def look():
    begun.set()
    os.read(never, 1)  # in the system, as a look at a share that does not answer

def quit():
    assert not tasks.end(50)
    app.quit()

tasks.run_task(owner, look, print, print)
begun.wait(10)
QTimer.singleShot(0, quit)
app.exec()
print("closed")
"""


def test_that_a_program_ends_behind_a_look_that_never_returns() -> None:
    done = subprocess.run([sys.executable, "-c", DEAD_SHARE], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout.strip()) == (0, "closed"), done.stderr
