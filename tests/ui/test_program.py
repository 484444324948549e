# SPDX-License-Identifier: Apache-2.0
"""What must not happen to a person: two sessions from two clicks, a storm of dialogs, a window that never closes."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from fedmed_desktop import events
from fedmed_desktop.demo.settings import DemoOptions
from fedmed_desktop.desktop.work.network import NetworkThread
from fedmed_desktop.desktop.work.news import Paused, Problem, SessionEnded, SessionStarted
from fedmed_desktop.desktop.work.sessions import Session
from fedmed_desktop.desktop.work.settings import SettingsFile
from tests.parts.ui import SITE, Desktop

Opened = Callable[..., Desktop]


def started(folder: Path) -> SessionStarted:
    return SessionStarted("site", SITE, "ws://127.0.0.1:9", (SITE,), folder, folder)


def test_that_two_clicks_start_one_demonstration(desktop: Opened, tmp_path: Path) -> None:
    one = desktop().begin()
    one.program.demo_options = DemoOptions(report=tmp_path / "report", notes=tmp_path / "none")
    (tmp_path / "none" / SITE).mkdir(parents=True)
    busy = threading.Event()
    one.program.engine._training.submit(busy.wait, 60)  # so that the first cannot have failed before the second click
    one.click(one.window.rounds.empty.buttons[1])
    one.click(one.program.demonstration.start)
    first = one.program.engine._session
    assert one.desk.session is not None, "the click shows at once"
    one.program.start_demo()
    assert one.program.engine._session is first is not None
    busy.set()
    one.until(lambda: one.desk.ended is not None)
    assert len([p for p in one.desk.problems if p.fatal]) == 1


@pytest.mark.qt_no_exception_capture
def test_that_a_page_that_cannot_be_drawn_is_told_once_and_the_program_can_be_closed(
    desktop: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = desktop().begin()
    monkeypatch.setattr(type(one.window.strip), "show_desk", lambda *given, **named: 1 / 0)
    ticks: list[None] = []
    fold = one.desk.fold
    monkeypatch.setattr(one.desk, "fold", lambda items: (ticks.append(None), fold(items)))
    one.until(lambda: len(ticks) >= 5)  # each told fault comes back as an item
    assert len(one.faults()) == 1
    one.dialog().accept()
    one.program.close()
    one.until(lambda: one.is_closed)
    one.faults()


def test_that_what_comes_after_a_fault_in_the_same_moment_is_not_lost(
    desktop: Opened, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    one = desktop().begin()
    monkeypatch.setattr(type(one.desk), "_entered", lambda self, event: 1 / 0)
    phase = events.PhaseChanged(site=SITE, round=1, phase="training")
    for item in (started(tmp_path), phase, SessionEnded("stopped")):
        one.program.engine.buffer.append(item)
    one.until(lambda: one.desk.ended is not None)
    one.until(lambda: len(one.faults()) == 1)
    one.dialog().accept()


class Unreadable:
    """An agent whose folder has gone: a share that broke."""

    name = SITE

    def record(self) -> None:
        raise OSError("gone")


def test_that_a_session_can_be_stopped_though_its_folder_is_gone() -> None:
    told: list[BaseException] = []
    network = NetworkThread(told.append)
    network.start()
    session = Session(None, None, None, lambda item: None)  # type: ignore[arg-type]
    session.agent = Unreadable()  # type: ignore[assignment]

    async def forever() -> None:
        await asyncio.Event().wait()

    async def over() -> bool:
        assert session._task is not None
        await asyncio.wait([session._task])
        return session._task.cancelled()

    network.call(session.begin, forever())
    network.call(session.stop)
    network.call(session.stop)
    assert network.submit(over()).result(5)
    network.stop()
    assert [str(error) for error in told] == ["gone"], "and it is told, once"


def test_that_several_sentences_wait_for_each_other(desktop: Opened) -> None:
    one = desktop().begin()
    for sentence in ("First.", "Second.", "First."):
        one.window.say(sentence)
    assert one.said() == "First."
    one.click(one.window._said.button)
    assert one.said() == "Second."
    one.click(one.window._said.button)
    assert one.said() == ""


def test_that_a_pause_stays_in_sight_through_phases_that_need_no_computing(desktop: Opened, tmp_path: Path) -> None:
    one = desktop().begin()
    buffer = one.program.engine.buffer
    for item in (started(tmp_path), Paused(True), events.PhaseChanged(site=SITE, round=2, phase="downloading")):
        buffer.append(item)
    one.until(lambda: one.desk.phase is not None)
    assert one.desk.paused and one.window.strip.isVisible()
    buffer.append(Paused(False))
    one.until(lambda: not one.desk.paused)


def test_that_a_setting_of_another_version_costs_only_itself(tmp_path: Path) -> None:
    values = {"appearance": "dark", "text_scale": 9.0, "page": "monitor", "of_tomorrow": [1]}
    (tmp_path / "settings.json").write_text(json.dumps(values), "utf-8")
    settings = SettingsFile(tmp_path)
    assert settings.load() is None
    assert settings.values.appearance == "dark" and settings.values.page == "monitor"
    assert settings.values.text_scale == 1.0


def test_that_a_desktop_opens_where_no_log_can_be_written(qtbot: QtBot, desktop: Opened, tmp_path: Path) -> None:
    (tmp_path / "program").mkdir(exist_ok=True)
    (tmp_path / "program" / "log").write_text("a file in the folder's place", "utf-8")
    one = desktop().begin()
    one.until(lambda: bool(one.said()))
    one.program.engine.buffer.append(Problem("desktop.not_asked"))
    one.until(lambda: any(problem.code == "desktop.not_asked" for problem in one.desk.problems))
