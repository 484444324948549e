# SPDX-License-Identifier: Apache-2.0
"""The lab's results, opened from their folder: methods compared in a table, and the charts of their rounds. The page
stands in the Monitor's place until it is closed; whatever runs goes on behind it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QAction, QActionGroup, QKeyEvent
from PySide6.QtWidgets import QFileDialog, QMenu, QVBoxLayout, QWidget

from ...errors import UserFacingError
from ...wording import told
from ..widgets import (
    Banner,
    Button,
    Caption,
    Card,
    EmptyState,
    Flow,
    Heading,
    LinkButton,
    PageBase,
    Row,
    Sentence,
    Spaced,
    Table,
    TextTable,
)
from ..widgets.buttons import HelpLink
from ..widgets.layout import WIDE_SHARE
from ..work.desk import Desk
from ..work.tasks import Task, run_task
from .charts import ExperimentCharts
from .comparison import Experiment, short
from .files import open_experiment

MOST_ROWS = 20


class ExperimentPage(PageBase):
    """`ask` for a folder, or `open` one: it is read off this thread; `opened`, or `refused` with the reason, then. What
    was shown before stays until another one was read.
    """

    opened = Signal()
    refused = Signal(str)
    closed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, WIDE_SHARE)
        self.experiment: Experiment | None = None
        self.dialog: QFileDialog | None = None
        self.charts: ExperimentCharts | None = None
        self._task: Task | None = None
        self._sheet = 0
        self._labels: tuple[str, ...] = ()
        self.back = Button(self.tr("Back to the Monitor"))
        self.back.clicked.connect(self.closed)
        self.heading, self.subtitle = Heading(), Sentence()
        self.setting, self.another = Button(), Button(self.tr("Open another…"))
        self.another.clicked.connect(self.ask)
        self._settings = QActionGroup(self)
        self._settings.triggered.connect(self._on_setting)
        self.lacks = Banner()
        self.empty = EmptyState("monitor", self.tr("No result"), self.tr("No cell of this experiment has one."))
        self.model = TextTable(self)
        self.table = Table(self.tr("Methods compared"), MOST_ROWS)
        self.table.setModel(self.model)
        self.table.selectionModel().selectionChanged.connect(self._show_chosen)
        self.alike = LinkButton(self.tr("Show all alike"))
        self.alike.clicked.connect(self._on_alike)
        self.hint, self.remarks = Caption(wrap=True), Caption(wrap=True)
        self._lay_out()

    def _lay_out(self) -> None:
        words = Spaced()
        column = QVBoxLayout(words)
        words._lay(column, (0, 0, 0, 0), 2)
        column.addWidget(self.heading)
        column.addWidget(self.subtitle)
        header = Row(spacing=16)
        header.add(words, 1, least=300)
        explained = HelpLink(self.tr("What these numbers mean"), "monitor#experiments-and-earlier-federations")
        buttons = Flow(explained, self.setting, self.another, self.back)
        header.add(buttons)
        for part in (words, buttons):
            header.content.setAlignment(part, Qt.AlignmentFlag.AlignTop)
        self._card = Card(self.tr("Methods"))
        self._card.add(self.table)
        self._card.add(self.remarks)
        self._below = Row(spacing=16)
        self._below.add(self.hint, 1)
        self._below.add(self.alike)
        self._place = Spaced()
        self._charts = QVBoxLayout(self._place)
        self._place._lay(self._charts, (0, 0, 0, 0), 0)
        for part in (header, self.lacks, self.empty, self._card, self._below, self._place):
            self.add(part)
        self.finish()

    # -- opening -----------------------------------------------------------------------------------------------------

    @Slot()
    def ask(self) -> None:
        """Opens the dialog for a folder."""
        if self.dialog:
            self.dialog.deleteLater()
        self.dialog = QFileDialog(self.window(), self.tr("Folder of an experiment"))
        self.dialog.setFileMode(QFileDialog.FileMode.Directory)
        self.dialog.setOption(QFileDialog.Option.ShowDirsOnly)
        self.dialog.fileSelected.connect(self.open)
        self.dialog.open()

    @Slot(str)
    def open(self, folder: str) -> None:
        """Reads a folder; of two that are asked for one after the other, the last."""
        path = Path(folder)
        self._task = run_task(self, lambda: open_experiment(path), self._on_read, self._on_not_read, self._task)

    @Slot(object)
    def _on_read(self, experiment: Experiment) -> None:
        self.show_experiment(experiment)
        self.opened.emit()

    @Slot(object)
    def _on_not_read(self, error: BaseException) -> None:
        if not isinstance(error, UserFacingError):
            raise error
        self.refused.emit(told(error))

    # -- what is shown -----------------------------------------------------------------------------------------------

    def show_desk(self, desk: Desk) -> None:
        """Nothing of what runs is shown here."""

    def show_experiment(self, experiment: Experiment) -> None:
        """Shows an experiment from its first setting, or from the one looked at where it has one of the same name."""
        before = self.experiment.sheets[self._sheet].title if self.experiment and self.experiment.sheets else ""
        self.experiment = experiment
        self.heading.setText(self.tr("Experiment: {name}").format(name=experiment.name))
        self.subtitle.setText(experiment.subtitle)
        self.lacks.show_message(experiment.lacks, "warn")
        self.remarks.setText("\n".join(experiment.remarks))
        has_rows = bool(experiment.sheets)
        for part in (self._card, self._below, self._place, self.subtitle):
            part.setVisible(has_rows)
        self.empty.setVisible(not has_rows)
        self._make_menu(experiment)
        titles = [sheet.title for sheet in experiment.sheets]
        self._show_sheet(titles.index(before) if before in titles else 0)
        self.verticalScrollBar().setValue(0)

    def focus(self) -> None:
        """Gives the keyboard to the table or, where there is nothing in it, to the way back."""
        has_rows = self.experiment is not None and bool(self.experiment.sheets)
        (self.table if has_rows else self.back).setFocus()

    def _make_menu(self, experiment: Experiment) -> None:
        for action in self._settings.actions():
            self._settings.removeAction(action)
        menu = QMenu(self.setting)
        for number, sheet in enumerate(experiment.sheets):
            action = menu.addAction(sheet.title)
            action.setCheckable(True)
            action.setData(number)
            self._settings.addAction(action)
        old = self.setting.menu()
        self.setting.setMenu(menu)
        if old is not None:
            old.deleteLater()
        self.setting.setVisible(len(experiment.sheets) > 1)

    @Slot(QAction)
    def _on_setting(self, action: QAction) -> None:
        self._show_sheet(int(action.data()))

    def _show_sheet(self, number: int) -> None:
        """Shows a setting's table and charts; a method that was chosen stays so."""
        self._sheet = number
        chosen = self.chosen
        if self.charts is not None:
            self._charts.removeWidget(self.charts)
            self.charts.hide()
            self.charts.deleteLater()
            self.charts = None
        if self.experiment is None or not self.experiment.sheets:
            return
        sheet = self.experiment.sheets[number]
        self.setting.setText(sheet.title)
        self.setting.setAccessibleName(self.tr("Setting: {title}").format(title=sheet.title))
        self._settings.actions()[number].setChecked(True)
        self.charts = ExperimentCharts(sheet)
        self._charts.addWidget(self.charts)
        self.model.show_texts(sheet.headings, sheet.rows)
        self._labels = sheet.labels
        self._choose(chosen if chosen in sheet.labels else "")

    # -- one method --------------------------------------------------------------------------------------------------

    @property
    def chosen(self) -> str:
        """The method that stands out; "" while all are alike."""
        rows = [index.row() for index in self.table.selectionModel().selectedRows()]
        return self._labels[rows[0]] if rows and rows[0] < len(self._labels) else ""

    def _choose(self, label: str) -> None:
        if label:
            self.table.selectRow(self._labels.index(label))
        else:
            self.table.clearSelection()
        self._show_chosen()

    @Slot()
    def _on_alike(self) -> None:
        self.table.setFocus()
        self._choose("")

    @Slot()
    def _show_chosen(self) -> None:
        label = self.chosen
        self.alike.setVisible(bool(label))
        self.hint.setText(self._hint(label))
        if self.charts is not None:
            self.charts.choose(label)

    def _hint(self, label: str) -> str:
        if not label:
            return self.tr("Lines are means over seeds. Choose a method in the table to see it apart.")
        sheet = self.experiment.sheets[self._sheet] if self.experiment else None
        if sheet and any(np.isfinite(course.sd).any() for course in sheet.loss if course.label == label):
            words = self.tr("{method} stands out; the dotted lines beside it are one standard deviation over seeds.")
        else:
            words = self.tr("{method} stands out.")
        return words.format(method=short(label))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape and self.chosen:
            self._on_alike()
            return
        super().keyPressEvent(event)
