# SPDX-License-Identifier: Apache-2.0
"""The button that saves the evidence on an update: for people as a PDF, for programs as the very text decided on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QFileDialog, QMenu, QWidget

from ...errors import UserFacingError
from ...federation.work import Entry
from ...wording import told
from ..widgets import Button
from ..widgets.saving import as_pdf, ask_where
from ..work.desk import Desk, utc_now
from ..work.tasks import Task, run_task
from .evidence import as_html, file_name
from .files import write_evidence
from .sheet import title


class SaveEvidence(Button):
    """`told`: a sentence on what came of it, and the kind of its banner. What is saved is what was shown when asked."""

    told = Signal(str, str)

    def __init__(self, clock: Callable[[], datetime] = utc_now, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self.setText(self.tr("Save evidence"))
        self.setAccessibleName(self.tr("Save the evidence on this update"))
        self._clock = clock
        self._shown: tuple[Entry, Desk] | None = None
        self._data = b""
        self.dialog: QFileDialog | None = None
        self._task: Task | None = None
        menu = QMenu(self)
        self.pdf = menu.addAction(self.tr("To read and print (PDF)…"))
        self.json = menu.addAction(self.tr("Exactly what is decided on (JSON)…"))
        self.pdf.triggered.connect(self._save_pdf)
        self.json.triggered.connect(self._save_json)
        self.setMenu(menu)

    def show_entry(self, entry: Entry, desk: Desk) -> None:
        self._shown = entry, desk

    @Slot()
    def _save_pdf(self) -> None:
        if self._shown:
            entry, desk = self._shown
            self._ask(entry, as_pdf(title(entry), as_html(entry, desk, self._clock())), "pdf")

    @Slot()
    def _save_json(self) -> None:
        if self._shown:
            entry, _ = self._shown
            self._ask(entry, entry.update.content, "json")

    def _ask(self, entry: Entry, data: bytes, ending: str) -> None:
        self._data = data
        self.dialog = ask_where(self, self.tr("Save the evidence"), file_name(entry, ending))
        self.dialog.fileSelected.connect(self._named)

    @Slot(str)
    def _named(self, name: str) -> None:
        path, data = Path(name), self._data

        def written() -> Path:
            write_evidence(data, path)
            return path

        self._task = run_task(self, written, self._on_written, self._on_not_written)

    def _on_written(self, path: Path) -> None:
        words = self.tr("Saved as {path}").format(path=path)
        if path.suffix == ".json":
            words = self.tr("Saved as {path}. Its sha256 is in the record of the decision.").format(path=path)
        self.told.emit(words, "ok")

    def _on_not_written(self, error: BaseException) -> None:
        if not isinstance(error, UserFacingError):
            raise error
        self.told.emit(told(error), "bad")
