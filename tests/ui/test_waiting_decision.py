# SPDX-License-Identifier: Apache-2.0
"""A decision that waits is not missed: the title tells of it, closing asks, and the system is told once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from fedmed_desktop import events
from fedmed_desktop.desktop.frame.notifications import AWAY_S, Notifier, notifications
from fedmed_desktop.desktop.frame.questions import about_closing
from fedmed_desktop.desktop.frame.tray import Tray
from fedmed_desktop.desktop.rounds.status import status
from fedmed_desktop.desktop.work.desk import Desk
from tests.parts.scene import CLOSES, NOW, SITE, Lakeview
from tests.ui.scenes import scenes, shown

SCENES = {scene.name: scene for scene in scenes()}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Lakeview]:
    made = Lakeview(tmp_path)
    yield made
    made.close()


def told(desk: Desk, now: datetime = NOW) -> str:
    found = [one for one in notifications(desk, status(desk, now), now) if one.kind != "round"]
    return f"{found[0].title}. {found[0].text}" if found else ""


def test_that_the_title_tells_the_state_and_the_federation(qtbot: QtBot, tmp_path: Path) -> None:
    with shown(SCENES["rounds-approval"], tmp_path, (1280, 720)) as stage:
        title = "Ready for your decision – Riverside federation – fedmed-desktop"
        assert stage.window.windowTitle() == title
    with shown(SCENES["rounds-not-joined"], tmp_path, (1280, 720)) as stage:
        assert stage.window.windowTitle() == "fedmed-desktop"


def test_that_closing_asks_while_a_decision_waits_and_says_until_when(site: Lakeview) -> None:
    assert about_closing(site.desk, NOW) is None
    site.trained()
    words = about_closing(site.desk, NOW)
    assert words is not None and words.title == "Close while your decision is awaited?"
    assert f"{CLOSES.astimezone():%H:%M}" in words.text and words.no == "Stay open"


def test_that_closing_asks_while_an_approval_counts_down(site: Lakeview) -> None:
    site.approve(site.trained())
    words = about_closing(site.desk, NOW)
    assert words is not None and "taken back" in words.text


def test_that_a_decision_is_told_of_and_once_more_before_the_round_closes(site: Lakeview) -> None:
    assert told(site.desk) == ""
    site.trained()
    clock = f"{CLOSES.astimezone():%H:%M}"
    assert told(site.desk) == f"A decision waits for you. It counts until {clock}."
    late = CLOSES - timedelta(minutes=5)
    assert told(site.desk, late) == f"A decision waits for you, and time runs out. It counts until {clock}."


def test_that_a_short_absence_of_the_coordinator_is_no_news(site: Lakeview) -> None:
    site.tell(events.ConnectionChanged(time=NOW, site=SITE, state="lost", address="ws://127.0.0.1:9"))
    assert told(site.desk, NOW + timedelta(seconds=AWAY_S - 1)) == ""
    assert told(site.desk, NOW + timedelta(seconds=AWAY_S + 1)).startswith("The host")


def test_that_each_occasion_is_told_once_and_only_while_the_window_is_not_in_front(
    qtbot: QtBot, site: Lakeview, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    site.trained()
    in_front = [True]
    monkeypatch.setattr(window, "isActiveWindow", lambda: in_front[0])
    notifier = Notifier(window, Tray(window, is_there=False), tuple)
    for _ in range(3):
        notifier.show_desk(site.desk, status(site.desk, NOW), NOW)
    assert notifier.told == []
    in_front[0] = False
    late = CLOSES - timedelta(minutes=5)
    for _ in range(3):
        notifier.show_desk(site.desk, status(site.desk, late), late)
    assert notifier.told == ["A decision waits for you, and time runs out"]
