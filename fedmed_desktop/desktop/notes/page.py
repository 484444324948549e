# SPDX-License-Identifier: Apache-2.0
"""The notes of this site, or others that a person chooses: what they hold, and what needs a look."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QFileDialog, QVBoxLayout, QWidget

from ..widgets import Button, Caption, EmptyState, Flow, Heading, LinkButton, PageBase, Sentence
from ..work.desk import Desk
from .checking import CheckedNotes
from .evaluation_card import EvaluationCard
from .files import Wish
from .shared import shared_view
from .shared_card import SharedCard


class NotesPage(PageBase):
    """The notes of the site that has joined are looked at once they are first shown, and when somebody asks again."""

    evaluation_requested = Signal(object)  # Wish

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk = Desk()
        self._seen: Wish | None = None  # of the session; looked at by itself once
        self.report = CheckedNotes()
        self.report.lay_beside()
        self.empty = EmptyState(
            "notes",
            self.tr("No notes yet"),
            self.tr(
                "Choose a folder or a file of notes, to see what is in them and what needs a look. They are only "
                "read, and nothing leaves this computer."
            ),
            self.tr("Choose a folder…"),
            (self.tr("Choose a file…"),),
        )
        self.source = Sentence()
        self.again = Button(self.tr("Check again"), "refresh")
        self.folder = Button(self.tr("Other folder…"), "folder")
        self.file = Button(self.tr("Other file…"))
        self.own = LinkButton(self.tr("This site's notes"))
        self.buttons = Flow(self.again, self.folder, self.file, self.own)
        self.evaluation, self.shared = EvaluationCard(), SharedCard()
        self.adapter_of: Callable[[Desk], str] = lambda desk: ""
        self._here = Caption(
            self.tr("Shown on this screen only. Rows are named by file and number, their words are not shown."),
            wrap=True,
        )
        self._connect()
        head = QVBoxLayout()
        head.setSpacing(4)
        head.addWidget(Heading(self.tr("Notes")))
        head.addWidget(self.source)
        self.column.content.addLayout(head)
        for part in (self.buttons, self.empty, self.report, self.shared, self.evaluation, self._here):
            self.add(part)
        self.finish()
        self._show_parts()

    def _connect(self) -> None:
        self.empty.chosen.connect(self._chosen)
        self.again.clicked.connect(self.check_again)
        self.folder.clicked.connect(self.ask_folder)
        self.file.clicked.connect(self.ask_file)
        self.own.clicked.connect(self.show_own)
        self.report.split_written.connect(self.look_at)
        self.report.looked.connect(self._show_evaluation)
        self.evaluation.wanted.connect(self._evaluate)

    def show_desk(self, desk: Desk) -> None:
        """Ten times a second; only a change of the session's notes or federation does anything."""
        self._desk = desk
        self._show_evaluation()
        self._show_shared()
        own = self._own()
        if own is not None and own != self._seen and self.isVisible():
            self._seen = own
            self._look(own)
        elif self.own.isHidden() != (own is None or own == self.report.wish):
            self._show_parts()

    def _own(self) -> Wish | None:
        session = self._desk.session
        if session is None or self._desk.spec is None:
            return None
        return Wish(str(session.notes), str(session.types_map or ""), str(session.model), self._desk.spec)

    # -- what is looked at ---------------------------------------------------------------------------------------------

    @Slot(str)
    def look_at(self, path: str) -> None:
        """Notes that a person has chosen, for the federation that was joined, where one was."""
        own = self._own()
        self._look(Wish(path, "", own.model if own else "", self._desk.spec))

    @Slot()
    def show_own(self) -> None:
        if (own := self._own()) is not None:
            self._look(own)

    @Slot()
    def check_again(self) -> None:
        if self.report.wish is not None:
            self._look(self.report.wish)

    @Slot()
    def _show_evaluation(self) -> None:
        """Shows the evaluation where there are notes for it; one that was begun stays in sight."""
        desk, wish = self._desk, self.report.wish
        self.evaluation.show_evaluation(desk.evaluation, self.adapter_of(desk), wish.notes if wish else "")
        self.evaluation.setVisible(self.report.has_notes or desk.evaluation is not None)

    @Slot()
    def _evaluate(self) -> None:
        if self.report.wish is not None:
            self.evaluation_requested.emit(self.report.wish)

    def _show_shared(self) -> None:
        """Shows shared counts beside this site's own notes only: others that somebody looks at were never counted."""
        own = self._own()
        is_own = own is not None and self.report.wish == own
        self.shared.show_shared(shared_view(self._desk) if is_own else None)

    def _look(self, wish: Wish) -> None:
        self.report.look(wish)
        self._show_parts()

    def _show_parts(self) -> None:
        wish, own = self.report.wish, self._own()
        for part in (self.buttons, self.report, self._here):
            part.setVisible(wish is not None)
        self.empty.setVisible(wish is None)
        self._show_evaluation()
        self._show_shared()
        self.own.setVisible(own is not None and wish != own)
        if wish is None:
            self.source.setText("")
        elif own is not None and wish == own:
            said = self.tr("This site's notes, as {federation} would use them: {folder}")
            self.source.setText(said.format(federation=self._desk.federation, folder=wish.notes))
        else:
            self.source.setText(wish.notes)
        self.source.setVisible(wish is not None)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.show_desk(self._desk)

    # -- asking --------------------------------------------------------------------------------------------------------

    @Slot(int)
    def _chosen(self, number: int) -> None:
        if number == 0:
            self.ask_folder()
        else:
            self.ask_file()

    @Slot()
    def ask_folder(self) -> None:
        self._ask(self.tr("Open a folder of notes"), QFileDialog.FileMode.Directory)

    @Slot()
    def ask_file(self) -> None:
        self._ask(self.tr("Open a file of notes"), QFileDialog.FileMode.ExistingFile)

    def _ask(self, title: str, mode: QFileDialog.FileMode) -> None:
        dialog = QFileDialog(self, title)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(mode)
        wish = self.report.wish
        dialog.setDirectory(str(Path(wish.notes).parent if wish else Path.home()))
        dialog.fileSelected.connect(self.look_at)
        dialog.open()
