# SPDX-License-Identifier: Apache-2.0
"""Layers by rounds: how much each layer changed in each, as a map of cells with a sentence above, or as a table."""

from __future__ import annotations

from ..charts.plot import PlotView  # isort: skip  # chooses PySide6 before pyqtgraph comes

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent, QLinearGradient, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QWidget

from ...wording import tr, written
from ..charts.columns import NAN, Numbers
from ..charts.scales import number
from ..look import theme
from ..look.tokens import mixed
from ..widgets import Caption, Card, LinkButton, Row, Sentence, Spaced, Table, TextTable
from ..widgets.icon import Restyled
from ..work.curves import Curves
from .summary import layers_sentence

AXIS_PX, BAR_PX, CELL_PX, READ_PX = 44, 72, 8, 220
LEAST_PX, MOST_PX = 120, 260  # of the map's height
LEAST_ROUNDS = 8  # that there is room for, so that a first round is no wall of one colour
LEAST_SHARE = 0.06  # of the accent: a layer that hardly changed is not taken for one that nobody measured
_STEPS = {Qt.Key.Key_Left: (-1, 0), Qt.Key.Key_Right: (1, 0), Qt.Key.Key_Up: (0, 1), Qt.Key.Key_Down: (0, -1)}
_NOWHERE = (NAN, NAN)


def shades() -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """Colours from little to much, shape (256, 4): from the card's to the accent."""
    tokens = theme.active().tokens
    ends = [mixed(tokens["accent"], tokens["card"], share) for share in (LEAST_SHARE, 1.0)]
    rgb = np.array([[int(end[at : at + 2], 16) for at in (1, 3, 5)] for end in ends], np.float64)
    share = np.linspace(0, 1, 256)[:, None]
    found = np.full((256, 4), 255, np.uint8)
    found[:, :3] = np.rint((1 - share) * rgb[0] + share * rgb[1])
    return found


class CellView(PlotView):
    """The plot of the map: neither zoomed nor panned; the arrow keys go from cell to cell."""

    pointed_at = Signal(float, float)  # x and y that are read; NaN when none are

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(is_labelled=False, parent=parent)
        self.box.setMouseEnabled(x=False, y=False)
        self.values.setGrid(False)
        self.at = _NOWHERE
        self.ends = ((0.0, 1.0), (0.0, 1.0))  # of the cells along x and y

    def point_at(self, x: float, y: float) -> None:
        self.at = (x, y)
        self.pointed_at.emit(x, y)

    @Slot(object)
    def _on_mouse(self, place: QPointF) -> None:
        if self.box.sceneBoundingRect().contains(place):
            there = self.box.mapSceneToView(place)
            self.point_at(float(there.x()), float(there.y()))
        else:
            self.point_at(*_NOWHERE)

    def _point(self, x: float) -> None:
        """Called where nothing is read any more."""
        if x != x:
            self.point_at(*_NOWHERE)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        step = _STEPS.get(Qt.Key(event.key()))
        if step is None:
            super().keyPressEvent(event)
            return
        event.accept()
        (left, right), (low, high) = self.ends
        x, y = self.at if self.at[0] == self.at[0] else (right + 0.5, high - 0.5)
        self.point_at(min(max(x + step[0], left + 0.5), right - 0.5), min(max(y + step[1], low + 0.5), high - 0.5))


