# SPDX-License-Identifier: Apache-2.0
"""What the GUI script shows where the desktop could not open."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QMessageBox
from pytestqt.qtbot import QtBot

from fedmed_desktop.cli.desktop import run_without_terminal


def test_that_a_mistake_without_a_terminal_is_a_window(
    qapp: QApplication, qtbot: QtBot, capsys: pytest.CaptureFixture[str]
) -> None:
    shown: list[str] = []

    def read_and_close() -> None:
        box = qapp.activeModalWidget()
        assert isinstance(box, QMessageBox)
        shown.append(box.text())
        box.accept()

    QTimer.singleShot(100, read_and_close)
    assert run_without_terminal(["--joyn", "ws://<nowhere>"]) == 2
    assert shown[0].startswith("fedmed-desktop-gui: there is no option --joyn here. Did you mean --join? ")
    assert shown[0].endswith("fedmed-desktop-gui --help")
    assert not capsys.readouterr().err
