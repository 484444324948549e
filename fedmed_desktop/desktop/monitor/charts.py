# SPDX-License-Identifier: Apache-2.0
"""Loss, drift and rank in one column with one x axis, drawn from `Series`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import numpy as np
from PySide6.QtCore import QSize, Signal, Slot
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QWidget

from ...wording import later, tr, written
from ..charts.chart import Chart
from ..charts.columns import Numbers
from ..charts.legend import Line
from ..charts.scales import Axis
from ..look import theme
from ..widgets.layout import Card
from ..work.curves import DRIFTS, Curves
from ..work.steps import Weight
from . import summary as monitor
from .series import Series

PICTURE_RATIO = 2.0  # pixels of a saved picture per pixel of the screen
_NOTHING: Final = np.empty(0)
_RAW = Line(later("training"), "series_1", width=1, is_long=True)
_LOSS: Final[Mapping[str, Line]] = {
    "raw": replace(_RAW, is_faint=True),
    "smoothed": Line(later("smoothed"), "series_1", is_long=True, is_smooth=True),
    "validation": Line(later("validation"), "series_2", "dash", "o"),
    "earlier": Line(later("earlier"), "faint", width=1, is_long=True, is_smooth=True),
    "earlier_validation": Line(later("earlier, validation"), "faint", "dash", "o", width=1),
}
_DRIFT: Final[Mapping[str, Line]] = {
    "combined": Line(later("combined"), "series_1", "solid", "o"),
    "model": Line(later("model"), "series_3", "dash", "s"),
    "performance": Line(later("performance"), "series_2", "dot", "t"),
    "semantic": Line(later("semantic"), "series_4", "dashdot", "d"),
    "earlier": Line(later("earlier, model"), "faint", "dash", "s", width=1),
}
_RANK: Final[Mapping[str, Line]] = {
    "own": Line(later("your site"), "series_1", width=2),
    "others": Line(later("other sites"), "series_2", "dash", width=1),
    "changed": Line(later("changed"), "series_1", marker="d", width=0),
    "earlier": Line(later("earlier"), "faint", width=1),
}


def _shown(lines: Mapping[str, Line]) -> dict[str, Line]:
    """The lines with their names in the reader's language."""
    return {key: replace(line, name=tr(line.name)) for key, line in lines.items()}


