# SPDX-License-Identifier: Apache-2.0
"""The Monitor's buttons: smoothing, view, follow, export. They say what was chosen and show what holds."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QSize, Signal, Slot
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QHBoxLayout, QMenu, QWidget

from ..charts.scales import Axis
from ..widgets import Button, Row, Spaced
from ..work.steps import WEIGHTS, Weight

AXES: Final[tuple[Axis, ...]] = ("step", "time")


class MonitorControls(Row):
    """Two pairs of buttons, which stay pairs where large text breaks the row."""

    smoothing_chosen = Signal(str)  # one of WEIGHTS
    axis_chosen = Signal(str)  # one of AXES
    log_chosen = Signal(bool)
    table_chosen = Signal(bool)
    follow_chosen = Signal(bool)
    picture_asked = Signal()
    numbers_asked = Signal()
    experiment_asked = Signal()
    earlier_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        self.smoothing, self.view = Button(), Button()
        self.follow, self.export = Button("", "check"), Button()
        super().__init__(_pair(self.smoothing, self.view), _pair(self.follow, self.export), spacing=8, parent=parent)
        self.weights, self.axes = QActionGroup(self), QActionGroup(self)
        self.smoothing.setMenu(self._smoothing_menu())
        self.view.setMenu(self._view_menu())
        self.export.setMenu(self._export_menu())
        self._name()
        self.weights.triggered.connect(self._on_weight)
        self.axes.triggered.connect(self._on_axis)
        self.follow.setCheckable(True)
        self.follow.setChecked(True)
        self.follow.clicked.connect(self.follow_chosen)

    def sizeHint(self) -> QSize:
        """Size of one line, also while there are two: it would never become one again."""
        parts = [widget.sizeHint() for widget in self._widgets]
        width = sum(part.width() for part in parts) + self.content.spacing() * (len(parts) - 1)
        return QSize(width, super().sizeHint().height())

    def _name(self) -> None:
        self.view.setText(self.tr("View"))
        self.follow.setText(self.tr("Follow"))
        self.export.setText(self.tr("Export"))
        self.view.setAccessibleName(self.tr("View of the charts"))
        self.follow.setAccessibleName(self.tr("Follow the newest step"))
        self.follow.setToolTip(
            self.tr("Show everything, and new steps as they come. Panning or zooming turns this off.")
        )
        self.export.setAccessibleName(self.tr("Export picture or numbers"))

    def _smoothing_menu(self) -> QMenu:
        menu = QMenu(self.smoothing)
        words = {"0": self.tr("None: the loss of every step"), "0.6": self.tr("0.6"), "0.9": self.tr("0.9")}
        for weight in WEIGHTS:
            _choice(menu, self.weights, words[weight], weight)
        return menu

    def _view_menu(self) -> QMenu:
        menu = QMenu(self.view)
        for axis, word in zip(AXES, (self.tr("By step"), self.tr("By time")), strict=True):
            _choice(menu, self.axes, word, axis)
        menu.addSeparator()
        self.log_action = menu.addAction(self.tr("Stretch small values (log)"))
        menu.addSeparator()
        self.table_action = menu.addAction(self.tr("Show as table"))
        self.log_action.setCheckable(True)
        self.table_action.setCheckable(True)
        self.log_action.triggered.connect(self.log_chosen)
        self.table_action.triggered.connect(self.table_chosen)
        menu.addSeparator()
        self.earlier_action = menu.addAction(self.tr("Compare with an earlier federation…"))
        self.earlier_action.triggered.connect(self.earlier_asked)
        self.experiment_action = menu.addAction(self.tr("Open experiment…"))
        self.experiment_action.triggered.connect(self.experiment_asked)
        return menu

    def _export_menu(self) -> QMenu:
        menu = QMenu(self.export)
        self.picture_action = menu.addAction(self.tr("Picture (PNG)…"))
        self.numbers_action = menu.addAction(self.tr("Numbers (CSV)…"))
        self.picture_action.triggered.connect(self.picture_asked)
        self.numbers_action.triggered.connect(self.numbers_asked)
        return menu

    @Slot(QAction)
    def _on_weight(self, action: QAction) -> None:
        self.smoothing_chosen.emit(action.data())

    @Slot(QAction)
    def _on_axis(self, action: QAction) -> None:
        self.axis_chosen.emit(action.data())

    def show_options(self, weight: Weight, axis: Axis, is_log: bool, is_table: bool) -> None:
        """Shows the current options; emits nothing."""
        for group, value in ((self.weights, weight), (self.axes, axis)):
            for action in group.actions():
                action.setChecked(action.data() == value)
        self.log_action.setChecked(is_log)
        self.table_action.setChecked(is_table)
        words = {"0": self.tr("off"), "0.6": self.tr("0.6"), "0.9": self.tr("0.9")}
        text = self.tr("Smoothing {weight}").format(weight=words[weight])
        self.smoothing.setText(text)
        self.smoothing.setAccessibleName(self.tr("{text}, of the training loss").format(text=text))

    @Slot(bool)
    def show_following(self, is_following: bool) -> None:
        self.follow.setChecked(is_following)
        self.follow.set_icon("check" if is_following else "play")


def _pair(*buttons: Button) -> Spaced:
    part = Spaced()
    row = QHBoxLayout(part)
    part._lay(row, (0, 0, 0, 0), 8)
    for button in buttons:
        row.addWidget(button)
    row.addStretch(1)
    return part


def _choice(menu: QMenu, group: QActionGroup, word: str, data: str) -> None:
    action = menu.addAction(word)
    action.setCheckable(True)
    action.setData(data)
    group.addAction(action)
