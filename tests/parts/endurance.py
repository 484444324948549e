# SPDX-License-Identifier: Apache-2.0
"""The whole desktop through a replayed working day: what it holds after each hour. For a test and a benchmark."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import psutil
from PySide6.QtCore import QCoreApplication, QEvent, QObject
from PySide6.QtWidgets import QApplication

from fedmed_desktop.desktop.frame.pages import PAGES
from fedmed_desktop.desktop.program import Program
from tests.parts import replay

TICK_S: Final = 5  # of the day, told at once: what a desktop hears in half a second when it was busy
TURN_S: Final = 300  # another page after so long


@dataclass(frozen=True)
class Held:
    """What the process holds: resident bytes, QObjects below the window, and objects that Python's collector knows."""

    bytes: int
    widgets: int
    objects: int


def held(program: Program) -> Held:
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    gc.collect()
    widgets = len(program.window.findChildren(QObject))
    return Held(psutil.Process().memory_info().rss, widgets, len(gc.get_objects()))


def a_day(program: Program, told: Callable[[int, Held], None] = lambda hour, held: None) -> list[Held]:
    """After each hour of the day. The program is shown and begun; nothing else is joined. GUI thread."""
    program.engine.buffer.append(replay.session())
    found = []
    for second in range(0, replay.HOURS * 3600, TICK_S):
        if second % TURN_S == 0:
            program.window.go(PAGES[second // TURN_S % len(PAGES)])
        for number in range(second, second + TICK_S):
            for item in replay.second(number):
                program.engine.buffer.append(item)
        program.engine._pump.empty()
        QApplication.processEvents()
        if (second + TICK_S) % 3600 == 0:
            found.append(held(program))
            told(len(found), found[-1])
    return found
