# SPDX-License-Identifier: Apache-2.0
"""The model that Try it reads with while there is no federation, bundled or a folder, and an adapter's folder."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QFileDialog, QWidget

from ...demo.settings import DemoOptions
from ...errors import UserFacingError
from ...wording import told
from ..look.fields import Verdict
from ..widgets import Button, Card, Row, Sentence
from ..work.files import look_at_model
from ..work.log import log
from ..work.tasks import Task, run_task
from .files import check_adapter
from .note_panel import TwoLines


class ModelCard(Card):
    """`model` None: the bundled one. A folder that is chosen here was looked into; an offered one is taken as it is.

    An adapter is held against the model that reads, which in a session is the session's: `show_base`. `changed`: the
    model; `adapter_chosen` also where there was one before; `told`: `fault` says something else.
    """

    changed = Signal()
    adapter_chosen = Signal()
    told = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self._lay(self.content, (16, 12, 16, 12), 8)
        self.model: Path | None = None
        self._of_session: Path | None = None
        self._adapter: tuple[Path, Path] | None = None  # the base that it was chosen for, and the adapter
        self._task: Task | None = None
        self._asked: Path | None = None
        self.dialog: QFileDialog | None = None
        self.words = TwoLines()
        self.choose_model = Button(self.tr("Choose model…"), "folder")
        self.choose_model.clicked.connect(self._choose_model)
        self.choose_adapter = Button(self.tr("Choose adapter…"), "folder")
        self.choose_adapter.clicked.connect(self.ask_adapter)
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
        """Takes a model from the command line. An adapter of another model is said to be one; other faults are told in
        reading.
        """
        self.model = model
        self._adapter = (self.base, adapter) if adapter else None
        self._say("")
        self._show()
        if adapter:
            base = self.base
            self._asked = adapter
            self._task = run_task(
                self, lambda: check_adapter(adapter, base), self._adapter_fits, self._offer_failed, self._task
            )

    def show_base(self, of_session: Path | None) -> None:
        """The model of the session, or None where there is none. An adapter that was chosen for another one goes."""
        if of_session != self._of_session:
            self._of_session = of_session
            self._say("")
            self._show()

    @property
    def base(self) -> Path:
        """The model that reads."""
        return self._of_session or self.model or DemoOptions().model

    @property
    def adapter(self) -> Path | None:
        """The adapter that was chosen for this base."""
        return self._adapter[1] if self._adapter and self._adapter[0] == self.base else None

    @property
    def bundled(self) -> Path | None:
        """The adapter that comes with the bundled model, where that is what reads outside a session."""
        return DemoOptions().begins_with if self._of_session is None and self.model is None else None

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
            else self.tr("Adapter: trained on public texts, comes with it")
            if self.bundled
            else self.tr("Adapter: none; choose one to read with it")
        )

    def _say(self, sentence: str) -> None:
        self.fault.setText(sentence)
        self.fault.setVisible(bool(sentence))
        self.told.emit()

    # -- choosing --------------------------------------------------------------------------------------------------

    @Slot()
    def _choose_model(self) -> None:
        self._ask(self.tr("Folder of a model")).fileSelected.connect(self.take_model)

    @Slot()
    def ask_adapter(self) -> None:
        self._ask(self.tr("Folder of an adapter")).fileSelected.connect(self.take_adapter)

    def _ask(self, title: str) -> QFileDialog:
        if self.dialog:
            self.dialog.deleteLater()
        self.dialog = QFileDialog(self, title)
        self.dialog.setFileMode(QFileDialog.FileMode.Directory)
        self.dialog.setOption(QFileDialog.Option.ShowDirsOnly)
        self.dialog.open()
        return self.dialog

    @Slot(str)
    def take_model(self, folder: str) -> None:
        """Looks into the folder, then takes it; the adapter, which was made for another model, goes."""
        self._asked = Path(folder)
        self._say("")
        self._task = run_task(self, lambda: look_at_model(folder), self._model_looked, self._failed, self._task)

    @Slot(str)
    def take_adapter(self, folder: str) -> None:
        """Looks into the folder and whether it fits the model, then takes it; else the one before stays."""
        adapter, base = Path(folder), self.base
        self._asked = adapter
        self._say("")
        self._task = run_task(
            self, lambda: check_adapter(adapter, base), self._adapter_looked, self._failed, self._task
        )

    @Slot(object)
    def _model_looked(self, verdict: Verdict) -> None:
        if verdict.state != "right":
            self._say(verdict.sentence)
            return
        self.model, self._adapter = self._asked, None
        self._show()
        self.changed.emit()

    @Slot(object)
    def _adapter_looked(self, _nothing: object) -> None:
        assert self._asked
        self._adapter = self.base, self._asked
        self._show()
        self.adapter_chosen.emit()

    @Slot(object)
    def _adapter_fits(self, _nothing: object) -> None:
        """An offered one: it is shown already."""

    @Slot(object)
    def _offer_failed(self, error: BaseException) -> None:
        if isinstance(error, UserFacingError) and error.code == "desktop.other_model":
            self._adapter = None
            self._failed(error)
            self._show()
            self.changed.emit()

    @Slot(object)
    def _failed(self, error: BaseException) -> None:
        if not isinstance(error, UserFacingError | OSError):
            raise error
        if error.__cause__:
            log.warning("%s", told(error.__cause__))
        self._say(told(error))


def _short(path: Path) -> str:
    """The folder and the one it lies in: adapters' folders are often just called adapter."""
    return "/".join(path.parts[-2:])
