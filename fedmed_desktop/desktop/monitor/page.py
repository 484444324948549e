# SPDX-License-Identifier: Apache-2.0
"""The Monitor: how training goes on this computer, live, as charts or as a table; draws only while it is seen."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QFileDialog, QSizePolicy, QStackedWidget, QVBoxLayout, QWidget

from ...errors import UserFacingError
from ...wording import told
from ..charts.scales import Axis
from ..widgets import Banner, Card, EmptyState, Heading, PageBase, Row, Sentence, Spaced
from ..widgets.buttons import HelpLink
from ..widgets.layout import WIDE_SHARE
from ..widgets.saving import ask_where
from ..widgets.verdict import VerdictLine
from ..work.curves import Curves
from ..work.desk import Desk
from ..work.steps import WEIGHTS, Weight
from ..work.tasks import run_task
from . import summary as monitor
from .cards import MonitorCards
from .charts import ChartColumn
from .comparing import Comparing
from .controls import AXES, MonitorControls
from .earlier import EarlierRun, compared, scored_notes
from .figures import table_of
from .files import write_csv, write_picture
from .layer_map import LayerMap
from .series import Series
from .table import CurvesView

TABLE_EVERY_S = 1.0
SAVED_MS = 10_000  # that something was saved is read by then (inferred); what went wrong stays until it is read


class MonitorPage(PageBase):
    """`show_desk` may be called at any time; it draws while the page is visible, and showing the page catches up.
    Measured on two shared cores with 20,000 steps: 1.5 ms for a tick (3.5 ms by time), 3.5 ms to paint it at 1280x720.
    """

    experiment_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, WIDE_SHARE)
        self._desk: Desk | None = None
        self._table_shown, self.shows_table = 0.0, False
        self._table_of: tuple[Curves, int] | None = None  # what the table shows, and its version
        self.charts, self.table, self.layers = ChartColumn(), CurvesView(), LayerMap()
        self._compared_of: tuple[Curves, int, EarlierRun] | None = None
        self.subtitle = Sentence()
        self.comparing = Comparing(self)
        self.compared = VerdictLine()
        self.banner = Banner()
        self.empty = EmptyState("monitor", *monitor.waiting(Desk()), secondary=(self.tr("Open experiment…"),))
        self.controls, self.cards = MonitorControls(), MonitorCards()
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
        self._body.add(self.cards)
        self.add(self.empty)
        self.add(self._body, 1)
        self.add(self.layers)
        self.column.content.addStretch(0)  # takes what is left while there is no body
        self.empty.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.banner.acted.connect(self._on_banner_read)
        self._saved_read = QTimer(self)
        self._saved_read.setSingleShot(True)
        self._saved_read.setInterval(SAVED_MS)
        self._saved_read.timeout.connect(self._on_banner_read)
        self._wire()
        self._show_options()
        self._show_body(False)

    # -- parts -------------------------------------------------------------------------------------------------------

    def _header(self) -> QWidget:
        words = Spaced()
        column = QVBoxLayout(words)
        words._lay(column, (0, 0, 0, 0), 2)
        column.addWidget(Heading(self.tr("Monitor")))
        column.addWidget(self.subtitle)
        self.explain = HelpLink(self.tr("What loss, drift and rank are"), "monitor")
        self.explain.setToolTip(
            self.tr("Loss should go down, drift should stay low, and rank is how much can be learned. Opens the guide.")
        )
        self.verdict = VerdictLine(self.explain)
        column.addWidget(self.verdict)
        column.addWidget(self.compared)
        header = Row(spacing=16)
        header.add(words, 1, least=200)
        header.add(self.controls)
        for part in (words, self.controls):
            header.content.setAlignment(part, Qt.AlignmentFlag.AlignTop)
        return header

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
        self.subtitle.setText(monitor.subtitle(desk))
        self._show_body(not curves.is_empty)
        if curves.is_empty:
            self.empty.show_words(*monitor.waiting(desk))
            return
        if self.shows_table:
            self._draw_table()
        else:
            self.charts.show_curves(curves)
        self.layers.show_curves(curves)
        series = Series(curves)
        self.verdict.show_verdict(*monitor.verdict(series))
        load = desk.load if desk.computing.busy else None
        self.cards.show_figures(monitor.figures(series, desk.spec.base.full_bytes if desk.spec else None, load))
        self._compare(desk)

    def _compare(self, desk: Desk) -> None:
        if (run := self.comparing.run) is None:
            self._compared_of = None
            self.compared.show_verdict("")
            self.cards.show_earlier("", ())
            return
        what = (desk.curves, desk.curves.version, run)
        if what == self._compared_of:
            return
        self._compared_of = what
        found = compared(desk.curves, scored_notes(desk.record), run)
        self.compared.show_verdict(found.words, found.tone)
        name = self.tr("Then → now, after round {n}").format(n=found.round)
        self.cards.show_earlier(name, found.rows)

    def _draw_table(self) -> None:
        """Makes every row again, so only where something changed, and not at each step."""
        now = time.monotonic()
        if self._desk is None or now - self._table_shown < TABLE_EVERY_S:
            return
        curves = self._desk.curves
        if self._table_of is None or self._table_of[0] is not curves or self._table_of[1] != curves.version:
            self._table_of = curves, curves.version
            self.table.show_table(table_of(curves), self.charts.is_following)
            self._table_shown = time.monotonic()

    def _show_body(self, has_data: bool) -> None:
        for widget in (self._body, self.controls, self.verdict):
            widget.setVisible(has_data)
        if not has_data:
            self.compared.hide()
            self._compared_of = None
        self.empty.setVisible(not has_data)
        if not has_data:
            self.layers.hide()

    # -- what the person chooses -------------------------------------------------------------------------------------

    def _wire(self) -> None:
        controls = self.controls
        self.charts.following_changed.connect(controls.show_following)
        controls.smoothing_chosen.connect(self._on_smoothing)
        controls.axis_chosen.connect(self._on_axis)
        controls.log_chosen.connect(self._on_log)
        controls.table_chosen.connect(self._on_table)
        controls.follow_chosen.connect(self._on_follow)
        controls.experiment_asked.connect(self.experiment_asked)
        controls.earlier_asked.connect(self.comparing.ask)
        self.comparing.changed.connect(self._on_compared)
        self.comparing.failed.connect(self._on_not_compared)
        self.empty.chosen.connect(self.experiment_asked)
        controls.picture_asked.connect(self._on_picture)
        controls.numbers_asked.connect(self._on_numbers)

    @Slot(str)
    def _on_smoothing(self, weight: str) -> None:
        self.charts.weight = cast(Weight, weight)
        self._show_options()

    @Slot(str)
    def _on_axis(self, axis: str) -> None:
        self.charts.axis = cast(Axis, axis)
        self.charts.set_following(True)  # what was zoomed to has no meaning on the other axis
        self._show_options()

    @Slot(bool)
    def _on_log(self, is_log: bool) -> None:
        self.charts.is_log = is_log
        self._show_options()

    @Slot(bool)
    def _on_table(self, is_table: bool) -> None:
        self.shows_table = is_table
        self._show_options()

    @Slot(bool)
    def _on_follow(self, is_following: bool) -> None:
        self._forget_saved()
        if is_following:
            self.charts.follow()
        else:
            self.charts.set_following(False)

    @Slot()
    def _on_compared(self) -> None:
        run = self.comparing.run
        self.charts.show_earlier(run.curves if run else None)
        self._show_options()

    @Slot(str)
    def _on_not_compared(self, sentence: str) -> None:
        self.banner.show_message(sentence, "bad", self.tr("Close"))

    def _show_options(self) -> None:
        """Buttons and menus say what holds, and the page shows it."""
        charts = self.charts
        self._forget_saved()
        self.controls.show_options(charts.weight, charts.axis, charts.is_log, self.shows_table)
        self._sheet.setCurrentWidget(self._table_card if self.shows_table else charts)
        self._table_shown = 0.0
        if self.isVisible():
            self._draw()

    def state(self) -> dict[str, object]:
        """The person's choices, kept for the next start."""
        charts = self.charts
        kept = {"smoothing": charts.weight, "axis": charts.axis, "log": charts.is_log, "table": self.shows_table}
        return kept | ({"earlier": str(self.comparing.folder)} if self.comparing.folder else {})

    def restore(self, state: dict[str, object]) -> None:
        """The opposite of `state`; what is missing or makes no sense is left as it is."""
        charts = self.charts
        charts.weight = next((w for w in WEIGHTS if w == state.get("smoothing")), charts.weight)
        charts.axis = next((a for a in AXES if a == state.get("axis")), charts.axis)
        charts.is_log = state["log"] if isinstance(state.get("log"), bool) else charts.is_log  # type: ignore[assignment]
        self.shows_table = state["table"] if isinstance(state.get("table"), bool) else self.shows_table  # type: ignore[assignment]
        self._show_options()
        if isinstance(earlier := state.get("earlier"), str) and Path(earlier).is_dir():
            self.comparing.choose(Path(earlier))

    # -- export ------------------------------------------------------------------------------------------------------

    @Slot()
    def _on_picture(self) -> None:
        self._ask(self.tr("Save the charts as a picture"), "monitor.png").fileSelected.connect(self._on_picture_named)

    @Slot()
    def _on_numbers(self) -> None:
        self._ask(self.tr("Save the numbers"), "monitor.csv").fileSelected.connect(self._on_numbers_named)

    def _ask(self, title: str, name: str) -> QFileDialog:
        self._forget_saved()
        return ask_where(self, title, name)

    @Slot(str)
    def _on_picture_named(self, name: str) -> None:
        image = self.charts.picture()
        self._write(Path(name), lambda path: write_picture(image, path))

    @Slot(str)
    def _on_numbers_named(self, name: str) -> None:
        if self._desk is not None:
            table = table_of(self._desk.curves)
            self._write(Path(name), lambda path: write_csv(table, path))

    def _write(self, path: Path, write: Callable[[Path], None]) -> None:
        """Writes what there is now, off this thread: the numbers of 100,000 steps take most of a second."""

        def written() -> Path:
            write(path)
            return path

        run_task(self, written, self._on_written, self._on_not_written)

    def _on_written(self, path: Path) -> None:
        words = self.tr("Saved as {path}").format(path=path)
        if path.suffix == ".csv" and self._desk and Series(self._desk.curves).is_thinned:
            words += ". " + self.tr("For long rounds that have closed, it contains evenly spaced steps only.")
        self.banner.show_message(words, "ok", self.tr("Close"))
        self._saved_read.start()

    def _on_not_written(self, error: BaseException) -> None:
        if not isinstance(error, UserFacingError):
            raise error
        self._saved_read.stop()
        self.banner.show_message(told(error), "bad", self.tr("Close"))

    @Slot()
    def _on_banner_read(self) -> None:
        self._saved_read.stop()
        self.banner.show_message("")

    def _forget_saved(self) -> None:
        """Takes the news of a saved file away at the next action."""
        if self._saved_read.isActive():
            self._on_banner_read()
