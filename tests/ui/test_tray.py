# SPDX-License-Identifier: Apache-2.0
"""The tray's icon, the window that closes while the program goes on, and which notifications are wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtWidgets import QSystemTrayIcon, QWidget
from pytestqt.qtbot import QtBot

from fedmed_desktop.desktop.frame.notifications import Notifier, notifications
from fedmed_desktop.desktop.frame.tray import Tray
from fedmed_desktop.desktop.rounds.status import status
from fedmed_desktop.desktop.work.desk import Desk
from fedmed_desktop.desktop.work.news import Paused, SessionEnded
from fedmed_desktop.desktop.work.requests import JoinRequest
from fedmed_desktop.desktop.work.settings import NotificationKind
from tests.parts.scene import NOW, Lakeview, phase, standing
from tests.parts.ui import Desktop, words

Opened = Callable[..., Desktop]
# said of a tray's icon where the platform has no tray, as offscreen
pytestmark = pytest.mark.qt_log_ignore("No such signal QPlatformNativeInterface::systemTrayWindowChanged", extend=True)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Lakeview]:
    (tmp_path / "lakeview").mkdir()
    made = Lakeview(tmp_path / "lakeview")
    yield made
    made.close()


@pytest.fixture
def with_tray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Offscreen there is none; Qt's icon itself stays real, and shows nowhere."""
    monkeypatch.setattr(QSystemTrayIcon, "isSystemTrayAvailable", lambda: True)


def taking_part(desktop: Opened, site: Lakeview) -> Desktop:
    one = desktop().begin()
    one.program.settings.values.keep_awake = False
    one.desk.__dict__.update(site.desk.__dict__)
    return one


def kinds(desk: Desk) -> list[NotificationKind]:
    return [one.kind for one in notifications(desk, status(desk, NOW), NOW)]


# -- closing the window ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("with_tray")
def test_that_the_first_closing_asks_and_the_program_stays_in_the_tray(desktop: Opened, site: Lakeview) -> None:
    one = taking_part(desktop, site)
    one.window.close()
    question = one.program.question
    assert question is not None and question.no.isDefault() and "tray" in question.yes.text()
    one.click(question.yes)
    assert not one.window.isVisible() and not one.desk.closing
    one.program.presence.tray.open.trigger()
    assert one.window.isVisible()
    one.window.close()
    assert one.program.question is None and not one.window.isVisible(), "asked once"
    assert one.program.settings.values.when_closed == "stay"
    one.program.presence.tray.quit.trigger()
    one.until(lambda: one.is_closed)


@pytest.mark.usefixtures("with_tray")
def test_that_who_wants_the_program_to_close_is_asked_only_once(desktop: Opened, site: Lakeview) -> None:
    one = taking_part(desktop, site)
    one.window.close()
    assert one.program.question is not None
    one.click(one.program.question.other)
    one.until(lambda: one.is_closed)
    assert one.program.settings.values.when_closed == "quit"


@pytest.mark.usefixtures("with_tray")
def test_that_the_question_can_be_left_with_everything_as_it_was(desktop: Opened, site: Lakeview) -> None:
    one = taking_part(desktop, site)
    one.window.close()
    assert one.program.question is not None
    one.click(one.program.question.no)
    assert one.window.isVisible() and one.program.settings.values.when_closed == "ask"
    one.program.settings.values.when_closed = "quit"


@pytest.mark.usefixtures("with_tray")
def test_that_without_a_federation_the_window_takes_the_program_along(desktop: Opened) -> None:
    one = desktop().begin()
    one.window.close()
    assert one.program.question is None
    one.until(lambda: one.is_closed)


def test_that_without_a_tray_closing_is_as_it_always_was(desktop: Opened, site: Lakeview) -> None:
    one = taking_part(desktop, site)
    one.program.settings.values.when_closed = "stay"
    one.desk.fold((phase("training"),))
    one.window.close()
    assert one.program.question is not None and one.program.question.windowTitle() == "Close while training?"


# -- the icon ----------------------------------------------------------------------------------------------------------


