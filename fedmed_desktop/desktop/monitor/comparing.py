# SPDX-License-Identifier: Apache-2.0
"""Choosing the earlier federation that stands behind the present one, among those in this computer's data folders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtWidgets import QDialogButtonBox, QWidget

from ...errors import UserFacingError
from ...site.earlier import Earlier, earlier_federations, read_measured, read_record
from ...wording import moment, told, tr
from ..look.fields import Choice
from ..widgets import Button, Dialog, PrimaryButton, Sentence
from ..widgets.field import ChoiceBox
from ..work.tasks import Task, run_task
from .earlier import EarlierRun, run_of


class EarlierDialog(Dialog):
    """`chosen` carries the folder of an earlier federation, None for none. Empty until `show_found`."""

    chosen = Signal(object)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(
            parent,
            tr("Compare with an earlier federation"),
            tr("Its curves are drawn in grey behind the present ones, and what it had found after as many rounds."),
        )
        self.found = ChoiceBox(self.tr("Earlier federation"))
        self.said = Sentence(self.tr("Looking…"))
        box = QDialogButtonBox()
        self.compare, self.stop = PrimaryButton(self.tr("Compare")), Button(self.tr("Compare with none"))
        self.compare.setEnabled(False)
        box.addButton(self.compare, QDialogButtonBox.ButtonRole.AcceptRole)
        box.addButton(self.stop, QDialogButtonBox.ButtonRole.RejectRole)
        for widget in (self.found, self.said, box):
            self.column.addWidget(widget)
        self.found.hide()
        self.compare.clicked.connect(self._take)
        self.stop.clicked.connect(self._take_none)

    def show_found(self, found: Sequence[Earlier], present: Path | None) -> None:
        """`present`: the folder that is compared with now."""
        choices = [Choice(str(one.folder), _words(one)) for one in found]
        self.found.setVisible(bool(choices))
        self.compare.setEnabled(bool(choices))
        nothing = self.tr("There is none on this computer yet: it comes here once this computer has left one.")
        self.said.setText("" if choices else nothing)
        self.said.setVisible(not choices)
        if choices:
            self.found.show_choices(choices, str(present or choices[0].key))

    @Slot()
    def _take(self) -> None:
        self.chosen.emit(Path(self.found.key()))
        self.accept()

    @Slot()
    def _take_none(self) -> None:
        self.chosen.emit(None)
        self.reject()


def _words(one: Earlier) -> str:
    words = tr("{federation}, %n round(s), {day}", "", one.rounds)
    return words.format(federation=one.federation, day=moment(one.last, "day"))


class Comparing(QObject):
    """`run` is what is compared with, None for nothing; `changed` tells of another one, `failed` why it was not read.
    `root` holds the folders of this computer's sites; `present()` is the one that takes part now.
    """

    changed = Signal()
    failed = Signal(str)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._owner = parent
        self.root = Path()
        self.present: Callable[[], Path | None] = lambda: None
        self.folder: Path | None = None
        self.run: EarlierRun | None = None
        self.dialog: EarlierDialog | None = None
        self._look_task: Task | None = None
        self._task: Task | None = None

    @Slot()
    def ask(self) -> None:
        if self.dialog is None:
            self.dialog = EarlierDialog(self._owner)
            self.dialog.chosen.connect(self.choose)
        look = partial(_look, self.root, self.present())
        self._look_task = run_task(self, look, self._found, self._not_read, self._look_task)
        self.dialog.open()

    def _found(self, found: list[Earlier]) -> None:
        if self.dialog is not None:
            self.dialog.show_found(found, self.folder)

    @Slot(object)
    def choose(self, folder: Path | None) -> None:
        """Reads what is in the folder of a site; None: compares with nothing."""
        self.folder = folder
        if folder is None:
            if self._task is not None:
                self._task.drop()
            self._is_read(None)
        else:
            self._task = run_task(self, partial(_read, folder), self._is_read, self._not_read, self._task)

    def _is_read(self, run: EarlierRun | None) -> None:
        self.run = run
        self.changed.emit()

    def _not_read(self, error: BaseException) -> None:
        if not isinstance(error, UserFacingError):
            raise error
        self.folder = None
        self._is_read(None)
        self.failed.emit(told(error))


def _look(root: Path, present: Path | None) -> list[Earlier]:
    """Looks for earlier federations; not in the GUI thread."""
    if not root.is_dir():
        return []
    return earlier_federations(folder for folder in root.iterdir() if folder.is_dir() and folder != present)


def _read(folder: Path) -> EarlierRun:
    """Reads an earlier federation's curves; not in the GUI thread."""
    record = read_record(folder)
    name = record.spec.name if record.spec else folder.name
    return run_of(name, record, read_measured(folder))
