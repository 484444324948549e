# SPDX-License-Identifier: Apache-2.0
"""Joining a federation: five fields, each looked at as it is typed, and what will be shared. In Rounds' place."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from ...site.folder import carry_over
from ..look.fields import EMPTY, Verdict, checking
from ..widgets import Banner, Button, Caption, Card, Heading, LinkButton, PageBase, PrimaryButton, Row, Sentence
from ..widgets.field import Field
from ..work.files import look_at_model
from ..work.requests import JoinRequest
from ..work.tasks import Task, run_task
from . import files
from .form import NEEDED, FieldName, JoinForm, NotesLook, look_at_address, look_at_name
from .preview_panel import PreviewCard, SharedCard


class JoinPage(PageBase):
    """`join_requested` carries a JoinRequest. `root`: where the folders of sites are kept. Address and name are looked
    at at once; model and notes on a thread of the pool, since folders may be far away.
    """

    join_requested = Signal(object)
    cancelled = Signal()
    guide_requested = Signal()

    def __init__(self, root: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._root = root
        self._before: JoinRequest | None = None  # the try that is being corrected
        self._address_task: Task | None = None
        self._model_task: Task | None = None
        self._notes_task: Task | None = None
        self._look: NotesLook | None = None
        self.fields: dict[FieldName, Field] = self._make_fields()
        self.banner = Banner()
        self.join = PrimaryButton(self.tr("Join"))
        self.back = Button(self.tr("Back"))
        self.preview = PreviewCard()
        self._missing = Caption(wrap=True)
        self.join.clicked.connect(self._join)
        self.back.clicked.connect(self._cancel)
        self._connect()
        self._arrange()
        self._weigh()

    # -- the form ----------------------------------------------------------------------------------------------------

    def _make_fields(self) -> dict[FieldName, Field]:
        return {
            "address": Field(
                self.tr("Coordinator's address"), self.tr("The host of the federation gave it to you."),
                "ws://127.0.0.1:8765",
            ),
            "name": Field(
                self.tr("Name of this site"), self.tr("The coordinator sees it. It stays yours in this federation."),
                "Riverside",
            ),
            "model": Field(
                self.tr("Model folder"),
                self.tr("The agreed language model; its host gives you this folder."),
                browse="folder",
            ),
            "notes": Field(
                self.tr("Notes folder"),
                self.tr("Your marked notes. They are only read, and stay there."),
                browse="folder",
            ),
            "types_map": Field(
                self.tr("Types map (optional)"),
                self.tr("A small file that says which of your types is which of the federation's."), browse="file",
            ),
        }  # fmt: skip

    def _connect(self) -> None:
        for field in self.fields.values():
            field.touched.connect(self._weigh)
        self.fields["address"].edited.connect(self._look_at_address)
        self.fields["name"].edited.connect(self._look_at_name)
        self.fields["model"].edited.connect(self._look_at_model)
        self.fields["notes"].edited.connect(self._look_at_notes)
        self.fields["types_map"].edited.connect(self._look_at_types)

    def _arrange(self) -> None:
        form = Card()
        form.content.setSpacing(16)
        for field in self.fields.values():
            form.add(field)
        self.guide = LinkButton(self.tr("How notes and models must look"), "help")
        self.guide.clicked.connect(self.guide_requested)
        form.content.addWidget(self.guide, 0, Qt.AlignmentFlag.AlignLeft)
        buttons = QHBoxLayout()
        buttons.addWidget(self.join)
        buttons.addWidget(self.back)
        buttons.addWidget(self._missing, 1)
        form.content.addLayout(buttons)
        form.content.addStretch(1)
        beside = QWidget()
        column = QVBoxLayout(beside)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(16)
        column.addWidget(SharedCard())
        column.addWidget(self.preview)
        column.addStretch(1)
        sides = Row()
        for side in (form, beside):
            sides.add(side, 1)
            sides.content.setAlignment(side, Qt.AlignmentFlag.AlignTop)
        head = QVBoxLayout()
        head.setSpacing(4)
        head.addWidget(Heading(self.tr("Join a federation")))
        head.addWidget(
            Sentence(
                self.tr(
                    "Your notes stay in their folder. Nothing learned from your notes leaves before you approve it."
                )
            )
        )
        self.column.content.addLayout(head)
        self.add(self.banner)
        self.add(sides)
        self.finish()

    # -- from outside ------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """The first field that is still empty has the focus; where none is, the first of all."""
        fields = list(self.fields.values())
        next((field for field in fields if not field.text()), fields[0]).line.setFocus()

    def prefill(self, address: str) -> None:
        """The address is known already, from the command line or a link."""
        self.fields["address"].fill(address)
        self._look_at_address(address)

    def prefill_request(self, request: JoinRequest, problem: str = "") -> None:
        """Everything as it was, each field checked again; `problem` is why it has to be changed."""
        self._before = request
        form = JoinForm.of(request)
        for name, field in self.fields.items():
            field.fill(getattr(form, name))
        self.banner.show_message(problem, "bad")
        self._look_at_address(form.address)
        self._look_at_name(form.name)
        self._look_at_model(form.model)
        self._look_at_notes(form.notes)

    def form(self) -> JoinForm:
        return JoinForm(**{name: field.text() for name, field in self.fields.items()})

    # -- each field --------------------------------------------------------------------------------------------------

    @Slot(str)
    def _look_at_address(self, typed: str) -> None:
        """Its form at once; whether something answers there a moment later."""
        verdict = look_at_address(typed)
        self._show("address", verdict)
        if self._address_task is not None:
            self._address_task.drop()
            self._address_task = None
        if verdict.state == "right":
            self._address_task = run_task(self, partial(files.reach_address, typed), self._address_seen, self._fault)

    @Slot(str)
    def _look_at_name(self, typed: str) -> None:
        self._show("name", look_at_name(typed))

    @Slot(str)
    def _look_at_model(self, typed: str) -> None:
        self._show("model", checking() if typed else EMPTY)
        self._model_task = run_task(
            self, partial(look_at_model, typed), self._model_seen, self._fault, self._model_task
        )

    @Slot(str)
    def _look_at_notes(self, typed: str) -> None:
        """Reads the folder, also where the same one was read before: its files may have been mended since."""
        self._look = None
        self._read(typed)

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
    def _address_seen(self, verdict: Verdict) -> None:
        if not self.fields["address"].waiting:  # else another one is being typed
            self._show("address", verdict)

    @Slot(object)
    def _model_seen(self, verdict: Verdict) -> None:
        self._show("model", verdict)

    @Slot(object)
    def _notes_seen(self, look: NotesLook) -> None:
        self._look = look
        self.preview.show_preview(look.preview)
        self._show("notes", look.folder_verdict)
        self._show("types_map", look.map_verdict)

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
        self.join.setEnabled(self._is_right())
        self._missing.setText("" if self._is_right() else self._what_is_missing())

    def _is_right(self) -> bool:
        settled = not any(
            field.waiting or field.verdict.state in ("checking", "wrong") for field in self.fields.values()
        )
        return settled and all(self.fields[name].verdict.state == "right" for name in NEEDED)

    def _what_is_missing(self) -> str:
        states = {field.verdict.state for field in self.fields.values()}
        if any(field.waiting for field in self.fields.values()) or "checking" in states:
            return self.tr("Looking…")
        if "wrong" in states:
            return self.tr("Something above is not right yet.")
        return self.tr("All but the types map is needed.")

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
        if self._is_right():
            self._forget()
            request = self.form().request(self._root)
            if self._before is not None:
                carry_over(self._before.data_dir, request.data_dir)
                self._before = None
            self.join_requested.emit(request)

    @Slot()
    def _cancel(self) -> None:
        self._forget()
        self.cancelled.emit()

    def _forget(self) -> None:
        """Forgets the notes and stops reading: a person who leaves the form wants neither."""
        for task in (self._address_task, self._model_task, self._notes_task):
            if task is not None:
                task.drop()
        self._address_task = self._model_task = self._notes_task = self._look = None
        self.banner.show_message("")
