# SPDX-License-Identifier: Apache-2.0
"""The line beside a chart's title: what each line is called, drawn as it is drawn; under the pointer also its value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QApplication, QSizePolicy, QWidget

from ..look import theme
from ..look.tokens import mixed
from ..widgets.labels import OwnFont

Dash = Literal["solid", "dash", "dot", "dashdot"]
Marker = Literal["", "o", "s", "t", "d"]
_DASHES: Final[dict[Dash, list[float]]] = {"dash": [4, 3], "dot": [1, 2.5], "dashdot": [5, 2.5, 1, 2.5]}
FAINT: Final = 0.5  # share of a faint line's own colour
FAINT_IN_CONTRAST: Final = 0.75


@dataclass(frozen=True)
class Line:
    """One line of a chart. `name` is empty for one that is not listed; `color` a token of the theme.

    `width` in px at text scale 1, 0 for markers without a line. Long lines have width 1: thicker ones of tens of
    thousands of points take hundreds of milliseconds to paint. `is_long`: thousands of points, thinned for the screen;
    `is_smooth`: nothing is lost where only every nth point is drawn.
    """

    name: str
    color: str
    dash: Dash = "solid"
    marker: Marker = ""
    width: float = 1.6
    is_faint: bool = False
    is_long: bool = False
    is_smooth: bool = False

    def ink(self) -> QColor:
        tokens = theme.active().tokens
        share = FAINT_IN_CONTRAST if tokens.name == "contrast" else FAINT
        return QColor(mixed(tokens[self.color], tokens["card"], share) if self.is_faint else tokens[self.color])

    def pen(self) -> QPen:
        if not self.width:
            return QPen(Qt.PenStyle.NoPen)
        pen = QPen(self.ink(), self.width)
        pen.setCosmetic(True)
        pen.setCapStyle(Qt.PenCapStyle.FlatCap)
        pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        if self.dash != "solid":
            pen.setDashPattern(_DASHES[self.dash])
        return pen


class Legend(OwnFont, QWidget):
    """Entries from the right, in as many lines as they need. Notes are words without a line of their own."""

    def __init__(self, lines: Sequence[Line], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._lines = list(lines)
        self._notes: tuple[str, ...] = ()
        self._values: dict[str, str] | None = None
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self.restyle()

    def show_lines(self, lines: Sequence[Line], notes: Sequence[str] = ()) -> None:
        if (list(lines), tuple(notes)) != (self._lines, self._notes):
            self._lines, self._notes = list(lines), tuple(notes)
            self.setAccessibleName(self.text())
            self.updateGeometry()
            self.update()

    def show_values(self, values: dict[str, str] | None) -> None:
        """Values by name for one place of the chart; None when no place is pointed at."""
        if values != self._values:
            self._values = values
            self.update()

    def text(self) -> str:
        """The legend in words."""
        return " · ".join(word for _, word, _ in self._entries())

    def _entries(self) -> list[tuple[Line | None, str, str]]:
        """(line, word, value) of each entry."""
        named = [line for line in self._lines if line.name]
        if self._values is None:
            return [*((line, line.name, "") for line in named), *((None, note, "") for note in self._notes)]
        place = self._values.get("", "")
        shown = [(line, line.name, self._values[line.name]) for line in named if line.name in self._values]
        return [*([(None, place, "")] if place else []), *shown]

    def _rows(self, width: int) -> list[list[tuple[Line | None, str, str, int]]]:
        """Entries with their widths, broken into lines; a note that is wider than one line takes several."""
        metrics, rows, used = self.fontMetrics(), [[]], 0  # type: ignore[var-annotated]
        parts = (
            (line, part, value)
            for line, word, value in self._entries()
            for part in ([word] if line else self._broken(word, width))
        )
        for line, word, value in parts:
            need = metrics.horizontalAdvance(f"{word} {value}".rstrip()) + (theme.px(28) if line else 0)
            if rows[-1] and used + need > width:
                rows.append([])
                used = 0
            rows[-1].append((line, word, value, need))
            used += need + theme.px(16)
        return rows

    def _broken(self, note: str, width: int) -> list[str]:
        """The note in parts that are no wider than this, where its words allow that."""
        parts, advance = [""], self.fontMetrics().horizontalAdvance
        for word in note.split():
            longer = f"{parts[-1]} {word}".lstrip()
            if parts[-1] and advance(longer) > width:
                parts.append(word)
            else:
                parts[-1] = longer
        return parts

    def _line_height(self) -> int:
        return QFontMetrics(self.font()).height() + theme.px(2)

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        values, self._values = self._values, None  # pointing at a chart must not move it
        rows = len(self._rows(width))
        self._values = values
        return rows * self._line_height()

    def sizeHint(self) -> QSize:
        rows = self._rows(1_000_000)
        width = sum(need + theme.px(16) for *_, need in rows[0])
        return QSize(width, self._line_height())

    def minimumSizeHint(self) -> QSize:
        return QSize(theme.px(60), self._line_height())

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        height = self._line_height()
        for number, row in enumerate(self._rows(self.width())):
            right = float(self.width())
            for line, word, value, need in reversed(row):
                self._paint(painter, QRectF(right - need, number * height, need, height), line, word, value)
                right -= need + theme.px(16)

    def _paint(self, painter: QPainter, place: QRectF, line: Line | None, word: str, value: str) -> None:
        left = place.left()
        if line:
            self._paint_sample(painter, QPointF(left, place.center().y()), line)
            left += theme.px(28)
        color = theme.active().color
        vertical = Qt.AlignmentFlag.AlignVCenter
        painter.setPen(color("dim"))
        painter.drawText(QRectF(left, place.top(), place.right() - left, place.height()), vertical, word)
        if value:
            painter.setPen(color("ink"))
            painter.drawText(place, vertical | Qt.AlignmentFlag.AlignRight, value)

    def _paint_sample(self, painter: QPainter, left: QPointF, line: Line) -> None:
        length = theme.px(22)
        painter.setPen(line.pen())
        painter.drawLine(left, left + QPointF(length, 0))
        if line.marker:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(line.ink())
            painter.translate(left + QPointF(length / 2, 0))
            painter.drawPath(marker_path(line.marker, theme.px(7)))
            painter.resetTransform()

    def _shaped(self) -> QFont:
        return theme.sized(QApplication.font(), 12)


def marker_path(marker: Marker, size: float):  # type: ignore[no-untyped-def]  # noqa: ANN201  # a QPainterPath
    """The marker's outline around the origin, as the plot draws it."""
    from pyqtgraph.graphicsItems.ScatterPlotItem import Symbols
    from PySide6.QtGui import QTransform

    return QTransform().scale(size, size).map(Symbols[marker])
