# SPDX-License-Identifier: Apache-2.0
"""The first run as it is seen: one of four pages, with the way on, back and out below it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from PySide6.QtCore import Signal, Slot
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from ...site.findings import Finding
from ...site.preflight import Asked
from ...wording import tr
from ..widgets import Button, Flow, Heading, LinkButton, PageBase, PrimaryButton, Sentence, Stepper, announce
from ..work.tasks import Task, run_task
from . import files
from .parts import ComputerPage, InvitationPage, NotesChoice, PurposePage
from .steps import STEPS, FirstRun, Step


class WelcomePage(PageBase):
    """`ended` carries the outcome (a steps.Outcome), and the invitation or address and the notes' folder if given."""

    ended = Signal(str, str, str)

    def __init__(self, folder: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._folder = folder
        self._run = FirstRun()
        self._task: Task | None = None
        self.ask_torch: Callable[[Asked], Asked] = lambda asked: asked
        self.stepper = Stepper([self.tr("What for"), self.tr("This computer"), self.tr("Join"), self.tr("Your notes")])
        self.stepper.setAccessibleName(self.tr("Pages of the first run"))
        self.title, self.sentence = Heading(), Sentence()
        self.purpose, self.computer = PurposePage(), ComputerPage()
        self.invitation, self.notes = InvitationPage(), NotesChoice()
        self._pages: Mapping[Step, QWidget] = {
            "purpose": self.purpose,
            "computer": self.computer,
            "join": self.invitation,
            "notes": self.notes,
        }
        self.on, self.back = PrimaryButton(), Button(self.tr("Back"))
        self.skip, self.out = Button(self.tr("Skip this page")), LinkButton(self.tr("Not now, take me to the program"))
        self._arrange()
        self._connect()
        self._show()

    def _arrange(self) -> None:
        head = QVBoxLayout()
        head.setSpacing(4)
        head.addWidget(self.title)
        head.addWidget(self.sentence)
        self.add(self.stepper)
        self.column.content.addLayout(head)
        for page in self._pages.values():
            self.add(page)
        self.add(Flow(self.on, self.back, self.skip, self.out))
        self.add(self.notes.report)
        self.finish()
        self.setAcceptDrops(True)

    def _connect(self) -> None:
        self.purpose.chosen.connect(self._choose)
        self.on.clicked.connect(self._forward)
        self.skip.clicked.connect(self._skip)
        self.back.clicked.connect(self._back)
        self.out.clicked.connect(self._dismiss)
        self.invitation.where.touched.connect(self._weigh)
        self.notes.report.looked.connect(self._weigh)
        self.notes.field.touched.connect(self._weigh)
        self.notes.field.edited.connect(self._weigh)

    @property
    def step(self) -> Step:
        return self._run.step

    # -- the way through -----------------------------------------------------------------------------------------------

    @Slot(str)
    def _choose(self, purpose: str) -> None:
        self._turn(self._run.choose(purpose))  # type: ignore[arg-type]

    @Slot()
    def _forward(self) -> None:
        self._turn(self._run.forward())

    @Slot()
    def _skip(self) -> None:
        """Forgets what stands on this page."""
        if self.step == "join":
            for field in self.invitation.where.fields.values():
                field.fill("")
            self.invitation.where.give("")
        elif self.step == "notes":
            self.notes.field.fill("")
            self.notes.report.forget()
        self._turn(self._run.forward())

    @Slot()
    def _back(self) -> None:
        self._turn(self._run.back())

    @Slot()
    def _dismiss(self) -> None:
        self._turn(self._run.dismiss())

    def _turn(self, run: FirstRun) -> None:
        self._run = run
        if run.outcome is None:
            self._show()
            self.verticalScrollBar().setValue(0)
            return
        given, notes = self.invitation.given, self.notes.given
        self.notes.report.forget()
        self.invitation.where.forget()
        self._run = FirstRun()
        self._show()
        self.ended.emit(run.outcome, given, notes)

    # -- showing -------------------------------------------------------------------------------------------------------

    def _show(self) -> None:
        step = self.step
        for name, page in self._pages.items():
            page.setVisible(name == step)
        title, sentence = _words(step)
        self.title.setText(title)
        self.sentence.setText(sentence)
        self.stepper.show_step(STEPS.index(step))
        for button in (self.on, self.back, self.skip):
            button.setVisible(step != "purpose")
        self.on.setText(self.tr("Continue") if not self._run.is_last else self.tr("Finish"))
        self.skip.setVisible(step in ("join", "notes"))
        self._weigh()
        if step == "computer" and not self.computer.rows and self._task is None:
            self.computer.show_looking()
            self._task = run_task(self, partial(files.look, self._folder, self.ask_torch), self._looked, self._fault)
        if self.isVisible():
            first = {"join": self.invitation.where.fields["invitation"].line, "notes": self.notes.field.line}
            first.get(step, self.on if step == "computer" else self.purpose.buttons["join"]).setFocus()
            announce(self.title, title)

    @Slot()
    def _weigh(self) -> None:
        """Pages that ask for something lead on once it is there; they can be skipped at any time."""
        given = {"join": self.invitation.given, "notes": self.notes.given}
        self.on.setEnabled(bool(given.get(self.step, "yes")))
        self.notes.report.setVisible(self.step == "notes" and self.notes.report.wish is not None)

    @Slot(object)
    def _looked(self, found: list[Finding]) -> None:
        self._task = None
        self.computer.show_findings(found)

    @Slot(object)
    def _fault(self, error: BaseException) -> None:
        """Raises a fault of the program, which a dialog then shows."""
        self._task = None
        self.computer.show_findings(())
        raise error

    # -- what is dropped -----------------------------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Takes one file on the page that asks for an invitation."""
        if self.step == "join" and any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        event.acceptProposedAction()
        paths = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
        if paths:
            self.invitation.where.open(paths[0])


def _words(step: Step) -> tuple[str, str]:
    match step:
        case "computer":
            return tr("This computer"), tr("What it has, and what that suffices for. Nothing is sent.")
        case "join":
            return tr("Your invitation"), tr(
                "The host of the federation gives you one: a line, a file, or a picture. Nothing is joined yet."
            )
        case "notes":
            return tr("Your notes"), tr(
                "Choose the folder to see what is in it and what needs a look. Notes are only read; nothing is copied."
            )
        case _:
            return tr("Welcome. What would you like to do?"), tr(
                "Every page can be skipped, and everything can be done later. The program works without a network."
            )
