# SPDX-License-Identifier: Apache-2.0
"""Axes of a chart: values at the left, steps or time below, rounds above. They take colours and font from the theme."""

from __future__ import annotations

import os

os.environ.setdefault("PYQTGRAPH_QT_LIB", "PySide6")  # pyqtgraph takes PyQt6 where both are installed

from collections.abc import Sequence
from typing import Any

import pyqtgraph as pg
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QFontMetricsF, QPainter, QPen

from ...wording import written
from ..look import theme
from .scales import Axis, Scale, linear_ticks, log_ticks, tick_words, time_ticks, time_words

LABEL_PX = 12
_Levels = list[tuple[float, list[float]]]


class _ThemedAxis(pg.AxisItem):  # type: ignore[misc]
    """Axis without a line; its ticks are grid lines through the plot, or not drawn."""

    def __init__(self, orientation: str) -> None:
        super().__init__(orientation, maxTickLength=0)
        self.setStyle(autoExpandTextSpace=False, tickTextOffset=6, hideOverlappingLabels=True, tickAlpha=255)
        self.setZValue(-10)

    def restyle(self) -> None:
        """Asks the theme for its colours and font again."""
        self.setStyle(tickFont=theme.sized(pg.QtWidgets.QApplication.font(), LABEL_PX))
        self.setPen(QPen(Qt.PenStyle.NoPen))
        self.setTextPen(theme.active().color("dim"))
        self.setTickPen(QPen(theme.active().color("grid")))


def _before(rect: QRectF, end: float) -> QRectF:
    return rect.translated(min(0.0, end - rect.right()), 0)


class ValueAxis(_ThemedAxis):
    """The left axis. `ticks`: exactly these values, rather than round numbers; in the scale's own unit."""

    def __init__(self) -> None:
        super().__init__("left")
        self.scale_kind: Scale = "linear"
        self.ticks: tuple[float, ...] = ()
        self._is_shown = True
        self.setStyle(hideOverlappingLabels=False)

    def show_axis(self, is_shown: bool) -> None:
        """Numbers and grid lines, or nothing: pyqtgraph would leave a dot of each line."""
        self._is_shown = is_shown
        self.setGrid(255 if is_shown else False)
        self.setStyle(showValues=is_shown)

    def generateDrawSpecs(self, painter: QPainter) -> Any:
        specs = super().generateDrawSpecs(painter)
        return specs if specs is None or self._is_shown else (specs[0], [], [])

    def show_scale(self, kind: Scale, ticks: tuple[float, ...] = ()) -> None:
        if (kind, ticks) != (self.scale_kind, self.ticks):
            self.scale_kind, self.ticks, self.picture = kind, ticks, None
            self.update()

    def boundingRect(self) -> QRectF:
        half = theme.px(LABEL_PX)  # of a number at the very end of the axis, which pyqtgraph would leave out
        return QRectF(super().boundingRect()).adjusted(0, -half, 0, half)

    def tickValues(self, low: float, high: float, size: float) -> _Levels:
        most = max(2, int(size / theme.px(30)))
        if self.ticks:
            found = [tick for tick in self.ticks if low <= tick <= high]
        elif self.scale_kind == "log":
            found = log_ticks(low, high, most)
        else:
            found = linear_ticks(low, high, most)
        return [(1.0, found)]

    def tickStrings(self, values: Sequence[float], _scale: float, _spacing: float) -> list[str]:
        if self.scale_kind == "rank":
            return [written(2**value, ".0f") for value in values]
        if self.scale_kind == "log":
            return [written(10**value, ".3g") for value in values]
        words = tick_words(values)
        return ["0" if value == 0 else word for value, word in zip(values, words, strict=True)]


class PositionAxis(_ThemedAxis):
    """The axis below: number of the step through all rounds, or time since the first one."""

    def __init__(self) -> None:
        super().__init__("bottom")
        self.kind: Axis = "step"

    def generateDrawSpecs(self, painter: QPainter) -> Any:
        """Leaves lines out. A number at the very end stands a little to the left, rather than half beyond the edge."""
        specs = super().generateDrawSpecs(painter)
        if specs is None:
            return None
        axis, _, texts = specs
        end = self.mapRectFromParent(self.geometry()).right()
        return axis, [], [(_before(rect, end), flags, word) for rect, flags, word in texts]

    def boundingRect(self) -> QRectF:
        half = theme.px(24)  # of a number at the very end, as above
        return QRectF(super().boundingRect()).adjusted(-half, 0, half, 0)

    def show_kind(self, kind: Axis) -> None:
        if kind != self.kind:
            self.kind, self.picture = kind, None
            self.update()

    def tickValues(self, low: float, high: float, size: float) -> _Levels:
        most = max(2, int(size / theme.px(90)))
        if self.kind == "time":
            return [(1.0, time_ticks(low, high, most))]
        return [(1.0, [tick for tick in linear_ticks(low, high, most) if tick == round(tick)])]

    def tickStrings(self, values: Sequence[float], _scale: float, _spacing: float) -> list[str]:
        return [time_words(value) if self.kind == "time" else written(value, ",.0f") for value in values]


class RoundAxis(_ThemedAxis):
    """The axis above: a line through the plot where a round begins, and, with `is_labelled`, its number beside it."""

    def __init__(self, is_labelled: bool) -> None:
        super().__init__("top")
        self.marks: tuple[tuple[float, str], ...] = ()
        self._is_labelled = is_labelled

    def show_marks(self, marks: tuple[tuple[float, str], ...]) -> None:
        """(x, label) in ascending order."""
        if marks != self.marks:
            self.marks, self.picture = marks, None
            self.update()

    def generateDrawSpecs(self, painter: QPainter) -> Any:
        """pyqtgraph asks for (axis line, lines, texts) in this item's coordinates."""
        view = self.linkedView()
        low, high = self.range
        if view is None or high <= low:
            return None
        bounds = self.mapRectFromParent(self.geometry())
        plot = view.mapRectToItem(self, view.boundingRect())
        places = [bounds.left() + (x - low) / (high - low) * bounds.width() for x, _ in self.marks]
        lines = [
            (self.tickPen(), QPointF(x, plot.top()), QPointF(x, plot.bottom()))
            for x in places
            if bounds.left() - 1 <= x <= bounds.right() + 1
        ]
        axis = (self.pen(), bounds.bottomLeft(), bounds.bottomRight())
        return axis, lines, self._labels(bounds, places) if self._is_labelled else []

    def _labels(self, bounds: QRectF, places: list[float]) -> list[tuple[QRectF, Any, str]]:
        """Each begins where its round does; the round that began before the left edge is told at that edge."""
        metrics = QFontMetricsF(self.style["tickFont"])
        specs: list[tuple[QRectF, Any, str]] = []
        ends = [*places, bounds.right()][1:]
        free = bounds.left()
        for place, end, (_, label) in zip(places, ends, self.marks, strict=True):
            width = metrics.horizontalAdvance(label)
            left = max(place, free)
            if end <= bounds.left() or left + width > min(max(end, place), bounds.right()):
                continue
            rect = QRectF(left, bounds.top(), width, bounds.height())
            specs.append((rect, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop, label))
            free = left + width + theme.px(12)
        return specs
