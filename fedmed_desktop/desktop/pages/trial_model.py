# SPDX-License-Identifier: Apache-2.0
"""Which model Try it reads with while there is no federation: the bundled one, or folders that the person chooses."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QFileDialog, QWidget

from fedmed_desktop.desktop.pages.trial_words import TwoLines
from fedmed_desktop.desktop.tasks import Task, run_task
from fedmed_desktop.desktop.view.joining import Verdict, look_at_model
from fedmed_desktop.desktop.widgets import Button, Card, Row, Sentence
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.lora import load_adapter


class ModelCard(Card):
    """`model` None: the bundled one. A folder that is chosen here was looked into; an offered one is taken as it is."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self._lay(self.content, (16, 12, 16, 12), 8)
        self.model: Path | None = None
        self.adapter: Path | None = None
        self._task: Task | None = None
        self._asked: Path | None = None
        self.dialog: QFileDialog | None = None
        self.words = TwoLines()
        self.choose_model = Button(self.tr("Choose model…"), "folder")
        self.choose_model.clicked.connect(self._choose_model)
        self.choose_adapter = Button(self.tr("Choose adapter…"), "folder")
        self.choose_adapter.clicked.connect(self._choose_adapter)
        self.fault = Sentence(tone="bad")
        self.fault.hide()
        self.add(self._row())
        self.add(self.fault)
        self._show()

    def _row(self) -> Row:
        row = Row(spacing=8)
        row.add(self.words, 1)
        buttons = Row(spacing=8)
        buttons.add(self.choose_model)
        buttons.add(self.choose_adapter)
        buttons.content.addStretch(1)  # below the words they stand at the left
        row.add(buttons)
        return row

    def offer(self, model: Path, adapter: Path | None) -> None:
        self.model, self.adapter = model, adapter
        self._show()

    def _show(self) -> None:
        model = self.model
        self.words.first.setText(
            self.tr("Model: {name}").format(name=_short(model))
            if model
            else self.tr("Model: the small one that comes with this program")
        )
        self.words.second.setText(
            self.tr("Adapter: {name}").format(name=_short(self.adapter))
            if self.adapter
            else self.tr("Adapter: none; choose one to see it beside the model")
        )

    def _say(self, sentence: str) -> None:
        self.fault.setText(sentence)
        self.fault.setVisible(bool(sentence))

    # -- choosing --------------------------------------------------------------------------------------------------

    @Slot()
    def _choose_model(self) -> None:
        self._ask(self.tr("Folder of a model"))
        assert self.dialog
        self.dialog.fileSelected.connect(self.take_model)
        self.dialog.open()

    @Slot()
    def _choose_adapter(self) -> None:
        self._ask(self.tr("Folder of an adapter"))
        assert self.dialog
        self.dialog.fileSelected.connect(self.take_adapter)
        self.dialog.open()

    def _ask(self, title: str) -> None:
        if self.dialog:
            self.dialog.deleteLater()
        self.dialog = QFileDialog(self, title)
        self.dialog.setFileMode(QFileDialog.FileMode.Directory)
        self.dialog.setOption(QFileDialog.Option.ShowDirsOnly)

    @Slot(str)
    def take_model(self, folder: str) -> None:
        """Looks into the folder, then takes it; the adapter, which was made for another model, goes."""
        self._asked = Path(folder)
        self._say("")
        self._task = run_task(self, lambda: look_at_model(folder), self._model_looked, self._failed, self._task)

    @Slot(str)
    def take_adapter(self, folder: str) -> None:
        self._asked = Path(folder)
        self._say("")
        self._task = run_task(self, lambda: load_adapter(Path(folder)), self._adapter_looked, self._failed, self._task)

    @Slot(object)
    def _model_looked(self, verdict: Verdict) -> None:
        if verdict.state != "right":
            self._say(verdict.sentence)
            return
        self.model, self.adapter = self._asked, None
        self._show()
        self.changed.emit()

    @Slot(object)
    def _adapter_looked(self, _adapter: object) -> None:
        self.adapter = self._asked
        self._show()
        self.changed.emit()

    @Slot(object)
    def _failed(self, error: BaseException) -> None:
        if not isinstance(error, UserFacingError | OSError):
            raise error
        self._say(str(error))


def _short(path: Path) -> str:
    """The folder and the one it lies in: adapters' folders are often just called adapter."""
    return "/".join(path.parts[-2:])
