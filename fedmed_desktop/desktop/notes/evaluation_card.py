# SPDX-License-Identifier: Apache-2.0
"""Card on how good the federation's adapter is on the notes shown: a button, progress, the verdict, a table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QFileDialog, QWidget

from ...errors import UserFacingError
from ...wording import told
from ..widgets import Button, Caption, Sentence
from ..widgets.helped import RunCard
from ..work.news import EvaluationShown
from ..work.tasks import Task, run_task
from .evaluation_view import evaluation_view

Save = Callable[[Path], None]


class EvaluationCard(RunCard):
    """`save` writes the last evaluation into a folder."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(
            self.tr("How good the model is on these notes"), parent, "notes#how-good-the-model-is-on-these-notes",
            self.tr("Progress of the evaluation"), self.tr("Scores on these notes"),
        )  # fmt: skip
        self.save: Save | None = None
        self._shown: EvaluationShown | None = None
        self._adapter, self._notes = "", ""
        self.of_others = Sentence()
        self._task: Task | None = None
        self.keep = Button(self.tr("Save scores and predictions…"), "folder")
        self.said = Caption(wrap=True)
        self.keep.clicked.connect(self._ask_folder)
        self.buttons.add(self.keep)
        self.content.insertWidget(self.content.indexOf(self.hint), self.of_others)
        self.add(self.said)
        self.show_evaluation(None, "")

    def show_evaluation(self, shown: EvaluationShown | None, adapter: str, notes: str = "") -> None:
        """`adapter`: the name of the one that would be evaluated, "" for the base alone; `notes`: those on the page.
        Only what is new is shown.
        """
        if shown is self._shown and (adapter, notes) == (self._adapter, self._notes) and self.hint.text():
            return
        self._shown, self._adapter, self._notes = shown, adapter, notes
        others = shown.source if shown and shown.source != Path(notes) else None
        self.of_others.setText(
            self.tr("About other notes than those shown above: {path}").format(path=others) if others else ""
        )
        self.of_others.setVisible(others is not None)
        what = self.tr("The base model and “{adapter}” answer for every note that has labels; both are scored.")
        alone = self.tr("The base model answers for every note that has labels, and is scored.")
        rest = self.tr("Test notes are used where there are some. Nothing is sent; it may take minutes to hours.")
        self.hint.setText(f"{what.format(adapter=adapter) if adapter else alone} {rest}")
        start = self.tr("Evaluate again") if shown and not others else self.tr("Evaluate on these notes")
        self.show_view(evaluation_view(shown) if shown else None, runs=shown is not None and shown.runs, start=start)
        self.keep.setVisible(shown is not None and shown.state == "done" and self.save is not None)
        self.said.setVisible(False)

    # -- saving --------------------------------------------------------------------------------------------------------

    @Slot()
    def _ask_folder(self) -> None:
        dialog = QFileDialog(self, self.tr("A folder for scores and predictions"))
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.fileSelected.connect(self.save_into)
        dialog.open()

    @Slot(str)
    def save_into(self, folder: str) -> None:
        save = self.save
        if save is not None:
            self.keep.setEnabled(False)
            self._task = run_task(self, lambda: _saved(save, folder), self._has_saved, self._failed)

    @Slot(object)
    def _has_saved(self, problem: str) -> None:
        self.keep.setEnabled(True)
        written = self.tr("Saved. The predictions hold words of the notes: keep them at your site.")
        self.said.setText(problem or written)
        self.said.setVisible(True)

    @Slot(object)
    def _failed(self, error: BaseException) -> None:
        self.keep.setEnabled(True)
        raise error


def _saved(save: Save, folder: str) -> str:
    """Saves an evaluation, on a thread of the pool: "" or the sentence why it could not be written."""
    try:
        save(Path(folder))
    except (UserFacingError, OSError) as error:
        return told(error)
    return ""
