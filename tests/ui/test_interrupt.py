# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C closes the program from its event loop, never from the middle of whatever Python does at that moment."""

from __future__ import annotations

import signal
import threading

import pytest
from pytestqt.qtbot import QtBot

from fedmed_desktop.desktop.interrupt import quit_on_interrupt
from fedmed_desktop.desktop.work.bridge import EventBuffer
from fedmed_desktop.desktop.work.news import SessionEnded


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_that_a_signal_closes_once_and_in_the_gui_thread(number: signal.Signals, qtbot: QtBot) -> None:
    closed: list[threading.Thread] = []
    before = signal.getsignal(number)
    with quit_on_interrupt(lambda: closed.append(threading.current_thread())):
        signal.raise_signal(number)
        assert not closed, "the handler itself does nothing"
        qtbot.waitUntil(lambda: bool(closed))
        assert closed == [threading.current_thread()]
        signal.raise_signal(number)
        qtbot.waitUntil(lambda: len(closed) == 2)
    assert signal.getsignal(number) is before


def test_that_a_signal_while_the_buffers_lock_is_held_waits_for_it(qtbot: QtBot) -> None:
    buffer = EventBuffer()
    closing = SessionEnded("stopped")
    with quit_on_interrupt(lambda: buffer.append(closing)):
        with buffer._lock:
            signal.raise_signal(signal.SIGINT)
        qtbot.waitUntil(lambda: buffer.drain() == [closing])
