# SPDX-License-Identifier: Apache-2.0
"""The button that saves what both sides found, as JSON or as a BRAT folder, and the line that says what came of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QFileDialog, QMenu, QWidget

from ... import __version__
from ...errors import UserFacingError
from ...wording import told
from ..widgets import Banner, Button
from ..widgets.saving import ask_where
from ..work.tasks import Task, run_task
from .files import write_json, write_marks
from .results import Results, as_json, as_notes


class SaveResults(Button):
    """Enabled while there are results; `made` gives those that are shown when the person asks."""

    saved_as = Signal(str, str)  # a sentence, and the kind of its banner
    export_wanted = Signal(str, bool)  # the folder, and whether the model is to be in it

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self.setText(self.tr("Save"))
        self.setAccessibleName(self.tr("Save what was found"))
        self._make: Callable[[], Results | None] = lambda: None
        self._write: Callable[[Path], None] = lambda path: None
        self.dialog: QFileDialog | None = None
        self._task: Task | None = None
        menu = QMenu(self)
        self.json = menu.addAction(self.tr("What was found (JSON)…"))
        self.brat = menu.addAction(self.tr("Marks for BRAT (a folder)…"))
        menu.addSeparator()
        self.adapter = menu.addAction(self.tr("The adapter (a PEFT folder)…"))
        self.merged = menu.addAction(self.tr("The model with the adapter in it (a folder)…"))
        self.adapter.triggered.connect(self._save_adapter)
        self.merged.triggered.connect(self._save_merged)
        self.json.triggered.connect(self._save_json)
        self.brat.triggered.connect(self._save_brat)
        self.setMenu(menu)
        self.hide()

    def show_results(self, make: Callable[[], Results | None]) -> None:
        """Hidden where there is nothing to save; BRAT holds marks and links alone."""
        self._make, found = make, make()
        self.setVisible(found is not None)
        self.brat.setEnabled(found is not None and found.marks)

    def show_exports(self, has_adapter: bool) -> None:
        """Enables the exports where what was read with has an adapter, which other programs can use."""
        for action in (self.adapter, self.merged):
            action.setEnabled(has_adapter)

    @Slot()
    def _save_json(self) -> None:
        if found := self._make():
            data = as_json(found, f"fedmed-desktop {__version__}")
            self._ask("note.json", lambda path: write_json(data, path))

    @Slot()
    def _save_brat(self) -> None:
        if found := self._make():
            notes = as_notes(found)
            self._ask("note-brat", lambda folder: write_marks(notes, folder))

    @Slot()
    def _save_adapter(self) -> None:
        self._ask_folder("adapter").fileSelected.connect(self._named_adapter)

    @Slot()
    def _save_merged(self) -> None:
        self._ask_folder("model").fileSelected.connect(self._named_merged)

    def _ask_folder(self, name: str) -> QFileDialog:
        self.dialog = ask_where(self, self.tr("Save for other programs"), name)
        return self.dialog

    @Slot(str)
    def _named_adapter(self, name: str) -> None:
        self.export_wanted.emit(name, False)

    @Slot(str)
    def _named_merged(self, name: str) -> None:
        self.export_wanted.emit(name, True)

    def _ask(self, name: str, write: Callable[[Path], None]) -> None:
        self._write = write
        self.dialog = ask_where(self, self.tr("Save what was found"), name)
        self.dialog.fileSelected.connect(self._named)

    @Slot(str)
    def _named(self, name: str) -> None:
        path, write = Path(name), self._write

        def written() -> Path:
            write(path)
            return path

        self._task = run_task(self, written, self._on_written, self._on_not_written)

    def _on_written(self, path: Path) -> None:
        words = self.tr(
            "Saved as {path}. It contains the note's words: keep it only where the note itself may be kept."
        )
        self.saved_as.emit(words.format(path=path), "ok")

    def _on_not_written(self, error: BaseException) -> None:
        if not isinstance(error, UserFacingError):
            raise error
        self.saved_as.emit(told(error), "bad")


class SavedLine(Banner):
    """A sentence on what was saved, until it is read or something else is asked."""

    def __init__(self, button: SaveResults) -> None:
        super().__init__()
        button.saved_as.connect(self._tell)
        self.acted.connect(self.clear)

    @Slot(str, str)
    def _tell(self, words: str, kind: str) -> None:
        self.show_message(words, kind, self.tr("Close"))

    @Slot()
    def clear(self) -> None:
        self.show_message("")
