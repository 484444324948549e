# SPDX-License-Identifier: Apache-2.0
"""Parts for tests of the whole desktop: it, as a person uses it, and what can be read on its pages."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QTableView,
    QTextEdit,
    QWidget,
)
from pytestqt.qtbot import QtBot

from fedmed_desktop import events
from fedmed_desktop.desktop.app import Workshop
from fedmed_desktop.desktop.frame.dialogs import FaultDialog
from fedmed_desktop.desktop.join.form import JoinForm
from fedmed_desktop.desktop.monitor.series import Series
from fedmed_desktop.desktop.program import Program
from fedmed_desktop.desktop.rounds.status import Status, status
from fedmed_desktop.desktop.work.news import Problem
from fedmed_desktop.desktop.work.requests import JoinRequest
from fedmed_desktop.desktop.work.sessions import Backend
from fedmed_desktop.federation.work import Entry
from fedmed_desktop.site import Approver, Jobs, SiteAgent

PATIENCE_MS = 30_000
LEFT = Qt.MouseButton.LeftButton
SITE = "North"
REASON = "Scores improved on both types."
APPROVER = "Dr. Ruth Okafor"


class Held(Workshop):
    """Training stands still at its second step until it is let go, so that a test can act while it trains."""

    def __init__(self) -> None:
        super().__init__()
        self._there, self._go = threading.Event(), threading.Event()
        self._agent: SiteAgent | None = None

    def make_agent(
        self, request: JoinRequest, approver: Approver, jobs: Jobs, emit: Callable[[events.Event], None]
    ) -> SiteAgent:
        def hold(event: events.Event) -> None:
            emit(event)
            if isinstance(event, events.TrainingStep) and event.step == 2:
                self._there.set()
                self._go.wait(PATIENCE_MS / 1000)

        self._agent = super().make_agent(request, approver, jobs, hold)
        return self._agent

    def is_held(self) -> bool:
        return self._there.is_set()

    def is_told_to_stop(self) -> bool:
        """Whether it would end at its next step: the word comes by way of the network thread, after the click."""
        return self._agent is not None and self._agent._driver.control.stopping

    def let_go(self) -> None:
        self._go.set()


class Desktop:
    """A whole desktop: the Program, and what a person sees and clicks. `close` before its folder is opened again."""

    def __init__(
        self, qtbot: QtBot, app: QApplication, folder: Path, backend: Backend | None = None, *, first_run: bool = False
    ) -> None:
        self._qtbot = qtbot
        self.folder = folder
        self.is_closed = False
        self.patience_ms = PATIENCE_MS
        self._seen = 0
        self.program = Program(app, backend or Workshop(), folder)
        self.program.engine.closed.connect(self._note_closed)
        self.program.settings.values.welcomed = not first_run
        self.program.show()
        self.window = self.program.window

    def begin(self, join: str | None = None) -> Desktop:
        self.program.begin()
        self.program.set_wishes(join, None, None)
        return self

    def join(self, address: str, model: Path, notes: Path, name: str = SITE, *, agreed: bool = True) -> JoinRequest:
        request = JoinForm(address, name, str(model), str(notes)).request(self.folder / "sites")
        request = request.model_copy(update={"agreed": agreed})
        self.program.join(request)
        return request

    def leave(self) -> None:
        """As the person does who closes the window and, asked, means it."""
        self.window.close()
        question = self.program.question
        if question is not None and question.isVisible():
            self.click(question.yes)

    def close(self) -> None:
        """Returns once all threads have ended."""
        if not self.is_closed:
            if not self.desk.closing:
                self.leave()
            self.until(lambda: self.is_closed)

    def _note_closed(self) -> None:
        self.is_closed = True

    # -- what is seen ------------------------------------------------------------------------------------------------

    @property
    def desk(self):  # noqa: ANN201
        return self.program.desk

    def status(self) -> Status:
        return status(self.desk, datetime.now(UTC))

    def headline(self) -> str:
        """Of the card on Rounds, as it stands there."""
        return self.window.rounds.session.status.headline.text()

    def header(self) -> str:
        return words(self.window._header)

    def said(self) -> str:
        """The sentence above the page."""
        return self.window._said.text()

    def text(self, page: str) -> str:
        """Everything that is written on a page, line by line."""
        self.window.go(page)
        self.window.show_now()
        QApplication.processEvents()  # what is new on a page is shown with the next turn
        return words(self.window.pages.currentWidget())

    def faults(self) -> list[Problem]:
        """The faults that were told in a dialog; who asks has seen them."""
        self._seen = len(self.program.teller.faults)
        return self.program.teller.faults

    def unseen_faults(self) -> list[str]:
        return [fault.details for fault in self.program.teller.faults[self._seen :]]

    def dialog(self) -> FaultDialog:
        """The dialog that tells of a fault now."""
        assert self.program.teller.dialog is not None
        return self.program.teller.dialog

    def curve(self) -> dict[int, float]:
        """Monitor's training loss by step, counted over all rounds."""
        return {int(step): float(loss) for step, loss in zip(*Series(self.desk.curves).training("step"), strict=True)}

    def log(self) -> str:
        return self.program.log_path.read_text("utf-8")

    # -- what is done ------------------------------------------------------------------------------------------------

    def click(self, button: QAbstractButton) -> None:
        assert button.isVisible() and button.isEnabled(), f"{button.text()!r} cannot be clicked"
        self._qtbot.mouseClick(button, LEFT)

    def type(self, line: QLineEdit, text: str) -> None:
        line.selectAll()
        line.clear()
        self._qtbot.keyClicks(line, text)

    def until(self, true: Callable[[], bool], timeout: int | None = None) -> None:
        """Returns once it is so; fails with all that is on the screen."""
        try:
            self._qtbot.waitUntil(true, timeout=timeout or self.patience_ms)
        except Exception as error:
            raise AssertionError(f"{error}\n{self.status()}\n{self.log()[-3000:]}") from None

    def until_state(self, *states: str) -> None:
        self.until(lambda: self.status().state in states)

    def agree(self) -> None:
        """Takes part, as soon as the federation has been shown."""
        self.until_state("agreement")
        self.window.show_now()
        self.click(self.window.rounds.session.status.button)

    def until_asked(self) -> Entry:
        """Returns what waits once it can be decided."""
        self.until(lambda: self.desk.asked is not None and self.desk.pending is not None)
        self.window.show_now()
        assert self.desk.pending is not None
        return self.desk.pending

    def decide(self, answer: str = "send", reason: str = REASON) -> Entry:
        """By hand on Approvals, once it is asked: `answer` is send, keep or hold. Returns what was decided on."""
        entry = self.until_asked()
        self.window.go("approvals")
        self.window.show_now()
        form = self.window.approvals.decision.form
        for box in form.findings:
            if box.isVisible() and not box.box.isChecked():
                box.box.click()
        self.type(form.reason, reason)
        if not form.name.text():
            self.type(form.name, APPROVER)
        button = {"send": form.send, "keep": form.keep, "hold": form.hold}[answer]
        self.until(button.isEnabled)
        self.click(button)
        return entry

    def send_all(self) -> str:
        """Approves whatever is asked for until the federation has finished; its final adapter."""
        while True:
            self.until(lambda: self.desk.record.final is not None or self.desk.asked is not None)
            if self.desk.record.final:
                return self.desk.record.final
            sha256 = self.decide().sha256
            self.until_left(sha256)

    def until_left(self, sha256: str) -> None:
        self.until(lambda: self.state_of(sha256) in ("acknowledged", "refused", "expired"))

    def state_of(self, sha256: str) -> str:
        entry = self.desk.entry(sha256)
        return entry.state if entry else ""


def words(widget: QWidget) -> str:
    """What can be read on a widget, in the order in which it was built."""
    lines = []
    for child in widget.findChildren(QWidget):
        if not child.isVisibleTo(widget):
            continue
        if isinstance(child, (QLabel, QAbstractButton, QLineEdit)):
            lines.append(child.text())
        elif isinstance(child, (QPlainTextEdit, QTextEdit)):
            lines.append(child.toPlainText())
        elif isinstance(child, QTableView) and (model := child.model()):
            for row in range(model.rowCount()):
                cells = [model.index(row, column).data() for column in range(model.columnCount())]
                lines.append(" | ".join(str(cell) for cell in cells))
    return "\n".join(line for line in lines if line)


def without_times(text: str) -> str:
    """Clock times and spans of time replaced, since they go on while nothing else changes."""
    text = re.sub(r"\b\d{4}-\d\d-\d\d|\b\d{1,2} \w{3} |\b\w{3} (?=\d\d:\d\d)", "", text)
    text = re.sub(r"\b\d\d:\d\d(:\d\d)?\b", "HH:MM", text)
    return re.sub(r"\b(\d+ (seconds?|minutes?|hours?|days?|min|s|h|d)\b ?)+", "SPAN", text)
