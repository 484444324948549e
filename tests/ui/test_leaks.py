# SPDX-License-Identifier: Apache-2.0
"""Each check on what a test left behind finds its leak, and a test that leaks fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtCore import QObject, QThread, QTimer
from PySide6.QtWidgets import QDialog, QFileDialog, QMessageBox, QWidget
from pytestqt.qtbot import QtBot

from tests.ui.leaks import LeakWatch

ROOT = Path(__file__).parents[2]


def test_that_a_running_qthread_is_found(qapp: object) -> None:
    watch = LeakWatch()
    thread = QThread()
    thread.setObjectName("training")
    thread.start()
    assert watch.found() == ["QThread 'training' still runs: quit() it and wait()"]
    watch.clear()
    assert thread.isFinished() and watch.found() == []


def test_that_a_timer_that_only_its_parent_holds_is_found(qapp: object) -> None:
    watch = LeakWatch()
    parent = QObject()
    QTimer(parent).start(60_000)
    (found,) = watch.found()
    assert found.startswith("QTimer '' of QObject still fires every 60000 ms")
    watch.clear()
    assert watch.found() == []


def test_that_a_timer_goes_with_its_parent(qapp: object) -> None:
    watch = LeakWatch()
    parent = QObject()
    QTimer(parent).start(60_000)
    del parent
    assert watch.found() == []


def test_that_a_dialog_is_a_leak_of_its_window_not_one_by_itself(qtbot: QtBot) -> None:
    watch = LeakWatch()
    window = QWidget()
    dialog = QDialog(window)
    dialog.open()
    assert len(watch.found()) == 1
    watch.clear()
    assert watch.found() == [] and not dialog.isVisible()


@pytest.mark.parametrize("shown", [True, False])
def test_that_a_window_is_found(shown: bool, qtbot: QtBot) -> None:
    watch = LeakWatch()
    window = QWidget()
    window.setVisible(shown)
    (found,) = watch.found()
    assert found.startswith("QWidget '' is still open")
    watch.clear()
    assert watch.found() == []


def test_that_what_lived_before_and_what_is_being_deleted_is_no_leak(qtbot: QtBot) -> None:
    old = QWidget()
    watch = LeakWatch()
    QWidget(old)
    window = QWidget()
    window.deleteLater()
    assert watch.found() == []
    old.deleteLater()


@pytest.mark.parametrize("ask", [lambda: QMessageBox.question(None, "", ""), lambda: QDialog().exec()])  # type: ignore[call-overload]
def test_that_a_dialog_that_blocks_fails(ask: object, qtbot: QtBot) -> None:
    with pytest.raises(AssertionError, match="blocks"):
        ask()  # type: ignore[operator]


def test_that_asking_for_a_folder_must_not_block_either(qtbot: QtBot) -> None:
    with pytest.raises(AssertionError, match="getExistingDirectory blocks"):
        QFileDialog.getExistingDirectory()


LEAKY = """
from PySide6.QtCore import QThread, QTimer, qWarning
from PySide6.QtWidgets import QDialog, QWidget

left = []

def test_thread():
    left.append(QThread())
    left[-1].start()

def test_timer():
    left.append(QTimer())
    left[-1].start(60_000)

def test_window():
    left.append(QWidget())

def test_whole_desktop(tmp_path):
    from fedmed_desktop.desktop.frame.window import Window

    left.append(Window(tmp_path))
    left[-1].show()
    left[-1].prepare()  # with charts: their scenes do not survive that others delete them

def test_dialog():
    left.append(QWidget())
    QDialog(left[-1]).open()

def test_clean():
    pass

def test_warning():
    qWarning("something of Qt's")
"""


@pytest.mark.slow
def test_that_a_test_that_leaks_fails_and_spoils_no_other(tmp_path: Path) -> None:
    (tmp_path / "test_leaky.py").write_text(LEAKY, "utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.conftest",
        "-p",
        "tests.ui.conftest",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(
        [*command, "-c", str(ROOT / "pyproject.toml"), str(tmp_path / "test_leaky.py")],
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "6 passed, 5 errors" in done.stdout.replace("1 failed, ", ""), done.stdout + done.stderr
    assert "1 failed" in done.stdout, "a warning of Qt's fails the test"
    for words in (
        "QThread '' still runs",
        "QTimer '' of NoneType still fires",
        "QWidget '' is still open",
        "Window '' is",
    ):
        assert words in done.stdout
    assert done.returncode == 1, "pytest itself lives to the end"
