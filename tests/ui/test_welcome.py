# SPDX-License-Identifier: Apache-2.0
"""The first run: shown once to who has joined nothing; each page can be skipped, and what was given is handed on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from fedmed_desktop.desktop.welcome.page import WelcomePage
from fedmed_desktop.desktop.work.settings import SettingsFile
from fedmed_desktop.resources import resource
from tests.parts.ui import Desktop, words
from tests.ui.scenes_of_other_pages import INVITED

NOTES = resource("demo_notes") / "Lakeview"


@pytest.fixture
def first(qtbot: QtBot, qapp: QApplication, tmp_path: Path) -> Iterator[Desktop]:
    """The program at its first start."""
    one = Desktop(qtbot, qapp, tmp_path / "program", first_run=True)
    yield one.begin()
    one.close()
    assert not one.unseen_faults()


def page(one: Desktop) -> WelcomePage:
    found = one.window.pages.home.currentWidget()
    assert isinstance(found, WelcomePage)
    return found


def is_welcomed(one: Desktop) -> bool:
    settings = SettingsFile(one.folder)
    settings.load()
    return settings.values.welcomed


def test_that_it_is_shown_at_the_first_start_and_not_again_once_it_was_dismissed(
    first: Desktop, qtbot: QtBot, qapp: QApplication
) -> None:
    assert page(first).step == "purpose" and not is_welcomed(first)
    first.click(page(first).out)
    assert first.window.rounds.isVisible() and is_welcomed(first)
    first.close()
    again = Desktop(qtbot, qapp, first.folder, first_run=True)
    again.program.settings.load()
    again.begin()
    assert again.window.rounds.isVisible()
    again.close()


def test_that_an_invitation_on_the_command_line_comes_before_it(
    qtbot: QtBot, qapp: QApplication, tmp_path: Path
) -> None:
    one = Desktop(qtbot, qapp, tmp_path / "program", first_run=True)
    one.begin(join=INVITED)
    assert one.window.join.isVisible()
    one.close()


def test_that_this_computer_is_told_in_sentences_and_a_model_can_be_tried(first: Desktop) -> None:
    one = page(first)
    first.click(one.purpose.buttons["try"])
    assert one.step == "computer"
    first.until(lambda: len(one.computer.rows) == 4)
    said = " ".join(row.text() for row in one.computer.rows)
    assert "No GPU was found that the program can use" in said and "weights" in said
    assert one.on.text() == "Finish"
    first.click(one.on)
    assert first.window.page == "trial" and is_welcomed(first)


def test_that_a_demonstration_asks_how_at_once(first: Desktop) -> None:
    first.click(page(first).purpose.buttons["demo"])
    assert first.program.demonstration is not None and first.program.demonstration.isVisible()
    first.program.demonstration.close()


def test_that_the_invitation_and_the_notes_stand_in_the_form_afterwards(first: Desktop) -> None:
    one = page(first)
    first.click(one.purpose.buttons["join"])
    first.click(one.on)
    assert one.step == "join" and not one.on.isEnabled()
    one.invitation.where.give(INVITED)
    assert one.on.isEnabled() and "federation.example.org:8765" in words(one.invitation)
    first.click(one.on)
    one.notes.field.fill("/nowhere/at/all")
    one.notes.field.edited.emit("/nowhere/at/all")
    assert "no such folder" in one.notes.field.sentence() and not one.on.isEnabled()
    one.notes.field.fill(str(NOTES))
    one.notes.field.edited.emit(str(NOTES))
    first.until(lambda: one.on.isEnabled())
    assert "can be used as they are" in words(one.notes.report)
    first.click(one.on)
    join = first.window.join
    assert join.isVisible() and join.where.fields["invitation"].text() == INVITED
    assert join.fields["notes"].text() == str(NOTES)
    assert first.window.focusWidget() is join.fields["model"].line, "what is left to choose"
    first.until(lambda: join.fields["notes"].verdict.state == "right")


def test_that_each_page_can_be_skipped_and_what_stood_there_is_not_handed_on(first: Desktop) -> None:
    one = page(first)
    first.click(one.purpose.buttons["join"])
    first.click(one.on)
    one.invitation.where.give(INVITED)
    first.click(one.back)
    first.click(one.on)
    assert one.invitation.given == INVITED, "what was given stays on the way back"
    first.click(one.skip)
    first.click(one.skip)
    join = first.window.join
    assert join.isVisible() and not join.where.fields["invitation"].text() and not join.fields["notes"].text()


def test_that_f1_opens_its_own_page_of_the_guide(first: Desktop) -> None:
    first.window.show_guide()
    assert first.window.guide().page == "first-run"
    first.window.guide().close()
