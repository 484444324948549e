# SPDX-License-Identifier: Apache-2.0
"""The threads under the window: what reaches the screen and in which order, and that they end when they should."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Iterator, Sequence

import pytest
from PySide6.QtCore import QObject, QThread
from pytestqt.qtbot import QtBot

from fedmed_desktop import events
from fedmed_desktop.desktop.work.bridge import EventBuffer, Pump
from fedmed_desktop.desktop.work.network import NetworkThread
from fedmed_desktop.desktop.work.news import Item, Problem
from fedmed_desktop.desktop.work.worker import TrainingThread
from fedmed_desktop.site import Jobs


def step(number: int) -> events.TrainingStep:
    return events.TrainingStep(
        site="A", round=1, step=number, steps=100, loss=1.0, learning_rate=1e-3, tokens_per_second=1.0, memory_mib=1.0
    )


def phase(name: events.Phase) -> events.PhaseChanged:
    return events.PhaseChanged(site="A", round=1, phase=name)


@pytest.fixture
def training() -> Iterator[TrainingThread]:
    thread = TrainingThread()
    thread.start()
    yield thread
    thread.shutdown()


@pytest.fixture
def network() -> Iterator[NetworkThread]:
    thread = NetworkThread()
    thread.start()
    yield thread
    thread.stop()


def test_that_a_buffer_gives_back_what_it_was_given_in_order() -> None:
    buffer = EventBuffer()
    given: list[Item] = [step(1), phase("training"), step(2), Problem("desktop.not_asked"), step(3)]
    for item in given:
        buffer.append(item)
    assert buffer.drain() == given
    assert buffer.drain() == []


def test_that_a_full_buffer_drops_the_oldest_steps_and_counts_them_but_no_decision() -> None:
    buffer = EventBuffer(most_steps=3)
    opened = phase("training")
    buffer.append(opened)
    for number in range(1, 8):
        buffer.append(step(number))
    kept = buffer.drain()
    assert kept[0] == opened
    assert [item.step for item in kept if isinstance(item, events.TrainingStep)] == [5, 6, 7]
    assert buffer.dropped == 4


def test_that_nothing_is_lost_or_reordered_while_other_threads_append(qtbot: QtBot) -> None:
    buffer, taken = EventBuffer(), list[Item]()

    def take(items: Sequence[Item]) -> None:
        taken.extend(items)

    owner = QObject()
    pump = Pump(buffer, take, owner)
    pump.start()

    def produce(site: str) -> None:
        for number in range(500):
            buffer.append(step(number).model_copy(update={"site": site}))

    producers = [threading.Thread(target=produce, args=(site,)) for site in "ABC"]
    for producer in producers:
        producer.start()
    for producer in producers:
        producer.join()
    qtbot.waitUntil(lambda: len(taken) == 1500)
    pump.stop()
    for site in "ABC":
        mine = [item.step for item in taken if isinstance(item, events.TrainingStep) and item.site == site]
        assert mine == list(range(500))


def test_that_jobs_run_one_after_the_other_on_the_training_thread(training: TrainingThread) -> None:
    def where() -> int:
        return threading.get_ident()

    first, second = training.submit(where), training.submit(where)
    assert first.result(5) == second.result(5) != threading.get_ident()


def test_that_a_fault_in_a_job_reaches_who_waits_for_it_and_the_next_job_still_runs(training: TrainingThread) -> None:
    def fail() -> None:
        raise ValueError("broken")

    failed, fine = training.submit(fail), training.submit(lambda: 7)
    with pytest.raises(ValueError, match="broken"):
        failed.result(5)
    assert fine.result(5) == 7


def test_that_jobs_that_wait_can_be_dropped_at_the_end() -> None:
    training = TrainingThread()
    training.start()
    running, release = threading.Event(), threading.Event()

    def hold() -> None:
        running.set()
        release.wait()

    held, never = training.submit(hold), training.submit(lambda: 1)
    running.wait(5)
    threading.Timer(0.05, release.set).start()
    training.shutdown(cancel_futures=True)
    assert held.done() and never.cancelled()


def test_that_a_coroutine_waits_for_a_job_without_blocking_its_loop(
    training: TrainingThread, network: NetworkThread
) -> None:
    release = threading.Event()
    jobs = Jobs(training)

    async def work() -> str:
        job = asyncio.ensure_future(jobs.run(lambda: release.wait(5)))
        await asyncio.sleep(0)
        release.set()
        return "free" if await job else "blocked"

    assert network.submit(work()).result(5) == "free"


def test_that_the_training_thread_says_whether_it_is_busy(training: TrainingThread, qtbot: QtBot) -> None:
    release = threading.Event()
    held = training.submit(release.wait)
    assert training.busy
    release.set()
    held.result(5)
    qtbot.waitUntil(lambda: not training.busy)


def test_that_the_network_thread_cancels_what_runs_and_lets_it_clean_up() -> None:
    network = NetworkThread()
    network.start()
    started, cleaned = threading.Event(), threading.Event()

    async def forever() -> None:
        try:
            started.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.set()

    future: concurrent.futures.Future[None] = network.submit(forever())
    assert started.wait(5)
    network.stop()
    assert cleaned.is_set() and future.cancelled()


def test_that_the_training_thread_is_a_qthread_that_has_ended_after_shutdown(qtbot: QtBot) -> None:
    training = TrainingThread()
    training.start()
    on = training.submit(QThread.currentThread).result(5)
    assert on.objectName() == "training"
    training.shutdown()
    assert on.isFinished()
