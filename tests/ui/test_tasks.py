# SPDX-License-Identifier: Apache-2.0
"""Small jobs off the GUI thread: the result arrives in it, once, and only while somebody wants it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import shiboken6
from PySide6.QtCore import QObject, QThreadPool, Slot
from pytestqt.qtbot import QtBot

from fedmed_desktop.desktop import tasks
from fedmed_desktop.desktop.tasks import run_task


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
    QThreadPool.globalInstance().waitForDone()


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
    for _ in range(QThreadPool.globalInstance().maxThreadCount() - 1):
        run_task(owner, lambda: gate.wait(10), owner.take, owner.fail)
    begun: list[bool] = []
    task = run_task(owner, lambda: begun.append(True), owner.take, owner.fail)
    task.drop()
    gate.set()
    qtbot.waitUntil(lambda: not tasks._running)
    assert begun == [] and len(owner.results) == QThreadPool.globalInstance().maxThreadCount()


def test_that_a_receiver_that_is_gone_is_not_called(qtbot: QtBot, gate: threading.Event) -> None:
    owner = Owner()
    run_task(owner, lambda: gate.wait(10), owner.take, owner.fail)
    shiboken6.delete(owner)
    gate.set()
    qtbot.waitUntil(lambda: not tasks._running)
    assert owner.results == []
