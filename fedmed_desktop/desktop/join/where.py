# SPDX-License-Identifier: Apache-2.0
"""Fields that say where to join: the host's invitation or, behind a link, a coordinator on this computer and a name."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QFileDialog, QVBoxLayout, QWidget

from ...protocol.invitation import FILE_SUFFIX, SCHEME, Invitation
from ..look.fields import EMPTY, Verdict, checking
from ..widgets import Button, Flow, KeyValueRows, LinkButton, Sentence, Spaced
from ..widgets.field import Field
from ..work.requests import JoinRequest
from ..work.tasks import Task, run_task
from . import files
from .form import WHERE, FieldName, JoinForm, Way, invited_to, look_at_address, look_at_invitation, look_at_name, way_of
from .picture import picture_filter


class WherePanel(Spaced):
    """Three fields, of which the way that is chosen shows one or two. `touched` with every key and every verdict;
    `turned` when another way is chosen. An invitation is looked at at once, files beside the GUI thread.
    """

    touched = Signal()
    turned = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.way: Way = "invited"
        self._before: JoinRequest | None = None  # the try that is being corrected
        self._invitation: Invitation | None = None
        self._file_task: Task | None = None
        self._reach_task: Task | None = None
        self.fields: dict[FieldName, Field] = self._make_fields()
        self.open_file = Button(self.tr("Open file…"))
        self.open_picture = Button(self.tr("From a picture…"))
        self.buttons = Flow(self.open_file, self.open_picture)
        self.facts = KeyValueRows()
        self.six_words = Sentence(
            self.tr(
                "Once connected, Rounds shows six words. Compare them with the host by phone, at a number that you "
                "already have."
            )
        )
        self.turn = LinkButton()
        self._connect()
        column = QVBoxLayout(self)
        self._lay(column, (0, 0, 0, 0), 8)
        for widget in (self.fields["invitation"], self.buttons, self.facts, self.six_words):
            column.addWidget(widget)
        column.addWidget(self.fields["address"])
        column.addWidget(self.fields["name"])
        column.addWidget(self.turn, 0, Qt.AlignmentFlag.AlignLeft)
        self._show_way("invited")

    def _make_fields(self) -> dict[FieldName, Field]:
        return {
            "invitation": Field(
                self.tr("Invitation"),
                self.tr("Paste the host's line, or drop its file or a picture of its QR code anywhere on this page."),
                "fedmed:…",
            ),
            "address": Field(
                self.tr("Coordinator's address"), self.tr("Of a coordinator that runs on this computer."),
                "ws://127.0.0.1:8765",
            ),
            "name": Field(
                self.tr("Name of this site"), self.tr("The coordinator sees it. It stays yours in this federation."),
                "Riverside",
            ),
        }  # fmt: skip

    def _connect(self) -> None:
        for field in self.fields.values():
            field.touched.connect(self.touched)
        self.fields["invitation"].edited.connect(self._look_at_invitation)
        self.fields["address"].edited.connect(self._look_at_address)
        self.fields["name"].edited.connect(self._look_at_name)
        self.open_file.clicked.connect(self._ask_file)
        self.open_picture.clicked.connect(self._ask_picture)
        self.turn.clicked.connect(self._turn)

    # -- from outside ------------------------------------------------------------------------------------------------

    @property
    def needed(self) -> tuple[FieldName, ...]:
        """The fields that are shown."""
        return WHERE[self.way]

    @property
    def is_for_host(self) -> bool:
        """Tells whether what is given is the invitation of a host, who gives neither a model nor notes."""
        return self.way == "invited" and self._invitation is not None and self._invitation.role == "host"

    def typed(self) -> dict[str, str]:
        """Values of a JoinForm."""
        if self.way == "here":
            return {"address": self.fields["address"].text(), "name": self.fields["name"].text()}
        if line := self.fields["invitation"].text():
            return {"invitation": line}
        return {"address": self._before.address, "name": self._before.name} if self._before else {}

    def give(self, text: str) -> None:
        """An invitation as somebody has it: the line, or the e-mail around it."""
        self._show_way("invited")
        self.fields["invitation"].fill(text)
        self._look_at_invitation(text)

    def give_address(self, address: str) -> None:
        """The address of a coordinator on this computer."""
        self._show_way("here")
        self.fields["address"].fill(address)
        self._look_at_address(address)

    @Slot(str)
    def open(self, path: str) -> None:
        """Reads the invitation in a file, or in a picture."""
        self._show_way("invited")
        self._show("invitation", checking())
        read = partial(files.open_invitation, path)
        self._file_task = run_task(self, read, self._opened, self._fault, self._file_task)

    def correct(self, request: JoinRequest) -> None:
        """A try that went wrong, with everything as it was."""
        self._before = request
        if way_of(request) == "invited":
            self.give(request.invitation)
            return
        form = JoinForm.of(request)
        self.fields["name"].fill(form.name)
        self._look_at_name(form.name)
        self.give_address(form.address)

    def forget(self) -> None:
        """Stops what is being read."""
        for task in (self._file_task, self._reach_task):
            if task is not None:
                task.drop()
        self._file_task = self._reach_task = None
        if self.fields["invitation"].verdict.state == "checking":
            self._show("invitation", EMPTY)

    # -- ways ----------------------------------------------------------------------------------------------------------

    @Slot()
    def _turn(self) -> None:
        self._show_way("invited" if self.way == "here" else "here")
        self.fields[self.needed[0]].line.setFocus()

    def _show_way(self, way: Way) -> None:
        self.way = way
        for name, field in self.fields.items():
            field.setVisible(name in self.needed)
        self.buttons.setVisible(way == "invited")
        self.turn.setText(
            self.tr("A coordinator on this computer…") if way == "invited" else self.tr("With an invitation…")
        )
        self._show_facts()
        self.turned.emit()

    def _show_facts(self) -> None:
        facts = invited_to(self._invitation, self._before) if self.way == "invited" else []
        is_right = bool(facts) and self.fields["invitation"].verdict.state == "right"
        self.facts.show_pairs(facts if is_right else [])
        self.facts.setVisible(is_right)
        self.six_words.setVisible(is_right)

    # -- verdicts ------------------------------------------------------------------------------------------------------

    @Slot(str)
    def _look_at_invitation(self, typed: str) -> None:
        if self._file_task is not None:
            self._file_task.drop()
            self._file_task = None
        if _is_path(typed):
            self.fields["invitation"].fill("")
            self.open(typed)
            return
        look = look_at_invitation(typed, self._before)
        self._invitation = look.invitation
        if look.invitation and typed != look.invitation.line():
            self.fields["invitation"].fill(look.invitation.line())
        if look.invitation:
            self.fields["invitation"].line.setCursorPosition(0)  # shows its beginning
        self._show("invitation", look.verdict)

    @Slot(object)
    def _opened(self, found: tuple[str, Verdict]) -> None:
        line, verdict = found
        self._file_task = None
        if line:
            self.give(line)
        else:
            self._invitation = None
            self.fields["invitation"].fill("")
            self._show("invitation", verdict)

    @Slot(str)
    def _look_at_address(self, typed: str) -> None:
        """Judges an address by its form at once, and a moment later by whether something answers there."""
        verdict = look_at_address(typed)
        self._show("address", verdict)
        if self._reach_task is not None:
            self._reach_task.drop()
            self._reach_task = None
        if verdict.state == "right":
            self._reach_task = run_task(self, partial(files.reach_address, typed), self._reached, self._fault)

    @Slot(object)
    def _reached(self, verdict: Verdict) -> None:
        if not self.fields["address"].waiting:  # else another one is being typed
            self._show("address", verdict)

    @Slot(str)
    def _look_at_name(self, typed: str) -> None:
        self._show("name", look_at_name(typed))

    @Slot(object)
    def _fault(self, error: BaseException) -> None:
        """Raises a fault of the program, which a dialog then shows; a person's mistake is a verdict."""
        raise error

    def _show(self, name: FieldName, verdict: Verdict) -> None:
        self.fields[name].show_verdict(verdict)
        self._show_facts()
        self.touched.emit()

    # -- files -------------------------------------------------------------------------------------------------------

    @Slot()
    def _ask_file(self) -> None:
        self._ask(self.tr("Open an invitation"), self.tr("Invitations (*{suffix} *.txt)").format(suffix=FILE_SUFFIX))

    @Slot()
    def _ask_picture(self) -> None:
        pictures = self.tr("Pictures ({kinds})").format(kinds=picture_filter())
        self._ask(self.tr("Open a picture of the QR code"), pictures)

    def _ask(self, title: str, name_filter: str) -> None:
        dialog = QFileDialog(self, title)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setNameFilter(name_filter)
        dialog.setDirectory(str(Path.home()))
        dialog.fileSelected.connect(self.open)
        dialog.open()


def _is_path(typed: str) -> bool:
    """A file's name that was pasted or dropped into the line; no invitation has a slash."""
    return SCHEME not in typed.lower() and "://" not in typed and ("/" in typed or "\\" in typed)
