# SPDX-License-Identifier: Apache-2.0
"""The watch over slots, which every test of windows stands under: it sees what stands still, and blames nobody else."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable

import pytest
from PySide6.QtCore import QCoreApplication, QObject, QTimer, Signal, Slot
from pytestqt.qtbot import QtBot

from tests.parts import slots

pytestmark = pytest.mark.usefixtures("qapp")


def compute(milliseconds: float) -> None:
    end = time.thread_time() + milliseconds / 1000
    while time.thread_time() < end:
        pass


class Page(QObject):
    asked = Signal(str, int)

    def __init__(self, work: Callable[[], None]) -> None:
        super().__init__()
        self.work = work
        self.told: tuple[object, ...] = ()

    @Slot()
    def without(self) -> None:
        self.work()

    @Slot(str)
    def one(self, word: str) -> None:
        self.told = (word,)
        self.work()


def found() -> list[str]:
    """Taken out, so that the test passes that made it."""
    taken = list(slots.WATCH.found)
    slots.WATCH.found.clear()
    return taken


def test_that_a_slot_that_a_timer_calls_is_seen_where_it_computes_for_long(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "slowness", lambda: 1.0)
    page = Page(lambda: compute(slots.MOST_MS + 20))
    QTimer.singleShot(0, page.without)
    qtbot.waitUntil(lambda: bool(slots.WATCH.found))
    (seen,) = found()
    assert "Page.without computed for" in seen


def test_that_a_machine_that_is_half_as_fast_has_twice_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "slowness", lambda: 2.0)
    Page(lambda: compute(slots.MOST_MS + 20)).without()
    assert not found()
    Page(lambda: compute(2 * slots.MOST_MS + 20)).without()
    assert len(found()) == 1


def test_that_what_a_slot_may_take_for_a_page_is_not_blamed_on_the_slot_that_called_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(slots, "slowness", lambda: 2.0)
    monkeypatch.setattr(slots, "MAKES_A_PAGE", frozenset({f"{__name__}.Page.one"}))
    inner = Page(lambda: compute(2 * slots.MOST_MS + 180))
    Page(lambda: inner.one("a page")).without()
    assert not found()


def test_that_a_page_that_a_slot_is_the_first_to_need_is_not_blamed_on_it_but_has_its_own_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from fedmed_desktop.desktop.frame.late import Late

    monkeypatch.setattr(slots, "slowness", lambda: 1.0)
    late = Late(lambda: compute(slots.MOST_MS + 20))
    Page(late).without()
    assert not found()
    Page(Late(lambda: compute(slots.MOST_FIRST_MS + 20))).without()
    assert "Late.__call__" in found()[0]


def test_that_a_short_slot_is_not_seen_and_gets_what_the_signal_carries() -> None:
    before = slots.WATCH.count
    page = Page(lambda: compute(5))
    page.asked.connect(page.one)
    page.asked.connect(page.without)
    page.asked.emit("a", 3)
    QCoreApplication.processEvents()
    assert page.told == ("a",) and slots.WATCH.count == before + 2 and not found()


def test_that_a_slot_that_waits_is_seen_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "MOST_WAIT_MS", 20.0)
    Page(lambda: time.sleep(0.05)).without()
    (seen,) = found()
    assert "of which it computed for" in seen


def test_that_neither_another_thread_nor_the_search_for_garbage_is_blamed_on_a_slot() -> None:
    def collect() -> None:
        end = time.thread_time() + slots.MOST_MS / 1000
        while time.thread_time() < end:
            gc.collect()

    Page(collect).without()
    page = Page(lambda: compute(slots.MOST_MS + 20))
    thread = threading.Thread(target=page.without)
    thread.start()
    thread.join()
    assert not found()


def test_that_every_slot_of_the_desktop_is_watched(qtbot: QtBot) -> None:
    from fedmed_desktop.desktop.frame.window import Window

    assert Window.prepare.__wrapped__.__name__ == "prepare"  # type: ignore[attr-defined]
