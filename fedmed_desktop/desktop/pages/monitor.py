# SPDX-License-Identifier: Apache-2.0
"""The Monitor: how training goes on this computer, live, as charts or as a table; draws only while it is seen."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, cast

from PySide6.QtCore import QDir, QSize, Qt, Slot
from PySide6.QtGui import QAction, QActionGroup, QShowEvent
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QMenu, QSizePolicy, QStackedWidget, QVBoxLayout, QWidget

from fedmed_desktop.desktop import theme
from fedmed_desktop.desktop.pages.monitor_charts import ChartColumn
from fedmed_desktop.desktop.pages.monitor_table import CurvesView
from fedmed_desktop.desktop.view import monitor
from fedmed_desktop.desktop.view.desk import Desk
from fedmed_desktop.desktop.view.figures import write_csv
from fedmed_desktop.desktop.view.series import Axis
from fedmed_desktop.desktop.view.steps import WEIGHTS, Weight
from fedmed_desktop.desktop.widgets import (
    Banner,
    Button,
    Caption,
    Card,
    EmptyState,
    Heading,
    KeyValueRows,
    PageBase,
    Row,
    Sentence,
    Spaced,
)
from fedmed_desktop.desktop.widgets.figure import FigureCard
from fedmed_desktop.errors import UserFacingError

TABLE_EVERY_S = 1.0
SIDE_PX = 216
_AXES: Final[tuple[Axis, ...]] = ("step", "time")


class _Side(Spaced):
    """The cards: as narrow as a number may be, so that the charts have the room."""

    def minimumSizeHint(self) -> QSize:
        return QSize(theme.px(SIDE_PX), super().minimumSizeHint().height())

    def sizeHint(self) -> QSize:
        return QSize(theme.px(SIDE_PX), super().sizeHint().height())


class MonitorPage(PageBase):
    """`show_desk` may be called at any time; it draws while the page is visible, and showing the page catches up."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk: Desk | None = None
        self._table_shown = 0.0
        self.charts, self.table = ChartColumn(), CurvesView()
        self.subtitle = Sentence()
        self.banner = Banner()
        self.empty = EmptyState("monitor", *monitor.waiting(Desk()))
        self.smoothing, self.view, self.follow, self.export = self._buttons()
        pairs = self._pair(self.smoothing, self.view), self._pair(self.follow, self.export)
        self._controls = Row(*pairs, spacing=8)
        self.add(self._header())
        self.add(self.banner)
        self._body = Row(spacing=16)
        self._sheet = QStackedWidget()
        self._sheet.addWidget(self.charts)
        self._table_card = Card()
        self._table_card._lay(self._table_card.content, (8, 8, 8, 8), 0)
        self._table_card.add(self.table)
        self._sheet.addWidget(self._table_card)
        self._body.add(self._sheet, 1)
        self._body.add(self._cards())
        self.add(self.empty)
        self.add(self._body, 1)
        self.charts.following_changed.connect(self._on_following)
        self.banner.acted.connect(self._on_banner_read)
        self._show_options()
        self._show_body(False)

    # -- parts -------------------------------------------------------------------------------------------------------

    def _header(self) -> QWidget:
        words = Spaced()
        column = QVBoxLayout(words)
        words._lay(column, (0, 0, 0, 0), 2)
        column.addWidget(Heading(self.tr("Monitor")))
        column.addWidget(self.subtitle)
        header = Row(spacing=16)
        header.add(words, 1)
        header.add(self._controls)
        for part in (words, self._controls):
            header.content.setAlignment(part, Qt.AlignmentFlag.AlignTop)
        return header

    @staticmethod
    def _pair(*buttons: Button) -> Spaced:
        """Buttons that stay in one line, also where large text breaks the row."""
        part = Spaced()
        row = QHBoxLayout(part)
        part._lay(row, (0, 0, 0, 0), 8)
        for button in buttons:
            row.addWidget(button)
        row.addStretch(1)
        return part

    def _buttons(self) -> tuple[Button, Button, Button, Button]:
        smoothing, view, follow, export = (
            Button(),
            Button(self.tr("View")),
            Button(self.tr("Follow"), "check"),
            Button(),
        )
        export.setText(self.tr("Export"))
        smoothing.setMenu(self._smoothing_menu(smoothing))
        view.setMenu(self._view_menu(view))
        export.setMenu(self._export_menu(export))
        smoothing.setAccessibleName(self.tr("Smoothing of the training loss"))
        view.setAccessibleName(self.tr("View of the charts"))
        export.setAccessibleName(self.tr("Export picture or numbers"))
        follow.setAccessibleName(self.tr("Follow the newest step"))
        follow.setToolTip(self.tr("Show all there is and what comes. Panning or zooming ends it."))
        follow.setCheckable(True)
        follow.setChecked(True)
        follow.clicked.connect(self._on_follow)
        return smoothing, view, follow, export

    def _smoothing_menu(self, parent: QWidget) -> QMenu:
        menu, self._weights = QMenu(parent), QActionGroup(self)
        words = {"0": self.tr("None: the loss of every step"), "0.6": self.tr("0.6"), "0.9": self.tr("0.9")}
        for weight in WEIGHTS:
            self._choice(menu, self._weights, words[weight], weight)
        self._weights.triggered.connect(self._on_smoothing)
        return menu

    def _view_menu(self, parent: QWidget) -> QMenu:
        menu, self._axes = QMenu(parent), QActionGroup(self)
        for axis, word in zip(_AXES, (self.tr("By step"), self.tr("By time")), strict=True):
            self._choice(menu, self._axes, word, axis)
        self._axes.triggered.connect(self._on_axis)
        menu.addSeparator()
        self.log_action = menu.addAction(self.tr("Logarithmic loss"))
        self.log_action.setCheckable(True)
        self.log_action.triggered.connect(self._on_log)
        menu.addSeparator()
        self.table_action = menu.addAction(self.tr("Show as table"))
        self.table_action.setCheckable(True)
        self.table_action.triggered.connect(self._on_table)
        return menu

    def _choice(self, menu: QMenu, group: QActionGroup, word: str, data: str) -> None:
        action = menu.addAction(word)
        action.setCheckable(True)
        action.setData(data)
        group.addAction(action)

    def _export_menu(self, parent: QWidget) -> QMenu:
        menu = QMenu(parent)
        self.picture_action = menu.addAction(self.tr("Picture (PNG)…"))
        self.numbers_action = menu.addAction(self.tr("Numbers (CSV)…"))
        self.picture_action.triggered.connect(self._on_picture)
        self.numbers_action.triggered.connect(self._on_numbers)
        return menu

    def _cards(self) -> QWidget:
        self.speed = FigureCard(self.tr("Tokens per second"))
        self.memory = FigureCard(self.tr("Peak memory"))
        self.moved = FigureCard(self.tr("Sent / received"))
        self.rate = FigureCard(self.tr("Learning rate"))
        self._f1_name, self.f1 = Caption(), KeyValueRows()
        self.f1_card = Card()
        self.f1_card._lay(self.f1_card.content, (20, 12, 20, 8), 4)
        self.f1_card.add(self._f1_name)
        self.f1_card.add(self.f1)
        self.f1_card.content.addStretch(1)
        self._side = _Side()
        column = QVBoxLayout(self._side)
        self._side._lay(column, (0, 0, 0, 0), 12)
        for card in (self.speed, self.memory, self.moved, self.rate):
            column.addWidget(card, 1)
        self.f1_card.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        column.addWidget(self.f1_card)
        column.addStretch(0)
        return self._side

    # -- what is shown -----------------------------------------------------------------------------------------------

    def show_desk(self, desk: Desk) -> None:
        """GUI thread, ten times a second; costs next to nothing where nothing has changed or nobody looks."""
        self._desk = desk
        if self.isVisible():
            self._draw()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._draw()

    def _draw(self) -> None:
        if self._desk is None:
            return
        desk, curves = self._desk, self._desk.curves
        self._say(self.subtitle, monitor.subtitle(desk))
        self._show_body(not curves.is_empty)
        if curves.is_empty:
            self.empty.show_words(*monitor.waiting(desk))
            return
        if self.shows_table:
            self._draw_table()
        else:
            self.charts.show_curves(curves)
        self._draw_cards()

    def _draw_table(self) -> None:
        now = time.monotonic()
        if self._desk and now - self._table_shown >= TABLE_EVERY_S:
            self._table_shown = now
            self.table.show_table(self._desk.curves.table(), self.charts.is_following)

    def _draw_cards(self) -> None:
        assert self._desk
        found = monitor.figures(self._desk.curves)
        for card, figure in zip(
            (self.speed, self.memory, self.moved, self.rate),
            (found.speed, found.memory, found.moved, found.rate),
            strict=True,
        ):
            card.show_value(*figure)
        self.f1_card.setVisible(bool(found.f1))
        name = self.tr("F1 by type, round {n}").format(n=found.f1_round)
        if found.f1 and (self._f1_name.text() != name or self.f1.values() != [value for _, value in found.f1]):
            self._f1_name.setText(name)
            self.f1.show_pairs(found.f1)

    def _show_body(self, has_data: bool) -> None:
        for widget in (self._body, self._controls):
            widget.setVisible(has_data)
        self.empty.setVisible(not has_data)

    @staticmethod
    def _say(label: Sentence, text: str) -> None:
        if label.text() != text:
            label.setText(text)

    # -- what the person chooses -------------------------------------------------------------------------------------

    @property
    def shows_table(self) -> bool:
        return self.table_action.isChecked()

    @Slot(QAction)
    def _on_smoothing(self, action: QAction) -> None:
        self.charts.weight = cast(Weight, action.data())
        self._show_options()

    @Slot(QAction)
    def _on_axis(self, action: QAction) -> None:
        self.charts.axis = cast(Axis, action.data())
        self.charts.set_following(True)  # what was zoomed to has no meaning on the other axis
        self._show_options()

    @Slot(bool)
    def _on_log(self, is_log: bool) -> None:
        self.charts.is_log = is_log
        self._show_options()

    @Slot(bool)
    def _on_table(self, _is_table: bool) -> None:
        self._show_options()

    @Slot(bool)
    def _on_follow(self, is_following: bool) -> None:
        if is_following:
            self.charts.follow()
        else:
            self.charts.set_following(False)

    @Slot(bool)
    def _on_following(self, is_following: bool) -> None:
        self.follow.setChecked(is_following)
        self.follow.set_icon("check" if is_following else "play")

    def _show_options(self) -> None:
        """Buttons and menus say what holds, and the page shows it."""
        charts = self.charts
        for group, value in ((self._weights, charts.weight), (self._axes, charts.axis)):
            for action in group.actions():
                action.setChecked(action.data() == value)
        self.log_action.setChecked(charts.is_log)
        weight = self.tr("off") if charts.weight == "0" else charts.weight
        self.smoothing.setText(self.tr("Smoothing {weight}").format(weight=weight))
        self._sheet.setCurrentWidget(self._table_card if self.shows_table else charts)
        self._table_shown = 0.0
        if self.isVisible():
            self._draw()

    def state(self) -> dict[str, object]:
        """What the person chose, for the next start."""
        charts = self.charts
        return {"smoothing": charts.weight, "axis": charts.axis, "log": charts.is_log, "table": self.shows_table}

    def restore(self, state: dict[str, object]) -> None:
        """The opposite of `state`; what is missing or makes no sense is left as it is."""
        charts = self.charts
        charts.weight = next((w for w in WEIGHTS if w == state.get("smoothing")), charts.weight)
        charts.axis = next((a for a in _AXES if a == state.get("axis")), charts.axis)
        charts.is_log = state["log"] if isinstance(state.get("log"), bool) else charts.is_log  # type: ignore[assignment]
        if isinstance(table := state.get("table"), bool):
            self.table_action.setChecked(table)
        self._show_options()

    # -- export ------------------------------------------------------------------------------------------------------

    @Slot()
    def _on_picture(self) -> None:
        self._ask(self.tr("Save the charts as a picture"), "png").fileSelected.connect(self._on_picture_named)

    @Slot()
    def _on_numbers(self) -> None:
        self._ask(self.tr("Save the numbers"), "csv").fileSelected.connect(self._on_numbers_named)

    def _ask(self, title: str, ending: str) -> QFileDialog:
        """Opens a dialog for the name of a new file; overwriting is asked about by the dialog."""
        dialog = QFileDialog(self, title, QDir.homePath())
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setFileMode(QFileDialog.FileMode.AnyFile)
        dialog.setNameFilter(f"*.{ending}")
        dialog.setDefaultSuffix(ending)
        dialog.selectFile(f"monitor.{ending}")
        dialog.open()
        return dialog

    @Slot(str)
    def _on_picture_named(self, name: str) -> None:
        self._write(self.charts.write_picture, Path(name))

    @Slot(str)
    def _on_numbers_named(self, name: str) -> None:
        self._write(self._write_numbers, Path(name))

    def _write_numbers(self, path: Path) -> None:
        if self._desk:
            write_csv(self._desk.curves.table(), path)

    def _write(self, write: Callable[[Path], None], path: Path) -> None:
        try:
            write(path)
        except UserFacingError as error:
            self.banner.show_message(str(error), "bad", self.tr("Close"))
        else:
            self.banner.show_message(self.tr("Saved as {path}").format(path=path), "ok", self.tr("Close"))

    @Slot()
    def _on_banner_read(self) -> None:
        self.banner.show_message("")
