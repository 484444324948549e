# SPDX-License-Identifier: Apache-2.0
"""The installed pair of PySide6 and Python drops no references to None: a pair that does dies within minutes."""

from __future__ import annotations

import sys
from pathlib import Path

from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from fedmed_desktop.desktop.pages.monitor import MonitorPage
from fedmed_desktop.desktop.view.desk import Desk
from fedmed_desktop.desktop.view.items import SessionStarted
from tests.monitor_parts import SITE, run, step

REPAINTS = 1_000
MOST_DROPPED = 50


def test_that_repaints_of_the_monitor_drop_no_references_to_none(qapp: QApplication, qtbot: QtBot) -> None:
    page, desk = MonitorPage(), Desk()
    qtbot.addWidget(page)
    earlier = run(rounds=3, steps=300, last_step=10)
    desk.fold([SessionStarted("site", SITE, "ws://127.0.0.1:1", (SITE,), Path(), Path()), *earlier])
    page.resize(1280, 720)
    page.show()
    page.show_desk(desk)
    qapp.processEvents()
    before, drawn = sys.getrefcount(None), len(desk.curves)
    for number in range(REPAINTS):
        desk.fold([step(11 + number, 3, 2 * REPAINTS)])
        page.show_desk(desk)
        page.repaint()
        qapp.processEvents()
    grown = sys.getrefcount(None) - before
    assert page.charts.loss.data("raw")[0].size == drawn + REPAINTS, "each repaint had something new to draw"
    # The bad pair drops more than 20 at each repaint. A rise is allowed: None is also what fields and arguments hold
    # that came to life meanwhile, and what is taken too often costs no memory and ends no process.
    assert grown >= -MOST_DROPPED
