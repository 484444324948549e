# SPDX-License-Identifier: Apache-2.0
"""What is read out by itself: that something appeared, that the state changed, how long is left; never each step."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent, QAccessibleEvent
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from fedmed_desktop.desktop.approvals.decision_panel import Countdown
from fedmed_desktop.desktop.rounds.cards import StatusCard
from fedmed_desktop.desktop.rounds.status import Status
from fedmed_desktop.desktop.widgets import Banner
from fedmed_desktop.desktop.widgets import notices as announcing
from tests.parts.monitor import START, entry


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What goes to the screen reader, which gets it too."""
    sentences: list[str] = []

    def send(event: QAccessibleEvent) -> None:
        assert isinstance(event, QAccessibleAnnouncementEvent) and isinstance(event.object(), QWidget)
        sentences.append(event.message())
        QAccessible.updateAccessibility(event)

    monkeypatch.setattr(announcing, "_send", send)
    return sentences


def shown(widget: QWidget, qtbot: QtBot) -> QWidget:
    window = QWidget()
    qtbot.addWidget(window)
    widget.setParent(window)
    window.show()
    return window


def test_that_a_banner_is_read_out_when_it_appears_and_not_again(qtbot: QtBot, said: list[str]) -> None:
    banner = Banner()
    window = shown(banner, qtbot)
    for text in ("Saved.", "Saved.", "", "Saved.", "The disk is full."):
        banner.show_message(text)
    assert said == ["Saved.", "Saved.", "The disk is full."] and window.isVisible()


def test_that_what_nobody_sees_is_not_read_out(qtbot: QtBot, said: list[str]) -> None:
    banner = Banner()
    window = shown(banner, qtbot)
    window.hide()
    banner.show_message("Saved.")
    assert said == [] and not window.isVisible()


def test_that_a_state_is_read_out_when_its_headline_changes(qtbot: QtBot, said: list[str]) -> None:
    card = StatusCard()
    window = shown(card, qtbot)
    card.show()
    training = Status("training", "Training", "The model learns.")
    for text in ("1 of 9 steps.", "2 of 9 steps.", "3 of 9 steps."):
        card.show_status(replace(training, text=text))
    assert said == ["Training"]
    window.hide()
    card.show_status(Status("approval", "Ready for your decision", ""))
    assert said == ["Training"]
    window.show()
    for _ in range(2):
        card.show_status(Status("approval", "Ready for your decision", ""))
    assert said == ["Training", "Ready for your decision"], "who comes back to the page hears what is new"


def test_that_a_countdown_is_read_out_at_ten_five_and_nought(qtbot: QtBot, said: list[str]) -> None:
    countdown = Countdown()
    window = shown(countdown, qtbot)
    countdown.show()
    approved = replace(entry(1, "approved"), effective=START + timedelta(seconds=10))
    for tenth in range(110):
        countdown.show_entry(approved, START + timedelta(seconds=tenth / 10), is_answering=False, connected=True)
    assert [sentence.partition(".")[0] for sentence in said] == [
        "Leaves in 10 seconds",
        "Leaves in 5 seconds",
        "Leaving now",
    ]
    again = replace(approved, effective=START + timedelta(seconds=60))
    countdown.show_entry(again, START + timedelta(seconds=52), is_answering=False, connected=True)
    assert window.isVisible() and said[3].startswith("Leaves in 8 seconds"), "another countdown begins anew"