class ChartColumn(Card):
    """The charts. `weight`, `axis`, `is_log` and `is_following` are set by the page, then `show_curves` draws."""

    following_changed = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self._lay(self.content, (16, 12, 20, 8), 8)
        self.weight: Weight = "0.9"
        self.axis: Axis = "step"
        self.is_log = False
        self.is_following = True
        self.loss = Chart(self.tr("Loss"), _shown(_LOSS), labels_rounds=True)
        self.drift = Chart(self.tr("Drift"), _shown(_DRIFT), starts_at_zero=True)
        self.rank = Chart(self.tr("Rank"), _shown(_RANK), shows_position=True)
        self.charts = (self.loss, self.drift, self.rank)
        self._series: Series | None = None
        self._earlier: Series | None = None
        self._drawn: object = None
        for chart, share in zip(self.charts, (7, 6, 6), strict=True):
            self.add(chart, share)
            chart.pointed.connect(self._on_pointed)
            chart.spanned.connect(self._on_spanned)
            chart.moved.connect(self._on_moved)
            chart.home_asked.connect(self.follow)

    def show_earlier(self, curves: Curves | None) -> None:
        """Sets the curves that are drawn in grey behind the present ones from now on."""
        self._earlier = Series(curves) if curves is not None else None

    def show_curves(self, curves: Curves) -> None:
        """Draws what has changed since the last call; nothing where nothing has."""
        told = (id(curves), curves.version, id(self._earlier), self.weight, self.axis, self.is_log)
        if told != self._drawn or self._series is None or curves is not self._series.curves:
            self._series, self._drawn = Series(curves), told
            self._draw(self._series)
        self.loss.describe(monitor.loss_sentence(self._series))
        self.drift.describe(monitor.drift_sentence(self._series))
        self.rank.describe(monitor.rank_sentence(self._series))

    def _draw(self, series: Series) -> None:
        self._draw_loss(series)
        self._draw_drift(series)
        self._draw_rank(series)
        marks = tuple((x, self.tr("Round {n}").format(n=n)) for n, x in series.boundaries(self.axis))
        low, high = monitor.span(series, self.axis)
        furthest = monitor.span(self._earlier, self.axis)[1] if self._earlier else high
        for chart in self.charts:
            chart.show_axis(self.axis)
            chart.show_marks(marks)
            chart.limit(low, max(high, furthest))
            if self.is_following:
                chart.show_span(low, high)
            chart.fit()

    def _draw_loss(self, series: Series) -> None:
        chart, is_smooth = self.loss, self.weight != "0"
        chart.show_scale("log" if self.is_log else "linear")
        lines = _shown(_LOSS)
        chart.show_line("raw", lines["raw"] if is_smooth else _shown({"": _RAW})[""])
        chart.show_line("smoothed", lines["smoothed"] if is_smooth else replace(lines["smoothed"], name=""))
        x, loss = series.training(self.axis)
        chart.draw("raw", x, loss)
        chart.draw("smoothed", *(series.training(self.axis, self.weight) if is_smooth else (x[:0], loss[:0])))
        chart.draw("validation", *series.validation(self.axis))
        self._draw_earlier(chart, "earlier", lines, lambda old: old.training(self.axis, "0.9"))
        self._draw_earlier(chart, "earlier_validation", lines, lambda old: old.validation(self.axis))
        chart.show_nothing("" if chart.has_data else self.tr("Waiting for the first step"))

    def _draw_drift(self, series: Series) -> None:
        chart = self.drift
        lines = _shown(_DRIFT)
        for name in DRIFTS:
            x, drift = series.drift(name, self.axis)
            chart.draw(name, x, drift)
            chart.show_line(name, lines[name] if drift.size else replace(lines[name], name=""))
        self._draw_earlier(chart, "earlier", lines, lambda old: old.drift("model", self.axis))
        has_data = chart.has_data
        levels = series.curves.thresholds if has_data else ()
        notes = [monitor.unmeasured(series)] if has_data else []
        if levels:
            notes.append(
                self.tr("thresholds {values}").format(values=", ".join(written(level, "g") for level in levels))
            )
        chart.show_notes([note for note in notes if note])
        chart.show_levels(levels)
        chart.show_nothing("" if has_data else self.tr("Known once a round has been combined"))

    def _draw_rank(self, series: Series) -> None:
        chart = self.rank
        chart.show_scale("rank", tuple(float(rank) for rank in series.ranks()))
        chart.draw("others", *series.other_ranks(self.axis))
        chart.draw("own", *series.rank(self.axis))
        self._draw_earlier(chart, "earlier", _shown(_RANK), lambda old: old.rank(self.axis))
        chart.draw("changed", *series.rank_marks(self.axis))
        for key, line in _shown(_RANK).items():
            chart.show_line(key, line if _is_seen(chart, key) else replace(line, name=""))
        change = monitor.rank_change(series)
        chart.show_notes([change] if change else [])
        chart.show_nothing("" if chart.has_data else self.tr("Known once this site's first adapter is made"))

    def _draw_earlier(
        self, chart: Chart, key: str, lines: Mapping[str, Line], line_of: Callable[[Series], tuple[Numbers, Numbers]]
    ) -> None:
        """Named in the legend only where there is something to see."""
        x, y = line_of(self._earlier) if self._earlier else (_NOTHING, _NOTHING)
        chart.draw(key, x, y)
        chart.show_line(key, lines[key] if x.size else replace(lines[key], name=""))

    # -- one x axis --------------------------------------------------------------------------------------------------

    @Slot()
    def follow(self) -> None:
        """Shows all there is, and what comes, until the person pans or zooms."""
        self.set_following(True)
        if self._series:
            for chart in self.charts:
                chart.show_span(*monitor.span(self._series, self.axis))

    def set_following(self, is_following: bool) -> None:
        if is_following != self.is_following:
            self.is_following = is_following
            self.following_changed.emit(is_following)

    @Slot()
    def _on_moved(self) -> None:
        self.set_following(False)

    @Slot(float, float)
    def _on_spanned(self, low: float, high: float) -> None:
        for chart in self.charts:
            chart.show_span(low, high)

    @Slot(float)
    def _on_pointed(self, x: float) -> None:
        place = self._place(x) if x == x else ""
        for chart in self.charts:
            chart.point_at(x, place if chart is self.loss else "", self._place)

    def _place(self, x: float) -> str:
        return monitor.place(self._series, self.axis, x) if self._series else ""

    # -- a picture of it ---------------------------------------------------------------------------------------------

    def picture(self) -> QImage:
        """All charts, at twice the resolution of the screen."""
        size = QSize(round(self.width() * PICTURE_RATIO), round(self.height() * PICTURE_RATIO))
        image = QImage(size, QImage.Format.Format_ARGB32)
        image.setDevicePixelRatio(PICTURE_RATIO)
        image.fill(theme.active().color("card"))
        self.render(image)
        return image


def _is_seen(chart: Chart, key: str) -> bool:
    """Tells whether a rank's line has values, and not only those of this site's own line, which would lie over it."""
    x, y = chart.data(key)
    there = np.isfinite(y)
    if key != "others" or not there.any():
        return bool(there.any())
    own_x, own_y = chart.data("own")
    if not own_x.size or x[there].min() < own_x[0] or x[there].max() > own_x[-1]:
        return True
    mine = set(zip(own_x.tolist(), own_y.tolist(), strict=True))
    return any(point not in mine for point in zip(x[there].tolist(), y[there].tolist(), strict=True))
