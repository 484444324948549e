# SPDX-License-Identifier: Apache-2.0
"""Charts of one setting of an experiment: a line for each method; one of them may be chosen to stand out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QWidget

from ...wording import written
from ..charts.chart import Chart
from ..charts.legend import Dash, Line, Marker
from ..charts.scales import number
from ..look import theme
from ..widgets.layout import Card, Row
from .comparison import Course, Sheet, short

_COLORS: Final = ("series_1", "series_2", "series_3", "series_4", "series_5")
_DASHES: Final[tuple[Dash, ...]] = ("solid", "dash", "dashdot", "dot")
_MARKERS: Final[tuple[Marker, ...]] = ("o", "s", "t", "d")
_REFERENCES: Final[tuple[Dash, ...]] = ("dash", "dashdot", "dot")
_LEAST_PX: Final = 360  # of a column of charts, below which they stand one below the other
_PLOT_PX: Final = 190
_STRONG, _THIN = 2.6, 1.0
_AIR: Final = 0.06  # above and below the lines


def looks(sheet: Sheet) -> dict[str, Line]:
    """Looks of lines by label, the same in every chart: colours repeat after five methods, never with their dash."""
    references = {course.label for course in sheet.loss if course.is_reference}
    found: dict[str, Line] = {}
    methods = [label for label in sheet.drawn if label not in references]
    for place, label in enumerate(methods):
        turn = place // len(_COLORS)
        dash = _DASHES[turn % len(_DASHES)]
        marker = _MARKERS[(place + turn) % len(_MARKERS)]
        width = 1.6 if turn < len(_DASHES) else 2.2
        found[label] = Line(short(label), _COLORS[place % len(_COLORS)], dash, marker, width=width)
    for place, label in enumerate(label for label in sheet.drawn if label in references):
        found[label] = Line(short(label), "faint", _REFERENCES[place % len(_REFERENCES)], width=1.4)
    return found


class Lines(Chart):
    """One chart. Beside each method's line are the two ends of a standard deviation, seen where it is chosen."""

    def __init__(
        self, title: str, courses: Sequence[Course], look: dict[str, Line], *, starts_at_zero: bool = False
    ) -> None:
        self._look = {course.label: look[course.label] for course in courses}
        self._courses = tuple(courses)
        ends = {key: _band(look[course.label]) for course in courses for key in _ends(course.label)}
        super().__init__(title, self._look | ends, shows_position=True, starts_at_zero=starts_at_zero)
        for course in courses:
            self.draw(course.label, course.x, course.y)

    def fit(self) -> None:
        """Fits y to all values between the ends of x: outliers are no noise here, and zero is far below most losses."""
        low, high = self.span()
        seen = [self.data(key) for key in (*self._look, *(end for label in self._look for end in _ends(label)))]
        y = np.concatenate([y[(x >= low) & (x <= high)] for x, y in seen])
        y = y[np.isfinite(y)]
        if y.size:
            bottom, top = (0.0 if self._starts_at_zero else float(y.min())), float(y.max())
            air = _AIR * (top - bottom) or max(abs(top), 1e-6) * _AIR
            self.plot.box.setYRange(bottom if self._starts_at_zero else bottom - air, top + air, padding=0)

    def restyle(self) -> None:
        super().restyle()
        self.plot.setMinimumHeight(theme.px(_PLOT_PX))

    def extent(self) -> tuple[float, float]:
        """Least and greatest x of its lines."""
        x = np.concatenate([course.x for course in self._courses])
        return float(x.min()), float(x.max())

    def choose(self, label: str) -> None:
        """One method stands out, with its deviation; "": all alike."""
        for course in self._courses:
            line, is_chosen = self._look[course.label], course.label == label
            if label:
                line = replace(line, width=_STRONG) if is_chosen else replace(line, is_faint=True, width=_THIN)
            self.show_line(course.label, line)
            shift = course.sd if is_chosen else np.full_like(course.sd, np.nan)
            for key, sign in zip(_ends(course.label), (-1, 1), strict=True):
                self.draw(key, course.x, course.y + sign * shift)
        self.fit()

    def say(self) -> None:
        """Tells a screen reader where each line ends."""
        told = ", ".join(f"{short(course.label)} {number(float(course.y[-1]))}" for course in self._courses)
        self.describe(self.tr("Last values: {values}").format(values=told))


