# SPDX-License-Identifier: Apache-2.0
"""A report on notes that fills itself beside the GUI thread, stops when others are asked for, and writes splits."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QFileDialog, QWidget

from ..work.tasks import Task, run_task
from . import files
from .files import Looked, Progress, TokensOf, Wish
from .report import NotesReport

PERIOD_MS = 200


class CheckedNotes(NotesReport):
    """`look` at notes, `forget` them; `split_written` carries the folder of a split that was written.

    `tokens_of` makes what counts a base model's tokens; None: notes are looked at without.
    """

    split_written = Signal(str)
    looked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.tokens_of: TokensOf | None = None
        self.wish: Wish | None = None
        self._found: Looked | None = None
        self._progress = Progress()
        self._task: Task | None = None
        self._write_task: Task | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(PERIOD_MS)
        self._timer.timeout.connect(self._tick)
        self.split_wanted.connect(self._ask_folder)
        self.show_nothing()

    @property
    def busy(self) -> bool:
        return self._task is not None

    @property
    def has_notes(self) -> bool:
        """Tells whether notes were found."""
        return self._found is not None and self._found.view is not None

    def look(self, wish: Wish) -> None:
        """Looks through these notes; an earlier look that still goes on is stopped."""
        self.stop()
        self.wish, self._found, self._progress = wish, None, Progress()
        self.show_checking(0)
        self._timer.start()
        work = partial(files.look_through, wish, self._progress, self.tokens_of)
        self._task = run_task(self, work, self._seen, self._failed)

    def stop(self) -> None:
        """Ends the look at the next row; what it would have found is not shown."""
        self._progress.stop()
        self._timer.stop()
        if self._task is not None:
            self._task.drop()
            self._task = None

    def forget(self) -> None:
        self.stop()
        self.wish = self._found = None
        self.show_nothing()

    def show_found(self, found: Looked) -> None:
        self._found = found
        if found.view is None:
            self.show_problem(found.problem)
        else:
            self.show_view(found.view)

    @Slot()
    def _tick(self) -> None:
        self.show_checking(self._progress.rows)

    @Slot(object)
    def _seen(self, found: Looked) -> None:
        self._task = None
        self._timer.stop()
        self.show_found(found)
        self.looked.emit()

    @Slot(object)
    def _failed(self, error: BaseException) -> None:
        """Raises a fault of the program, which a dialog then shows."""
        self.stop()
        self.show_nothing()
        raise error

    # -- the split -----------------------------------------------------------------------------------------------------

    @Slot()
    def _ask_folder(self) -> None:
        dialog = QFileDialog(self, self.tr("An empty folder for the notes"))
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setOption(QFileDialog.Option.ShowDirsOnly)
        dialog.setDirectory(str(Path(self.wish.notes).parent) if self.wish else "")
        dialog.fileSelected.connect(self.write_split)
        dialog.open()

    @Slot(str)
    def write_split(self, folder: str) -> None:
        """Writes the split that was proposed; what comes of it is said in its card."""
        if self._found is None or self._found.checked is None or self.wish is None:
            return
        self.split.button.setEnabled(False)
        self.split.say(self.tr("Writing…"))
        work = partial(_written, self._found, folder, self.wish)
        self._write_task = run_task(self, work, self._wrote, self._write_failed)

    @Slot(object)
    def _wrote(self, outcome: tuple[str, str]) -> None:
        folder, problem = outcome
        self._write_task = None
        self.split.button.setEnabled(True)
        self.split.say(problem or self.tr("Written into {folder}.").format(folder=folder))
        if not problem:
            self.split_written.emit(folder)

    @Slot(object)
    def _write_failed(self, error: BaseException) -> None:
        self._write_task = None
        self.split.button.setEnabled(True)
        raise error


def _written(found: Looked, folder: str, wish: Wish) -> tuple[str, str]:
    """Writes a split of the notes, on a thread of the pool."""
    assert found.checked is not None
    return folder, files.write_split(found.checked, folder, wish.cache)
