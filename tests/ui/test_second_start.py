# SPDX-License-Identifier: Apache-2.0
"""A second start on the same folder brings the first window to the front, with what it was asked for."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PySide6.QtCore import QLockFile
from PySide6.QtNetwork import QLocalServer, QLocalSocket
from pytestqt.qtbot import QtBot

from fedmed_desktop.desktop.frame.second_start import LOCK_FILE, NAME_FILE, Call, Listener, is_handed_over
from fedmed_desktop.protocol.invitation import Invitation, file_text
from tests.parts.ui import Desktop

ROOT = Path(__file__).parents[2]
ONE = Invitation("federation.example.org:8765", "ab" * 32, bytes(range(16)), "Köln")


def start_again(folder: Path, *arguments: str, cwd: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "fedmed_desktop", "--data-dir", str(folder), *arguments]
    environment = {"PYTHONPATH": str(ROOT), "QT_QPA_PLATFORM": "offscreen", "PATH": "", "HOME": str(cwd)}
    return subprocess.Popen(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_that_a_second_process_opens_its_invitation_in_the_first_ones_window(
    desktop: Callable[..., Desktop], tmp_path: Path, qtbot: QtBot
) -> None:
    one = desktop().begin()
    one.window.go("monitor")
    one.window.hide()
    (tmp_path / "one.fedmed").write_text(file_text(ONE, "Riverside", datetime(2026, 5, 4, tzinfo=UTC)), "utf-8")
    second = start_again(one.folder, "--join", "one.fedmed", cwd=tmp_path)
    one.until(lambda: second.poll() is not None)
    out, err = second.communicate()
    assert (second.returncode, err) == (0, "") and "open already" in out
    assert one.window.isVisible() and one.window.page == "rounds"
    assert one.window.join.isVisible()
    one.until(lambda: one.window.join.fields["invitation"].text() == ONE.line())
    assert not one.said(), "nobody is told that another desktop has the folder"


def test_that_a_start_after_a_crash_is_the_first_again(desktop: Callable[..., Desktop], tmp_path: Path) -> None:
    folder = tmp_path / "program"
    folder.mkdir()
    left = QLocalServer()
    assert left.listen(f"left-behind-{time.monotonic_ns()}")
    (folder / NAME_FILE).write_text(left.fullServerName(), "utf-8")
    left.close()
    assert not is_handed_over(folder, Call()), "at once: nobody holds the folder"
    one = desktop(folder=folder).begin()
    name = (folder / NAME_FILE).read_text("utf-8")
    assert "left-behind" not in name and Path(name).is_socket()
    one.close()
    assert not (folder / NAME_FILE).exists() and not Path(name).exists()


def test_that_a_desktop_that_does_not_answer_is_not_waited_for_long(tmp_path: Path) -> None:
    lock = QLockFile(str(tmp_path / LOCK_FILE))
    assert lock.tryLock(0)
    (tmp_path / NAME_FILE).write_text("nobody", "utf-8")
    began = time.monotonic()
    assert not is_handed_over(tmp_path, Call(), patience=0.2)
    assert time.monotonic() - began < 5
    lock.unlock()


def test_that_a_folder_that_is_not_there_has_no_desktop(tmp_path: Path) -> None:
    assert not is_handed_over(tmp_path / "none", Call())
    assert not (tmp_path / "none").exists()


def test_that_files_are_named_from_the_second_ones_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "invitation.fedmed").touch()
    assert Call.of("invitation.fedmed", None, None).join == str(tmp_path / "invitation.fedmed")
    for given in ("fedmed:" + "a" * 5000, "ws://127.0.0.1:8765"):
        assert Call.of(given, None, None).join == given


def test_that_nonsense_only_brings_the_window_to_the_front(tmp_path: Path, qtbot: QtBot) -> None:
    listener = Listener(tmp_path)
    listener.begin()
    heard: list[Call] = []
    listener.called.connect(heard.append)
    socket = QLocalSocket()
    socket.connectToServer((tmp_path / NAME_FILE).read_text("utf-8"))
    with qtbot.waitSignal(listener.called):
        socket.write(b"\xff\x00{nonsense\n")
        socket.flush()
    assert heard == [Call()]
    endless = QLocalSocket()
    endless.connectToServer((tmp_path / NAME_FILE).read_text("utf-8"))
    endless.write(b"x" * 200_000)
    qtbot.waitUntil(lambda: endless.state() == QLocalSocket.LocalSocketState.UnconnectedState)
    assert heard == [Call()]
    listener.end()
