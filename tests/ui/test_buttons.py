# SPDX-License-Identifier: Apache-2.0
"""Buttons by keyboard: Enter presses what has the focus, but never what cannot be undone; the stepper in words."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QMenu
from pytestqt.qtbot import QtBot

from fedmed_desktop.desktop.widgets import Button, LinkButton, PrimaryButton, Stepper, WaryButton
from fedmed_desktop.desktop.widgets.buttons import ENTER


@pytest.mark.parametrize("key", ENTER)
@pytest.mark.parametrize("kind", [Button, PrimaryButton, LinkButton])
def test_that_enter_presses_a_button(qtbot: QtBot, kind: type[Button], key: Qt.Key) -> None:
    button = kind("Review")
    qtbot.addWidget(button)
    button.show()
    with qtbot.waitSignal(button.clicked):
        qtbot.keyClick(button, key)


def test_that_enter_held_down_presses_once_and_nothing_that_is_switched_off(qtbot: QtBot) -> None:
    button = Button("Review")
    button.setCheckable(True)
    qtbot.addWidget(button)
    button.show()
    none = Qt.KeyboardModifier.NoModifier
    for is_repeated in (False, True, True):
        button.keyPressEvent(QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_Return, none, "", is_repeated))
        assert button.isChecked()
    button.setEnabled(False)
    button.keyPressEvent(QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_Return, none))
    assert button.isChecked()


@pytest.mark.qt_log_ignore("This plugin does not support")
def test_that_enter_opens_a_buttons_menu(qtbot: QtBot) -> None:
    button = Button("View")
    menu = QMenu(button)
    menu.addAction("By step")
    button.setMenu(menu)
    qtbot.addWidget(button)
    with qtbot.waitExposed(button):
        button.show()
    qtbot.keyClick(button, Qt.Key.Key_Return)
    assert menu.isVisible()
    menu.close()


@pytest.mark.parametrize("key", ENTER)
def test_that_enter_never_presses_what_cannot_be_undone(qtbot: QtBot, key: Qt.Key) -> None:
    button = WaryButton("Send")
    qtbot.addWidget(button)
    button.show()
    with qtbot.assertNotEmitted(button.clicked), qtbot.waitSignal(button.enter_refused):
        qtbot.keyClick(button, key)
    with qtbot.waitSignal(button.clicked):
        qtbot.keyClick(button, Qt.Key.Key_Space)


@pytest.mark.parametrize("at", [0, 2, 3])
def test_that_a_narrow_stepper_names_one_step_also_when_all_are_done(qtbot: QtBot, at: int) -> None:
    stepper = Stepper(("Download", "Train", "Combine"))
    qtbot.addWidget(stepper)
    stepper.show_step(at)
    stepper.resize(stepper.minimumSizeHint())
    widths = stepper._widths()
    named = [step for step, width in enumerate(widths) if width > min(widths)]
    assert named == [min(at, 2)]
    assert stepper.toolTip() == "Download · Train · Combine"
