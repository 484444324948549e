# SPDX-License-Identifier: Apache-2.0
"""What a screen reader is told of a part's role, and where keys go."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAccessible
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from fedmed_desktop.desktop.app import application
from fedmed_desktop.desktop.widgets import Heading, NavigationBar, Overline
from tests.ui.scenes import scenes, shown

SCENES = {scene.name: scene for scene in scenes()}
Role = QAccessible.Role


@pytest.fixture(autouse=True)
def _roles(qapp: object) -> None:
    del qapp
    application()


def role(widget: QWidget) -> QAccessible.Role:
    return QAccessible.queryAccessibleInterface(widget).role()


def name(widget: QWidget) -> str:
    return QAccessible.queryAccessibleInterface(widget).text(QAccessible.Text.Name)


@pytest.mark.parametrize("kind", [Heading, Overline])
def test_that_headings_are_headings_and_named_by_what_they_say_now(qtbot: QtBot, kind: type[Heading]) -> None:
    heading = kind("Round 2")
    qtbot.addWidget(heading)
    assert role(heading) == Role.Heading and name(heading) == "Round 2"
    heading.setText("Round 3")
    assert name(heading) == "Round 3"


def test_that_pages_are_a_list_of_which_one_is_chosen(qtbot: QtBot) -> None:
    bar = NavigationBar()
    qtbot.addWidget(bar)
    for word in ("Rounds", "Monitor"):
        bar.add_page("rounds", word)
    assert role(bar) == Role.PageTabList
    second = QAccessible.queryAccessibleInterface(bar.button(1))
    assert second.role() == Role.PageTab and name(bar.button(1)) == "Monitor"
    assert not second.state().selected
    second.actionInterface().doAction(second.actionInterface().pressAction())
    assert bar.current() == 1 and second.state().selected


def test_that_ctrl_4_goes_into_the_note_so_that_it_can_be_pasted(qtbot: QtBot, tmp_path: Path) -> None:
    with shown(SCENES["rounds-not-joined"], tmp_path, (1280, 720)) as stage:
        qtbot.keyClick(stage.window, Qt.Key.Key_4, Qt.KeyboardModifier.ControlModifier)
        assert stage.window.page == "trial" and stage.window.trial.note.editor.hasFocus()
        qtbot.keyClick(stage.window, Qt.Key.Key_1, Qt.KeyboardModifier.ControlModifier)
        assert stage.window.page == "rounds" and stage.window._navigation.button(0).hasFocus()


def test_that_focus_that_lands_on_the_menu_by_itself_goes_to_the_page(qtbot: QtBot, tmp_path: Path) -> None:
    """As after a dialog, where the button that opened it is gone."""
    with shown(SCENES["rounds-approval"], tmp_path, (1280, 720)) as stage:
        menu, button = stage.window._header.menu, stage.window.rounds.session.status.button
        menu.setFocus(Qt.FocusReason.OtherFocusReason)
        qtbot.waitUntil(button.hasFocus)
        menu.setFocus(Qt.FocusReason.TabFocusReason)
        qtbot.wait(20)
        assert menu.hasFocus(), "who walks there by keys stays"
        assert not menu.focusPolicy() & Qt.FocusPolicy.ClickFocus, "a click on it takes no focus from the page"