class ShadeBar(Restyled, QWidget):
    """Meaning of the shades: from 0 to the largest change."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        return QSize(theme.px(BAR_PX), theme.px(10))

    def restyle(self) -> None:
        self.updateGeometry()
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        gradient = QLinearGradient(0, 0, self.width(), 0)
        colors = shades()
        for place in (0, 255):
            red, green, blue = (int(part) for part in colors[place, :3])
            gradient.setColorAt(place / 255, pg.mkColor(red, green, blue))
        painter.fillRect(self.rect(), gradient)
        painter.setPen(theme.active().color("edge"))
        painter.drawRect(self.rect().adjusted(0, 0, -1, -1))


class LayerMap(Card):
    """Map of the layers, which has its place from the first round on, before a training has measured them.

    If it came only then, the whole page would be laid out anew and every chart painted three times (40 ms), just when
    an update asks for a decision. Hidden in runs whose rounds have told nothing of their layers.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(self.tr("Layer by layer"), parent=parent)
        self._lay(self.content, (20, 14, 20, 12), 6)
        self._layers: dict[int, dict[int, float]] = {}
        self._ranks: dict[int, dict[int, tuple[int, int]]] = {}
        self.cells: Numbers = np.empty((0, 0))
        self.sentence, self.read = Sentence(tone="ink"), Caption()
        self.as_table = LinkButton(self.tr("Show as table"))
        self.as_table.clicked.connect(self._turn)
        self.view = CellView()
        self.view.setAccessibleName(self.tr("Map of the change by layer and round"))
        self.view.pointed_at.connect(self._tell)
        self._image = pg.ImageItem(axisOrder="row-major")
        self.view.box.addItem(self._image, ignoreBounds=True)
        self.table_model = TextTable(self)
        self.table = Table(self.tr("Change by layer and round"), most_rows=12)
        self.table.setModel(self.table_model)
        self.table.hide()
        head = QHBoxLayout()
        head.addWidget(self.title, 1)
        head.addWidget(self.as_table)
        self.content.insertLayout(0, head)
        self._legend = self._make_legend()
        for widget in (self.sentence, self.view, self.table, self._legend):
            self.add(widget)
        for part in (self._legend, self.as_table):
            policy = part.sizePolicy()
            policy.setRetainSizeWhenHidden(True)
            part.setSizePolicy(policy)
        self.hide()
        self.restyle()

    def _make_legend(self) -> Row:
        """Meaning of the shades; a cell that is read stands beside it where there is room, always in the same place."""
        line = Spaced()
        row = QHBoxLayout(line)
        line._lay(row, (0, 0, 0, 0), 8)
        self._most = Caption()
        for widget in (Caption(self.tr("no change")), ShadeBar(), self._most):
            row.addWidget(widget)
        row.addStretch(1)
        legend = Row(spacing=16)
        legend.add(line, 1)
        legend.add(self.read, 0, READ_PX)
        return legend

    def show_curves(self, curves: Curves) -> None:
        """Draws where a round has come; costs nothing else."""
        self.setVisible(bool(curves.layers) or len(curves.rounds) == 1)
        if curves.layers is self._layers and self.sentence.text():
            return
        self._layers, self._ranks = curves.layers, curves.layer_ranks
        self.sentence.setText(layers_sentence(curves))
        self.view.setAccessibleDescription(self.sentence.text())
        self._draw()
        for part in (self.view.centralWidget, self._legend, self.as_table):
            part.setVisible(bool(self._layers))

    # -- the cells -------------------------------------------------------------------------------------------------

    @property
    def rounds(self) -> list[int]:
        """All from the first to the last that was measured; columns of `cells`."""
        return list(range(min(self._layers), max(self._layers) + 1)) if self._layers else []

    @property
    def names(self) -> list[int]:
        """Layers that any round has, ascending; rows of `cells`. What lies in no layer has none."""
        return sorted({layer for norms in self._layers.values() for layer in norms if layer})

    def _draw(self) -> None:
        rounds, names = self.rounds, self.names
        self.view.setFixedHeight(theme.px(min(MOST_PX, max(LEAST_PX, CELL_PX * len(names)))))
        self.cells = np.full((len(names), len(rounds)), NAN)
        for column, at in enumerate(rounds):
            norms = self._layers.get(at, {})
            self.cells[:, column] = [norms.get(layer, NAN) for layer in names]
        if not self.cells.size:
            return
        most = float(np.nanmax(self.cells)) or 1.0
        self._most.setText(tr("{most} (the largest)").format(most=number(most)))
        known = np.isfinite(self.cells)
        picture = shades()[np.rint(255 * np.where(known, self.cells, 0) / most).astype(np.intp)]
        picture[~known] = 0
        self._image.setImage(picture, levels=None)
        self._image.setRect(QRectF(rounds[0] - 0.5, 0.5, len(rounds), len(names)))
        self.view.box.setRange(QRectF(rounds[0] - 0.5, 0.5, max(LEAST_ROUNDS, len(rounds)), len(names)), padding=0)
        self.view.ends = ((rounds[0] - 0.5, rounds[-1] + 0.5), (0.5, len(names) + 0.5))
        step = max(1, -(-len(names) // 5))
        self.view.values.show_scale("linear", tuple(float(row) for row in range(1, len(names) + 1, step)))
        self._fill_table()

    def _fill_table(self) -> None:
        headings = [tr("Layer"), *(tr("Round {round}").format(round=at) for at in self.rounds)]
        rows = [
            (str(layer), *(written(value, "#.3g") if value == value else "–" for value in row))
            for layer, row in zip(self.names, self.cells.tolist(), strict=True)
        ]
        self.table_model.show_texts(headings, rows)

    @Slot(float, float)
    def _tell(self, x: float, y: float) -> None:
        """Shows a cell's round, layer and change, and its modules' ranks where they are not all alike."""
        rows, columns = self.cells.shape
        column, row = (round(x) - self.rounds[0], round(y) - 1) if x == x and self.cells.size else (-1, -1)
        if not (0 <= row < rows and 0 <= column < columns):
            self.read.setText("")
            return
        value, at, layer = float(self.cells[row, column]), self.rounds[column], self.names[row]
        said = tr("round {round}, layer {layer}: {value}")
        words = number(value) if value == value else tr("not trained")
        if ranks := self._ranks.get(at, {}).get(layer):
            span = "–".join(str(rank) for rank in dict.fromkeys(ranks))
            words = tr("{value}, rank {ranks}").format(value=words, ranks=span)
        self.read.setText(said.format(round=at, layer=layer, value=words))

    @Slot()
    def _turn(self) -> None:
        is_table = self.table.isHidden()
        self.table.setVisible(is_table)
        self.view.setVisible(not is_table)
        self.as_table.setText(self.tr("Show as map") if is_table else self.tr("Show as table"))

    def restyle(self) -> None:
        super().restyle()
        if not hasattr(self, "table_model"):
            return
        view = self.view
        view.setBackground(theme.active().color("card"))
        for part in (view.values, view.position, view.rounds):
            part.restyle()
        view.values.setWidth(theme.px(AXIS_PX))
        view.position.setHeight(theme.px(24))
        view.rounds.setHeight(theme.px(4))
        self._draw()
