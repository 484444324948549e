# SPDX-License-Identifier: Apache-2.0
"""Joining a federation: the invitation, model and notes, each looked at as it is given. In Rounds' place."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from ...protocol.invitation import SCHEME
from ...site.folder import carry_over
from ...site.preflight import Asked
from ...site.proxy import SYSTEM
from ..checks.findings import FindingsCard
from ..look.fields import EMPTY, Verdict, checking
from ..notes.checking import CheckedNotes
from ..notes.files import Wish
from ..widgets import Banner, Button, Caption, Card, Heading, LinkButton, PageBase, PrimaryButton, Row, Sentence
from ..widgets.field import Field
from ..widgets.layout import add_column
from ..work.files import look_at_model
from ..work.requests import JoinRequest
from ..work.tasks import Task, run_task
from . import files
from .dropped import dropped
from .form import NEEDED, FieldName, JoinForm, NotesLook, target_of
from .preview_panel import PreviewCard
from .story import SharedCard, StoryRow
from .where import WherePanel


class JoinPage(PageBase):
    """`join_requested` carries a JoinRequest. `root`: where the folders of sites are kept; `proxy`: of the settings.
    Where to join is looked at at once; model and notes on a thread of the pool, since folders may be far away.
    """

    join_requested = Signal(object)
    cancelled = Signal()
    guide_requested = Signal()
    host_requested = Signal()
    host_invited = Signal(str)  # the line of a host's invitation

    def __init__(self, root: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._root = root
        self._before: JoinRequest | None = None  # the try that is being corrected
        self.proxy = SYSTEM
        self._model_task: Task | None = None
        self._notes_task: Task | None = None
        self._look: NotesLook | None = None
        self.where = WherePanel()
        self.fields: dict[FieldName, Field] = {**self.where.fields, **self._make_fields()}
        self.findings = FindingsCard(
            self.tr("Check before joining"),
            self.tr(
                "Tests the connection to the coordinator and checks this computer. It tells the coordinator "
                "nothing about this site."
            ),
        )
        self.banner = Banner()
        self.join = PrimaryButton(self.tr("Join"))
        self.back = Button(self.tr("Back"))
        self.preview = PreviewCard()
        self.report = CheckedNotes(self)
        self._missing = Caption(wrap=True)
        self.join.clicked.connect(self._join)
        self.back.clicked.connect(self._cancel)
        self._connect()
        self._arrange()
        self._weigh()

    # -- the form ----------------------------------------------------------------------------------------------------

    def _make_fields(self) -> dict[FieldName, Field]:
        return {
            "model": Field(
                self.tr("Model folder"),
                self.tr("The agreed language model; its host gives you this folder."), browse="folder",
            ),
            "notes": Field(
                self.tr("Notes folder"),
                self.tr("Your annotated notes. They are only read, and stay there."),
                browse="folder",
            ),
            "types_map": Field(
                self.tr("Types map (optional)"),
                self.tr("A small file that says which of the federation's types each of yours is."),
                browse="file", files=self.tr("Types maps (*.toml)"),
            ),
        }  # fmt: skip

    def _connect(self) -> None:
        self.where.touched.connect(self._weigh)
        self.where.turned.connect(self._weigh)
        for name in ("model", "notes", "types_map"):
            self.fields[name].touched.connect(self._weigh)
        self.findings.wanted.connect(self._check)
        for field in (*self.where.fields.values(), self.fields["model"]):
            field.touched.connect(self.findings.forget)  # found of another coordinator or model
        self.where.turned.connect(self.findings.forget)
        self.fields["model"].edited.connect(self._look_at_model)
        self.fields["notes"].edited.connect(self._look_at_notes)
        self.fields["types_map"].edited.connect(self._look_at_types)
        self.report.split_written.connect(self._take_split)

    def _arrange(self) -> None:
        form = Card()
        form.content.setSpacing(16)
        form.add(self.where)
        for name in ("model", "notes", "types_map"):
            form.add(self.fields[name])
        self.guide = LinkButton(self.tr("What notes and models must look like"), "help")
        self.guide.clicked.connect(self.guide_requested)
        form.content.addWidget(self.guide, 0, Qt.AlignmentFlag.AlignLeft)
        buttons = QHBoxLayout()
        buttons.addWidget(self.join)
        buttons.addWidget(self.back)
        buttons.addWidget(self._missing, 1)
        form.content.addLayout(buttons)
        sides = Row()
        left = (form, *self.report.cards[:2], self.findings, *self.report.cards[2:])
        for cards in (left, (SharedCard(), self.preview, *self.report.charts)):
            add_column(sides, cards)
        head = QVBoxLayout()
        head.setSpacing(4)
        self.host = LinkButton(self.tr("Host one instead"))
        self.host.clicked.connect(self.host_requested)
        title = Row(Heading(self.tr("Join a federation")))
        title.add(self.host)
        head.addWidget(title)
        head.addWidget(
            Sentence(
                self.tr(
                    "Your notes stay in their folder. Nothing learned from your notes leaves before you approve it."
                )
            )
        )
        self.column.content.addLayout(head)
        self.add(StoryRow())
        self.add(self.banner)
        self.add(sides)
        self.report.hide()  # its cards stand among those of the form
        self.finish()
        self.setAcceptDrops(True)

    # -- from outside ------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """The first field that is still empty has the focus; where none is, the first of all."""
        fields = [self.fields[name] for name in (*self.where.needed, *NEEDED)]
        next((field for field in fields if not field.text()), fields[0]).line.setFocus()

    def prefill(self, given: str) -> None:
        """Fills in where to join, known from the command line: an address, an invitation, or a file with one."""
        if SCHEME in given.lower():
            self.where.give(given)
        elif "://" in given:
            self.where.give_address(given)
        else:
            self.where.open(given)

    def prefill_first(self, given: str, notes: str) -> None:
        """Fills in what the first run has asked for; each may be empty."""
        if given:
            self.prefill(given)
        if notes:
            self.fields["notes"].fill(notes)
            self._look_at_notes(notes)

    def prefill_request(self, request: JoinRequest, problem: str = "") -> None:
        """Everything as it was, each field checked again; `problem` is why it has to be changed."""
        self._before = request
        form = JoinForm.of(request)
        self.where.correct(request)
        for name, text in (("model", form.model), ("notes", form.notes), ("types_map", form.types_map)):
            self.fields[name].fill(text)  # type: ignore[index]
        self.banner.show_message(problem, "bad")
        self._look_at_model(form.model)
        self._look_at_notes(form.notes)

    def form(self) -> JoinForm:
        model, notes, types_map = (self.fields[name].text() for name in (*NEEDED, "types_map"))
        return JoinForm(**self.where.typed(), model=model, notes=notes, types_map=types_map)

    # -- each field --------------------------------------------------------------------------------------------------

    @Slot(str)
    def _look_at_model(self, typed: str) -> None:
        self._show("model", checking() if typed else EMPTY)
        self._model_task = run_task(
            self, partial(look_at_model, typed), self._model_seen, self._fault, self._model_task
        )

    @Slot(str)
    def _look_at_notes(self, typed: str) -> None:
        """Reads the folder, also where the same one was read before: its files may have been mended since.

        They are looked through once they were read, so that large ones need not be read twice.
        """
        self._look = None
        self.report.forget()
        self._read(typed)

    def _known_model(self) -> str:
        return self.fields["model"].text() if self.fields["model"].verdict.state == "right" else ""

    @Slot(str)
    def _take_split(self, folder: str) -> None:
        """The site joins with the split that was written, not with the notes that have none."""
        self.fields["notes"].fill(folder)
        self._look_at_notes(folder)

    @Slot(str)
    def _look_at_types(self, typed: str) -> None:
        del typed
        self._read(self.fields["notes"].text())

    def _read(self, notes: str) -> None:
        types_map = self.fields["types_map"].text()
        if self._look is None or self._look.notes is None:
            self._show("notes", checking() if notes else EMPTY)
            self.preview.show_preview(None, waiting=bool(notes))
        self._show("types_map", checking() if notes or types_map else EMPTY)
        look = partial(files.look_at_notes, notes, types_map, self._look)
        self._notes_task = run_task(self, look, self._notes_seen, self._fault, self._notes_task)

    @Slot(object)
    def _model_seen(self, verdict: Verdict) -> None:
        self._show("model", verdict)
        if (wish := self.report.wish) and wish.model != self._known_model():  # its tokens tell what fits
            self.report.look(replace(wish, model=self._known_model()))

    @Slot(object)
    def _notes_seen(self, look: NotesLook) -> None:
        self._look = look
        self.preview.show_preview(look.preview)
        self._show("notes", look.folder_verdict)
        self._show("types_map", look.map_verdict)
        if look.folder and self.report.wish is None:
            self.report.look(Wish(look.folder, model=self._known_model(), joining=True))

    @Slot(object)
    def _fault(self, error: BaseException) -> None:
        """Raises a fault of the program, which a dialog then shows; a person's mistake is a verdict."""
        raise error

    def _show(self, name: FieldName, verdict: Verdict) -> None:
        self.fields[name].show_verdict(verdict)
        self._weigh()

    # -- all of it ---------------------------------------------------------------------------------------------------

    @Slot()
    def _weigh(self) -> None:
        """Join can be pressed once every field was looked at and is right."""
        as_host = self.where.is_for_host
        for name in (*NEEDED, "types_map"):
            self.fields[name].setVisible(not as_host)
        self.join.setText(self.tr("Look after it") if as_host else self.tr("Join"))
        self.join.setEnabled(self._is_right())
        self._missing.setText("" if self._is_right() else self._what_is_missing())

    def _shown(self) -> list[Field]:
        return [field for field in self.fields.values() if not field.isHidden()]

    def _is_right(self) -> bool:
        needed = (*self.where.needed, *(() if self.where.is_for_host else NEEDED))
        settled = not any(field.waiting or field.verdict.state in ("checking", "wrong") for field in self._shown())
        return settled and all(self.fields[name].verdict.state == "right" for name in needed)

    def _what_is_missing(self) -> str:
        states = {field.verdict.state for field in self._shown()}
        if any(field.waiting for field in self._shown()) or "checking" in states:
            return self.tr("Looking…")
        if "wrong" in states:
            return self.tr("Something above is not right yet.")
        return self.tr("Everything except the types map is needed.")

    @Slot()
    def _check(self) -> None:
        """Looks at what is known already; where to is the least."""
        if any(self.fields[name].verdict.state != "right" for name in self.where.needed):
            self.findings.say(self.tr("Enter the invitation first; it says where the coordinator is."))
            self.fields[self.where.needed[0]].line.setFocus()
            return
        form = self.form()
        request = form.request(self._root, self._before)
        model = request.model if self.fields["model"].verdict.state == "right" else None
        self.findings.look(Asked(target_of(form, self.proxy), model, request.data_dir))

    # -- what is dropped -----------------------------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Takes one file, or a text with an invitation in it."""
        if dropped(event):
            event.acceptProposedAction()

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        given = dropped(event)
        event.acceptProposedAction()
        self.prefill(given)

    def showEvent(self, event: QShowEvent) -> None:
        """Takes up again what was being looked at when the form was left."""
        super().showEvent(event)
        if self._model_task is None and self.fields["model"].verdict.state == "checking":
            self._look_at_model(self.fields["model"].text())
        if self._notes_task is None and "checking" in (
            self.fields["notes"].verdict.state,
            self.fields["types_map"].verdict.state,
        ):
            self._look_at_notes(self.fields["notes"].text())

    @Slot()
    def _join(self) -> None:
        if self._is_right() and self.where.is_for_host:
            line = self.where.fields["invitation"].text()
            self.where.give("")  # it works once
            self._forget()
            self.host_invited.emit(line)
        elif self._is_right():
            self._forget()
            request = self.form().request(self._root, self._before)
            if self._before is not None:
                carry_over(self._before.data_dir, request.data_dir)
            self.join_requested.emit(request)

    @Slot()
    def _cancel(self) -> None:
        self._forget()
        self.cancelled.emit()

    def _forget(self) -> None:
        """Forgets the notes and stops reading: a person who leaves the form wants neither."""
        for task in (self._model_task, self._notes_task):
            if task is not None:
                task.drop()
        self._model_task = self._notes_task = self._look = None
        self.report.forget()
        self.where.forget()
        self.findings.forget()
        self.banner.show_message("")
