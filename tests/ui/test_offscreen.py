# SPDX-License-Identifier: Apache-2.0
"""The demonstration without a person: a rule decides each time it is asked, and pictures of the real run remain."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PySide6.QtGui import QColor, QImage
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from fedmed_desktop import events
from fedmed_desktop.demo.settings import DEMO_RULE, DemoOptions
from fedmed_desktop.desktop.app import Workshop, run_demo
from fedmed_desktop.desktop.frame.window import PAGES, Window
from fedmed_desktop.desktop.look import theme
from fedmed_desktop.desktop.offscreen import SIZE, Recorder
from fedmed_desktop.desktop.work.news import DemoScored
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.site import Approver, Jobs, Record, SiteAgent, Verdict
from fedmed_desktop.storage.outbox import Decision
from fedmed_desktop.wording import told
from tests.parts.monitor import entry
from tests.parts.ui import Desktop
from tests.ui.hosting import write_notes

PICTURES = ("rounds", "monitor", "approvals")
NAMES = ("Harbour", "Hillcrest")


class Asker:
    """Stands in for the demonstration's own site: it asks for one update, as often as it is told to."""

    name = ""

    def __init__(self, approver: Approver, emit: Callable[[events.Event], None]) -> None:
        self._approver, self._emit = approver, emit
        self._entry = entry(1, "pending")
        self._decisions: list[Decision] = []
        self.verdicts: list[Verdict] = []

    def record(self) -> Record:
        return Record(None, (self._entry,), tuple(self._decisions), None)

    def measured(self) -> list[events.Event]:
        return []

    async def ask(self) -> None:
        sha256, update = self._entry.sha256, self._entry.update
        self._emit(events.UpdatePending(site=self.name, round=1, update=sha256, bytes=update.size))
        verdict = await self._approver.decide(self._entry)
        self.verdicts.append(verdict)
        self._decisions.append(Decision(datetime.now(UTC), sha256, 1, "approved", verdict.by, verdict.reason, ""))
        self._emit(
            events.DecisionRecorded(
                site=self.name, round=1, update=sha256, decision="approved", by=verdict.by, reason=verdict.reason
            )
        )


class AsksAgain(Workshop):
    """Its rounds come to nothing, so that the same update is asked for again, at once."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self._times = times
        self.verdicts: list[Verdict] = []

    def prepare_demo(self) -> None:
        """Nothing is to be imported."""

    async def run_demo(
        self,
        options: DemoOptions,
        approver: Approver,
        jobs: Jobs,
        emit: Callable[[events.Event], None],
        joined: Callable[[SiteAgent], None],
    ) -> DemoScored:
        asker = Asker(approver, emit)
        asker.name = sorted(folder.name for folder in options.notes.iterdir())[0]
        self.verdicts = asker.verdicts
        joined(asker)  # type: ignore[arg-type]
        for _ in range(self._times):
            await asker.ask()
        return DemoScored({}, options.report, 0.0)


@pytest.fixture
def demo_notes(tmp_path: Path) -> Path:
    for name in NAMES:
        write_notes(tmp_path / "demo-notes" / name)
    return tmp_path / "demo-notes"


def recorded(desktop: Callable[..., Desktop], backend: Workshop, notes: Path, report: Path) -> tuple[Desktop, Recorder]:
    """A demonstration from its start until the program has closed itself."""
    face = desktop(backend)
    recorder = Recorder(face.program, report)
    face.begin()
    face.program.demo_options = DemoOptions(notes=notes, report=report)
    face.program.start_demo()
    face.until(lambda: face.is_closed)
    return face, recorder


@pytest.mark.slow
def test_that_the_rule_answers_each_time_the_same_update_is_asked_for(
    desktop: Callable[..., Desktop], demo_notes: Path, tmp_path: Path
) -> None:
    backend = AsksAgain(3)
    face, recorder = recorded(desktop, backend, demo_notes, tmp_path)
    rule = Verdict(approve=True, by="rule", reason=DEMO_RULE, delay=timedelta(0))
    assert backend.verdicts == [rule] * 3
    assert face.desk.problems == [] and recorder.problem is None


def test_that_a_picture_that_cannot_be_written_is_a_problem_and_no_hindrance(
    desktop: Callable[..., Desktop], demo_notes: Path, tmp_path: Path
) -> None:
    backend = AsksAgain(1)
    _, recorder = recorded(desktop, backend, demo_notes, tmp_path / "gone")
    assert len(backend.verdicts) == 1
    assert isinstance(recorder.problem, UserFacingError) and recorder.problem.code == "desktop.not_written"
    assert str(tmp_path / "gone" / "monitor.png") in told(recorder.problem)


# -- the real thing --------------------------------------------------------------------------------------------------


def pixels(image: QImage) -> NDArray[np.uint8]:
    """Shape (height, width, 4): blue, green, red, and what is not used."""
    image = image.convertToFormat(QImage.Format.Format_RGB32)
    flat = np.frombuffer(image.constBits(), np.uint8)
    return flat.reshape(image.height(), image.bytesPerLine() // 4, 4)[:, : image.width()].copy()


def empty_page(page: str, folder: Path, qtbot: QtBot) -> NDArray[np.uint8]:
    """As it looks while there is nothing to show."""
    window = Window(folder)
    qtbot.addWidget(window)
    window.resize(*SIZE)
    window.show()
    window.go(page)
    return pixels(window.grab().toImage())


@pytest.mark.slow
def test_that_pictures_of_a_real_run_remain_and_a_rule_decided(
    qtbot: QtBot, qapp: QApplication, demo_notes: Path, tiny_model: Path, tmp_path: Path
) -> None:
    told: list[events.Event] = []
    options = DemoOptions(rounds=2, model=tiny_model, notes=demo_notes, report=tmp_path / "report", threads=1)
    (tmp_path / "report").mkdir()
    status, result = run_demo(options, offscreen=True, watch=told.append)
    assert status == 0 and result is not None
    decisions = [event for event in told if isinstance(event, events.DecisionRecorded) and event.site == NAMES[0]]
    approved = [(event.round, event.by, event.reason) for event in decisions if event.decision == "approved"]
    assert approved == [(number, "rule", DEMO_RULE) for number in (1, 2, 3)], "the third are final scores"
    assert {event.decision for event in decisions} == {"approved", "released"}
    rounds = json.loads((tmp_path / "report" / "report.json").read_text("utf-8"))["rounds"]
    assert [entry["sites"][name]["approved_by"] for entry in rounds for name in NAMES] == ["rule"] * 4
    assert set(PICTURES) <= set(PAGES)
    for page in PICTURES:
        image = QImage(str(tmp_path / "report" / f"{page}.png"))
        assert (image.width(), image.height()) == SIZE
        shown, empty = pixels(image), empty_page(page, tmp_path / "empty", qtbot)
        differs = float((shown != empty).any(axis=2).mean())
        assert differs > 0.05, f"{page}.png looks like a page that shows nothing ({differs:.3f})"
    loss = QColor(theme.active().color("series_2"))
    monitor = pixels(QImage(str(tmp_path / "report" / "monitor.png")))[: SIZE[1] // 2]
    drawn = (monitor[:, :, :3] == [loss.blue(), loss.green(), loss.red()]).all(axis=2)
    columns = np.flatnonzero(drawn.any(axis=0))
    assert np.ptp(columns) > SIZE[0] / 2, "validation loss goes through its chart from left to right"