def test_that_the_icon_tells_the_state_and_pauses_only_what_can_be_paused(qtbot: QtBot, site: Lakeview) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    tray = Tray(window, is_there=True)
    assert tray.icon is not None
    tray.show_desk(Desk(), "fedmed-desktop")
    assert not tray.pause.isVisible()
    site.tell(phase("training"))
    tray.show_desk(site.desk, "Training – Riverside federation")
    assert tray.icon.toolTip() == "Training – Riverside federation"
    assert tray.pause.isVisible() and tray.pause.text() == "Pause training"
    with qtbot.waitSignal(tray.pause_requested):
        tray.pause.trigger()
    site.tell(Paused(True))
    tray.show_desk(site.desk, "Paused")
    with qtbot.waitSignal(tray.resume_requested):
        tray.pause.trigger()
    with qtbot.waitSignal(tray.open_requested):
        tray.icon.activated.emit(QSystemTrayIcon.ActivationReason.Trigger)
    tray.end()
    assert not tray.icon.isVisible()


# -- notifications -----------------------------------------------------------------------------------------------------


def test_that_each_kind_has_its_occasion(site: Lakeview) -> None:
    assert kinds(Desk()) == []
    site.trained()
    assert "decision" in kinds(site.desk)
    site.tell(SessionEnded("failed"))
    assert "trouble" in kinds(site.desk), "also where the session is over by it"


def test_that_a_session_that_the_person_stopped_is_no_news(site: Lakeview) -> None:
    site.trained()
    site.tell(SessionEnded("stopped"))
    assert kinds(site.desk) == []


@pytest.fixture
def told(qtbot: QtBot, site: Lakeview) -> Callable[..., list[str]]:
    """Titles of what is told of the site's desk, while the window is not in front, but for silent kinds."""
    window = QWidget()
    qtbot.addWidget(window)
    silent: set[NotificationKind] = set()
    notifier = Notifier(window, Tray(window, is_there=False), lambda: silent)

    def tell(*kinds: NotificationKind) -> list[str]:
        silent.update(kinds)
        notifier.show_desk(site.desk, status(site.desk, NOW), NOW)
        return notifier.told

    return tell


def test_that_a_round_is_told_of_once_it_is_finished_and_earlier_ones_are_not(
    site: Lakeview, told: Callable[..., list[str]]
) -> None:
    site.tell(standing(number=2))
    assert told() == []
    site.tell(standing(number=3))
    assert told() == ["Round 2 is finished"]
    assert told() == ["Round 2 is finished"]


def test_that_the_next_federation_tells_of_its_own_rounds_and_end(
    site: Lakeview, told: Callable[..., list[str]]
) -> None:
    """In the same window, after one whose rounds had the same numbers."""
    began = site.desk.session
    assert began is not None
    titles = ["Round 2 is finished", "The federation has finished"]
    for _ in range(2):
        for item in (replace(began), standing(number=2)):
            site.tell(item)
            told()
        site.tell(standing(number=3))
        told()
        site.tell(SessionEnded("finished"))
        told()
    assert told() == titles * 2


def test_that_joining_another_federation_asks_before_it_ends_this_one(
    desktop: Opened, site: Lakeview, tmp_path: Path
) -> None:
    """As with an invitation that a second start has opened."""
    one = taking_part(desktop, site)
    values = one.program.settings.values
    other = JoinRequest(
        address="ws://127.0.0.1:9", name="Other", model=tmp_path, notes=tmp_path, data_dir=tmp_path / "other"
    )
    one.program.ask_join(other)
    question = one.program.question
    assert question is not None and "Stop taking part?" in words(question) and values.joined is None
    one.click(question.no)
    assert values.joined is None and one.program._wanted is None
    one.program.ask_join(other)
    assert one.program.question is not None
    one.click(one.program.question.yes)
    assert values.joined == other and values.rejoin


def test_that_a_silent_kind_is_not_told(site: Lakeview, told: Callable[..., list[str]]) -> None:
    site.trained()
    assert told("decision") == []


def test_that_the_settings_page_silences_a_kind(desktop: Opened) -> None:
    one = desktop().begin()
    one.window.go("settings")
    one.window.settings.notifications.boxes["round"].click()
    assert one.program.settings.values.silent == ["round"]
    one.close()
    two = desktop()
    assert two.program.settings.values.silent == ["round"]
