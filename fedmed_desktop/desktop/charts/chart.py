# SPDX-License-Identifier: Apache-2.0
"""One chart: title, legend in words, lines over steps or time. Draws only what it is given, when it is given it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from ...wording import tr, written

from .plot import PlotView  # isort: skip  # chooses PySide6 before pyqtgraph comes

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtWidgets import QBoxLayout, QFrame, QGridLayout, QVBoxLayout, QWidget

from ..look import theme
from ..widgets.icon import Restyled
from ..widgets.labels import Heading, Sentence
from .columns import Numbers
from .legend import Legend, Line
from .scales import Axis, Scale, mapped, nearest, number, padded, robust_range

DESCRIBE_EVERY_S = 10.0  # a screen reader must not be told of every step
AXIS_PX, PLOT_PX, MARKER_PX = 44, 84, 6
_NOTHING = np.empty(0)


class _Title(Heading):
    """One line where there is room, more where there is not: it must not make the page wider."""

    def sizeHint(self) -> QSize:
        reach = self.contentsMargins().left() + self.fontMetrics().horizontalAdvance(self.text()) + 1
        return QSize(reach, super().sizeHint().height())


class Chart(Restyled, QFrame):
    """Lines by key, from `lines`. `labels_rounds`: rounds are named above its plot; `shows_position`: steps or time.
    Several charts with one x axis: connect `spanned`, `pointed`, `moved` and `home_asked`, and hand on to the others.
    """

    pointed = Signal(float)  # the x that is read, by pointer or keys; NaN when none is
    spanned = Signal(float, float)  # the x that are seen have changed
    moved = Signal()  # by the person
    home_asked = Signal()

    def __init__(
        self,
        title: str,
        lines: Mapping[str, Line],
        *,
        labels_rounds: bool = False,
        shows_position: bool = False,
        starts_at_zero: bool = False,
        clock: Callable[[], float] = time.monotonic,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._title, self._clock, self._described = title, clock, -DESCRIBE_EVERY_S
        self._labels_rounds, self._shows_position = labels_rounds, shows_position
        self._starts_at_zero = starts_at_zero
        self._lines = dict(lines)
        self._data: dict[str, tuple[Numbers, Numbers]] = dict.fromkeys(lines, (_NOTHING, _NOTHING))
        self._scale: Scale = "linear"
        self._notes: tuple[str, ...] = ()
        self.heading, self.legend = _Title(title, 3), Legend(list(lines.values()))
        self.plot = PlotView(labels_rounds)
        self.plot.setAccessibleName(tr("{title} chart").format(title=title))
        self.placeholder = Sentence()
        self.placeholder.hide()
        self._items = {key: pg.PlotDataItem(connect="finite") for key in lines}
        self._levels: list[pg.InfiniteLine] = []
        self._level_values = _NOTHING
        self._cross = pg.InfiniteLine(angle=90, movable=False)
        self._build()
        self._wire()
        self.restyle()

    def _build(self) -> None:
        self._header = QBoxLayout(QBoxLayout.Direction.LeftToRight)
        self._header.addWidget(self.heading, 0, Qt.AlignmentFlag.AlignTop)
        self._header.addWidget(self.legend, 1)
        stack = QGridLayout()
        stack.setContentsMargins(0, 0, 0, 0)
        stack.addWidget(self.plot, 0, 0)
        self.placeholder.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.placeholder.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        stack.addWidget(self.placeholder, 0, 0)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(self._header)
        column.addLayout(stack, 1)
        for key, item in self._items.items():
            item.setDownsampling(
                auto=self._lines[key].is_long, method="subsample" if self._lines[key].is_smooth else "peak"
            )
            item.opts["autoDownsampleFactor"] = 0.5 if self._lines[key].is_smooth else 1.0  # points per pixel
            item.setClipToView(self._lines[key].is_long)
            item.setZValue(self._lines[key].width > 1)  # thin lines lie behind
            self.plot.box.addItem(item, ignoreBounds=True)
        self._cross.hide()
        self.plot.box.addItem(self._cross, ignoreBounds=True)

    def _wire(self) -> None:
        self.plot.pointed.connect(self.pointed)
        self.plot.moved.connect(self.moved)
        self.plot.home_asked.connect(self.home_asked)
        self.plot.box.sigXRangeChanged.connect(self._on_span)

    # -- what is drawn -----------------------------------------------------------------------------------------------

    def draw(self, key: str, x: Numbers, y: Numbers) -> None:
        """A line's points, shapes (n,); x never falls. NaN in y is a gap."""
        if self._lines[key].is_long:
            x, y = x.copy(), y.copy()  # they are windows into what goes on changing
        elif _same(self._data[key], (x, y)):
            return  # nothing to paint again
        self._data[key] = (x, y)
        self._items[key].setData(x, mapped(y, self._scale))

    def data(self, key: str) -> tuple[Numbers, Numbers]:
        """The points that `draw` was given."""
        return self._data[key]

    def show_line(self, key: str, line: Line) -> None:
        """Another look or name for a line."""
        if self._lines[key] != line:
            self._lines[key] = line
            self._dress(key)
            self._show_legend()

    def show_notes(self, notes: Sequence[str]) -> None:
        """Words that end the legend."""
        if tuple(notes) != self._notes:
            self._notes = tuple(notes)
            self._show_legend()

    def _show_legend(self) -> None:
        self.legend.show_lines(list(self._lines.values()), self._notes)

    def show_scale(self, scale: Scale, ticks: tuple[float, ...] = ()) -> None:
        """Lays values out by this scale; `ticks`: only these values are marked. Lines that are there move to it."""
        places = tuple(float(place) for place in mapped(np.array(ticks, np.float64), scale))
        self.plot.values.show_scale(scale, places)
        if scale != self._scale:
            self._scale = scale
            for key, (x, y) in self._data.items():
                self._items[key].setData(x, mapped(y, scale))
            self.fit()

    def show_levels(self, values: Sequence[float]) -> None:
        """Horizontal dotted lines, which are always in sight."""
        while len(self._levels) < len(values):
            self._levels.append(pg.InfiniteLine(angle=0, movable=False))
            self.plot.box.addItem(self._levels[-1], ignoreBounds=True)
            self._dress_levels()
        self._level_values = np.array(values, np.float64)
        for number_, line in enumerate(self._levels):
            line.setVisible(number_ < len(values))
            if number_ < len(values):
                line.setPos(float(mapped(np.array([values[number_]]), self._scale)[0]))

    def show_marks(self, marks: tuple[tuple[float, str], ...]) -> None:
        """Marks where rounds begin: (x, label), ascending; none while there are words instead."""
        self.plot.rounds.show_marks(() if self.placeholder.text() else marks)

    def show_axis(self, axis: Axis) -> None:
        self.plot.position.show_kind(axis)

    def show_nothing(self, sentence: str) -> None:
        """Words instead of an empty grid; "" shows the grid again."""
        if sentence != self.placeholder.text():
            self.placeholder.setText(sentence)
            self.placeholder.setVisible(bool(sentence))
            self.plot.values.show_axis(not sentence)
            if sentence:
                self._cross.hide()

    @property
    def has_data(self) -> bool:
        return any(np.isfinite(y).any() for _, y in self._data.values())

    # -- what is seen of it ------------------------------------------------------------------------------------------

    def span(self) -> tuple[float, float]:
        """Least and greatest x that are seen."""
        low, high = self.plot.box.viewRange()[0]
        return float(low), float(high)

    def show_span(self, low: float, high: float) -> None:
        if (low, high) != self.span() and high > low:
            self.plot.box.setXRange(low, high, padding=0)

    def limit(self, low: float, high: float) -> None:
        """Nobody gets lost beyond these x."""
        reach = (high - low) * 0.5
        self.plot.box.setLimits(xMin=low - reach, xMax=high + reach)

    def fit(self) -> None:
        """Chooses the values that are seen: those of the lines between the ends of x, far outliers left out."""
        low, high = self.span()
        seen = []
        for x, y in self._data.values():
            part = slice(max(0, int(np.searchsorted(x, low)) - 1), int(np.searchsorted(x, high, side="right")) + 1)
            seen.append(y[part])
        ends = robust_range([*seen, self._level_values], positive=self._scale != "linear")
        if ends:
            bottom, top = padded((0.0, ends[1]) if self._starts_at_zero else ends, self._scale)
            found = self.plot.box.viewRange()[1]
            if abs(found[0] - bottom) + abs(found[1] - top) > 1e-9 * abs(top - bottom):
                self.plot.box.setYRange(bottom, top, padding=0)

    @Slot(object, object)
    def _on_span(self, _box: object, _range: object) -> None:
        low, high = self.span()
        self.fit()
        self.spanned.emit(low, high)

    # -- reading -----------------------------------------------------------------------------------------------------

    def point_at(self, x: float, place: str = "", where: Callable[[float], str] | None = None) -> None:
        """Marks an x and tells each line's value there in the legend, after `place`; NaN: none. `where` gives words for
        the x at which a value was measured that is not of this very place.
        """
        is_read = x == x and not self.placeholder.text()
        self._cross.setVisible(is_read)
        if is_read:
            self._cross.setPos(x)
        self.legend.show_values(({"": place} if place else {}) | self.values_at(x, where) if is_read else None)

    def values_at(self, x: float, where: Callable[[float], str] | None = None) -> dict[str, str]:
        """Values by the names of the lines: of a long line the nearest value, of others the last at or before x."""
        told = {}
        for key, line in self._lines.items():
            if not line.name or not line.width:  # markers alone lie on another line, which is read
                continue
            if line.is_long:
                at, value = x, nearest(*self._data[key], x)
            else:
                at, value = last_before(*self._data[key], x)
            if value != value:
                continue
            is_elsewhere = bool(line.marker) and where is not None and where(at) != where(x)
            told[line.name] = f"{self._word(value)} ({where(at)})" if where and is_elsewhere else self._word(value)
        return told

    def _word(self, value: float) -> str:
        return written(value, ".0f") if self._scale == "rank" else number(value)

    def describe(self, sentence: str) -> None:
        """Sets what a screen reader says of the chart; updated at most every ten seconds."""
        now = self._clock()
        if now - self._described >= DESCRIBE_EVERY_S and sentence != self.plot.accessibleDescription():
            self._described = now
            self.plot.setAccessibleDescription(sentence)

    # -- look --------------------------------------------------------------------------------------------------------

    def _dress(self, key: str) -> None:
        line, item = self._lines[key], self._items[key]
        item.opts["antialias"] = not (line.is_long and not line.is_smooth)
        item.setPen(line.pen() if line.width else None)
        item.setSymbol(line.marker or None)
        if line.marker:
            item.setSymbolPen(None)
            item.setSymbolBrush(line.ink())
            item.setSymbolSize(theme.px(MARKER_PX))

    def _dress_levels(self) -> None:
        pen = Line("", "warn", "dot", width=1).pen()
        for line in self._levels:
            line.setPen(pen)

    def restyle(self) -> None:
        axis = theme.px(AXIS_PX)
        plot = self.plot
        plot.setBackground(theme.active().color("card"))
        for part in (plot.values, plot.position, plot.rounds):
            part.restyle()
        plot.values.setWidth(axis)
        line = theme.px(18)
        plot.position.setHeight(line + theme.px(6) if self._shows_position else theme.px(6))
        plot.position.setStyle(showValues=self._shows_position)
        plot.rounds.setHeight(line if self._labels_rounds else theme.px(6))
        plot.setMinimumHeight(
            theme.px(PLOT_PX + (18 if self._labels_rounds else 0) + (18 if self._shows_position else 0))
        )
        self._header.setContentsMargins(axis, 0, theme.px(2), 0)
        self._header.setSpacing(theme.gap(16))
        self.placeholder.setContentsMargins(axis, 0, 0, 0)
        for key in self._lines:
            self._dress(key)
        self._dress_levels()
        self._cross.setPen(pg.mkPen(theme.active().color("edge")))


def last_before(x: Numbers, y: Numbers, at: float) -> tuple[float, float]:
    """x and value of the last finite one at or before an x; NaN where there is none."""
    rows = np.flatnonzero(np.isfinite(y) & (x <= at))
    if not rows.size:
        return float("nan"), float("nan")
    # Lines that go back to the left, one after the other, have their latest x where it is greatest.
    row = rows[np.argmax(x[rows] + rows * 1e-12)]
    return float(x[row]), float(y[row])


def _same(one: tuple[Numbers, Numbers], other: tuple[Numbers, Numbers]) -> bool:
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(one, other, strict=True))