def _home(charts: Sequence[Lines]) -> tuple[float, float]:
    """All there is of charts with one x axis; markers at the ends are not cut in half."""
    low, high = min(chart.extent()[0] for chart in charts), max(chart.extent()[1] for chart in charts)
    reach = 0.02 * (high - low) or 0.5
    return low - reach, high + reach


def _ends(label: str) -> tuple[str, str]:
    return f"low {label}", f"high {label}"


def _band(line: Line) -> Line:
    return replace(line, name="", dash="dot", marker="", width=_THIN)


class LinesColumn(Card):
    """Charts with one x axis, below each other. `place` names an x as "{n}"; `is_round`: x are rounds, so whole."""

    def __init__(self, title: str, charts: Sequence[Lines], place: str, *, is_round: bool) -> None:
        super().__init__(title, least=_LEAST_PX)
        self._lay(self.content, (16, 12, 20, 8), 8)
        self._lines, self._place, self._is_round = charts, place, is_round
        home = _home(charts)
        for chart in charts:
            self.add(chart, 1)
            chart.limit(*home)
            chart.show_span(*home)
            chart.say()
            chart.spanned.connect(self._show_span)
            chart.pointed.connect(self._point)
            chart.home_asked.connect(self._show_all)

    @Slot(float, float)
    def _show_span(self, low: float, high: float) -> None:
        for chart in self._lines:
            chart.show_span(low, high)

    @Slot()
    def _show_all(self) -> None:
        self._show_span(*_home(self._lines))

    @Slot(float)
    def _point(self, x: float) -> None:
        """Points all charts at an x, of rounds at the nearest one; NaN points at none."""
        x = float(np.floor(x + 0.5)) if self._is_round and x == x else x
        words = self._place.format(n=written(x, ".0f") if self._is_round else number(x)) if x == x else ""
        for chart in self._lines:
            chart.point_at(x, words if chart is self._lines[0] else "")


class ExperimentCharts(Row):
    """Charts by round at the left, with one x axis, and against what was moved at the right. Charts without a line are
    left out. One for each setting: what lines a chart has is settled when it is made.
    """

    def __init__(self, sheet: Sheet, parent: QWidget | None = None) -> None:
        super().__init__(spacing=16, parent=parent)
        look = looks(sheet)
        by_round = (
            (self.tr("Loss"), sheet.loss, False),
            (self.tr("Drift"), sheet.drift, True),
            (self.tr("Rank"), sheet.rank, True),
        )
        moved = self.tr("{unit} moved").format(unit=sheet.unit)
        by_bytes = (
            (self.tr("Loss by {moved}").format(moved=moved), sheet.loss_by_bytes, False),
            (self.tr("{score} by {moved}").format(score=sheet.score, moved=moved), sheet.score_by_bytes, False),
        )
        self.by_round, self.by_bytes = (
            [Lines(name, courses, look, starts_at_zero=zero) for name, courses, zero in listed if courses]
            for listed in (by_round, by_bytes)
        )
        self.charts = (*self.by_round, *self.by_bytes)
        self._add_column(self.tr("By round"), self.by_round, self.tr("round {n}"), is_round=True)
        self._add_column(self.tr("By what was moved"), self.by_bytes, f"{{n}} {sheet.unit}", is_round=False)

    def _add_column(self, title: str, charts: Sequence[Lines], place: str, *, is_round: bool) -> None:
        if charts:
            column = LinesColumn(title, charts, place, is_round=is_round)
            self.add(column, 1)
            self.content.setAlignment(column, Qt.AlignmentFlag.AlignTop)

    def choose(self, label: str) -> None:
        """One method stands out in all charts; "": all alike."""
        for chart in self.charts:
            chart.choose(label)
