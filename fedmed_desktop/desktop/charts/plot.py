# SPDX-License-Identifier: Apache-2.0
"""The plot of a chart: zoomed along x only, without menus, usable by keyboard, and no trap for the wheel."""

from __future__ import annotations

from .axis import PositionAxis, RoundAxis, ValueAxis  # isort: skip  # chooses PySide6

import pyqtgraph as pg
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal, Slot
from PySide6.QtGui import QFocusEvent, QKeyEvent, QPainter, QPaintEvent, QPen, QWheelEvent
from PySide6.QtWidgets import QAbstractScrollArea, QGraphicsGridLayout, QWidget

from ..look import theme

pg.setConfigOptions(antialias=False, useOpenGL=False)  # OpenGL is missing on remote desktops, and not needed here

_ZOOM = 1.25
_PAN = 0.1
_FINE_PX, _COARSE_PX = 4.0, 40.0


class PlotView(pg.GraphicsView):  # type: ignore[misc]
    """Keys: Left and Right read along the lines (with Shift faster, with Ctrl they pan), plus and minus zoom, Home
    follows. Where the page can be scrolled the wheel scrolls it, and zooms with Ctrl.
    """

    pointed = Signal(float)  # x that is read; NaN when none is
    moved = Signal()  # by the person: panned or zoomed
    home_asked = Signal()

    def __init__(self, is_labelled: bool, parent: QWidget | None = None) -> None:
        self.values, self.position, self.rounds = ValueAxis(), PositionAxis(), RoundAxis(is_labelled)
        super().__init__(parent, background=None)
        self.box = pg.ViewBox(enableMenu=False, defaultPadding=0)
        self._lay_out()
        self.box.setMouseEnabled(x=True, y=False)
        self.box.disableAutoRange()
        self.box.sigRangeChangedManually.connect(self._on_moved)
        self.scene().sigMouseMoved.connect(self._on_mouse)
        self._read = float("nan")

    def _lay_out(self) -> None:
        """pyqtgraph's own PlotItem would do, but it comes with seven menus that nobody opens and nobody deletes."""
        ground = pg.GraphicsWidget()
        grid = QGraphicsGridLayout(ground)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(0)
        for axis, row, column in ((self.rounds, 0, 1), (self.values, 1, 0), (self.position, 2, 1)):
            axis.linkToView(self.box)
            axis.setZValue(-200)  # behind the lines, which are at -100
            grid.addItem(axis, row, column)
        grid.addItem(self.box, 1, 1)
        grid.setRowStretchFactor(1, 1)
        grid.setColumnStretchFactor(1, 1)
        self.values.setGrid(255)
        self.rounds.setGrid(255)
        self.setCentralItem(ground)
        self.enableMouse(False)  # the box has it

    def sizeHint(self) -> QSize:
        return QSize(self.minimumWidth(), self.minimumHeight())

    @Slot(object)
    def _on_moved(self, _axes: object) -> None:
        self.moved.emit()

    @Slot(object)
    def _on_mouse(self, place: QPointF) -> None:
        inside = self.box.sceneBoundingRect().contains(place)
        self._point(float(self.box.mapSceneToView(place).x()) if inside else float("nan"))

    def _point(self, x: float) -> None:
        self._read = x
        self.pointed.emit(x)

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self._point(float("nan"))

    def paintEvent(self, event: QPaintEvent) -> None:
        """The frame of the focus lies over everything else: beneath it only parts would be seen."""
        super().paintEvent(event)
        if self.hasFocus():
            painter = QPainter(self.viewport())
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(theme.active().color("focus"), 2))
            painter.drawRoundedRect(QRectF(self.viewport().rect()).adjusted(1, 1, -1, -1), 4, 4)

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self.viewport().update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self._point(float("nan"))
        self.viewport().update()

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self._page_scrolls() and not event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            event.ignore()
            return
        super().wheelEvent(event)

    def _page_scrolls(self) -> bool:
        parent = self.parentWidget()
        while parent is not None:
            if isinstance(parent, QAbstractScrollArea):
                return parent.verticalScrollBar().maximum() > 0
            parent = parent.parentWidget()
        return False

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = event.key()
        ways = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}
        if key in ways:
            self._go(ways[key], event.modifiers())  # type: ignore[index]
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
            self._zoom(1 / _ZOOM)
        elif key == Qt.Key.Key_Minus:
            self._zoom(_ZOOM)
        elif key == Qt.Key.Key_Home:
            self.home_asked.emit()
        elif key == Qt.Key.Key_Escape and self._read == self._read:
            self._point(float("nan"))
        else:
            event.ignore()
            return
        event.accept()

    def _go(self, way: int, modifiers: Qt.KeyboardModifier) -> None:
        (low, high), _ = self.box.viewRange()
        if modifiers & Qt.KeyboardModifier.ControlModifier:
            self.box.setXRange(low + way * _PAN * (high - low), high + way * _PAN * (high - low))
            self.moved.emit()
            return
        pixels = _COARSE_PX if modifiers & Qt.KeyboardModifier.ShiftModifier else _FINE_PX
        start = self._read if self._read == self._read else (high if way < 0 else low)
        width = max(1.0, self.box.width())
        self._point(min(high, max(low, start + way * pixels * (high - low) / width)))

    def _zoom(self, factor: float) -> None:
        (low, high), _ = self.box.viewRange()
        middle = self._read if self._read == self._read else (low + high) / 2
        self.box.setXRange(middle - (middle - low) * factor, middle + (high - middle) * factor)
        self.moved.emit()
