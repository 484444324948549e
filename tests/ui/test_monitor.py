# SPDX-License-Identifier: Apache-2.0
"""The Monitor in every state that it can be in, with the events of a real course."""

from __future__ import annotations

import csv
import math
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, QRectF, Qt
from PySide6.QtGui import QImage, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QFileDialog, QWidget
from pytestqt.qtbot import QtBot

from fedmed_desktop import events
from fedmed_desktop.desktop.charts.axis import RoundAxis
from fedmed_desktop.desktop.charts.chart import Chart
from fedmed_desktop.desktop.charts.legend import Legend, Line
from fedmed_desktop.desktop.charts.plot import PlotView
from fedmed_desktop.desktop.look.theme import Appearance
from fedmed_desktop.desktop.monitor.figures import FIELDS, Table, table_of
from fedmed_desktop.desktop.monitor.files import write_csv
from fedmed_desktop.desktop.monitor.page import MonitorPage
from fedmed_desktop.desktop.monitor.series import Series
from fedmed_desktop.desktop.monitor.summary import drift_sentence
from fedmed_desktop.desktop.work.desk import Desk
from fedmed_desktop.desktop.work.news import SessionStarted
from fedmed_desktop.scores import Counts, Scores, TaskScores
from tests.parts.federation import small_spec
from tests.parts.monitor import SITE, entry, record, run, scored, standing, step

MANY = 20_000


def desk_of(told: Sequence[events.Event] = ()) -> Desk:
    desk = Desk()
    desk.fold([SessionStarted("site", SITE, "ws://127.0.0.1:1", (SITE,), Path("notes"), Path("model")), *told])
    return desk


@pytest.fixture
def page(qtbot: QtBot) -> MonitorPage:
    page = MonitorPage()
    qtbot.addWidget(page)
    page.resize(1104, 628)  # what the window leaves of 1280 x 720
    page.show()
    QApplication.processEvents()
    return page


def show(page: MonitorPage, desk: Desk) -> None:
    page.show_desk(desk)
    QApplication.processEvents()


def turn_wheel(plot: PlotView, place: QPointF) -> None:
    wheel = QWheelEvent(
        place, plot.mapToGlobal(place), QPoint(), QPoint(0, 240), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(plot.viewport(), wheel)


def drawn(page: MonitorPage, key: str = "raw") -> int:
    return int(page.charts.loss.data(key)[0].size)


# -- states


def test_that_without_a_federation_there_is_a_sentence_and_no_grid(page: MonitorPage) -> None:
    show(page, Desk())
    assert page.empty.isVisible() and not page.charts.isVisible() and not page.controls.export.isVisible()


def test_that_before_the_first_step_the_page_waits_for_it(page: MonitorPage) -> None:
    show(page, desk_of())
    assert page.empty.isVisible() and not page.charts.isVisible()
    assert page.empty.findChildren(QWidget)[1].text() == "Waiting for the first step"  # type: ignore[attr-defined]


def test_that_the_first_step_is_shown_and_charts_without_a_value_say_so(page: MonitorPage) -> None:
    show(page, desk_of([step(1)]))
    assert page.charts.isVisible() and not page.empty.isVisible()
    assert drawn(page) == 1
    assert not page.charts.loss.placeholder.isVisible()
    for chart in (page.charts.drift, page.charts.rank):
        assert chart.placeholder.isVisible() and "Known once" in chart.placeholder.text()
        assert chart.plot.values.grid is False and not chart.plot.rounds.marks, "an empty grid"


def test_that_a_running_training_grows_on_the_screen(page: MonitorPage) -> None:
    desk = desk_of(run(1, 150, last_step=10))
    show(page, desk)
    desk.fold([step(11), step(12)])
    show(page, desk)
    assert drawn(page) == drawn(page, "smoothed") == 12
    assert page.cards.speed.value.text().replace(",", "").isdigit()


def test_that_closed_rounds_bring_drift_and_rank(page: MonitorPage) -> None:
    desk = desk_of([*run(3, 150, last_step=112), standing(2)])
    show(page, desk)
    charts = page.charts
    assert charts.drift.data("model")[0].tolist() == [150, 300]
    assert charts.rank.data("own")[1].tolist() == [8, 8, 16, 16]
    assert not charts.drift.placeholder.isVisible() and not charts.rank.placeholder.isVisible()
    assert charts.drift.legend.text() == "model · performance · semantic not measured, because no counts are shared"
    assert charts.rank.legend.text() == "your site · other sites · changed · raised in round 2: 8 to 16"
    assert [label for _, label in charts.loss.plot.rounds.marks] == ["Round 1", "Round 2", "Round 3"]
    assert page.subtitle.text() == f"Round 3 of 10 · {SITE}"
    assert page.cards.scores.values()[0] == "71"


def test_that_semantic_drift_is_drawn_where_the_federation_shares_counts(page: MonitorPage) -> None:
    spec = small_spec(share={"histogram": "specialties"})
    desk = desk_of(run(2, 150))
    desk.fold([record(entry(1, model=None), spec=spec)])
    show(page, desk)
    desk.fold([standing(1)])
    show(page, desk)
    assert page.charts.drift.legend.text() == "model · performance · semantic not measured yet"
    desk.fold([record(entry(1, model=None), entry(2, semantic=0.14), spec=spec)])
    show(page, desk)
    assert [values.tolist() for values in page.charts.drift.data("semantic")] == [[300], [0.14]]
    assert page.charts.drift.legend.text() == "model · performance · semantic"
    assert "semantic 0.14" in drift_sentence(Series(desk.curves))


def test_that_thresholds_are_drawn_only_where_there_are_any(page: MonitorPage) -> None:
    desk = desk_of([*run(2, 20), standing(2)])
    show(page, desk)
    assert not page.charts.drift._levels
    desk.curves.thresholds = (0.3, 0.6)
    desk.fold([step(1, 3, 20)])
    show(page, desk)
    assert [level.value() for level in page.charts.drift._levels] == [0.3, 0.6]
    assert "thresholds 0.3, 0.6" in page.charts.drift.legend.text()


def test_that_a_resumed_training_goes_back_to_its_checkpoint(page: MonitorPage) -> None:
    desk = desk_of(run(1, 150, last_step=80))
    show(page, desk)
    desk.fold([step(51, loss=1.0)])
    show(page, desk)
    x, loss = page.charts.loss.data("raw")
    assert x.tolist() == list(range(1, 52)) and loss[-1] == 1.0


def test_that_a_new_session_begins_with_an_empty_page(page: MonitorPage) -> None:
    desk = desk_of(run(2, 20))
    show(page, desk)
    desk.fold([SessionStarted("site", SITE, "ws://127.0.0.1:1", (SITE,), Path("n"), Path("m"))])
    show(page, desk)
    assert page.empty.isVisible()
    desk.fold([step(1)])
    show(page, desk)
    assert drawn(page) == 1 and drawn(page, "validation") == 0


def test_that_what_a_restarted_program_finds_in_its_ledger_is_drawn(page: MonitorPage) -> None:
    desk = desk_of()
    desk.fold([record(entry(1, model=0.2), entry(2))])
    show(page, desk)
    assert drawn(page, "validation") == 4 and drawn(page) == 0
    assert page.cards.moved.value.text() == "33.7 / 0.0"


# -- seen or not


def test_that_a_hidden_page_draws_nothing_and_catches_up_when_it_is_shown(page: MonitorPage) -> None:
    desk = desk_of(run(1, 150, last_step=10))
    show(page, desk)
    page.hide()
    desk.fold([step(n, loss=9.0) for n in range(5, 21)])  # goes back, and on: what is drawn must not change by itself
    show(page, desk)
    assert page.charts.loss.data("raw")[1].tolist() == [step(n).loss for n in range(1, 11)]
    page.show()
    assert drawn(page) == 20


def test_that_nothing_is_drawn_again_while_nothing_changes(page: MonitorPage, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = desk_of(run(2, 50))
    show(page, desk)
    calls: list[str] = []
    monkeypatch.setattr(Chart, "draw", lambda _self, key, _x, _y: calls.append(key))
    for _ in range(5):
        show(page, desk)
    assert not calls
    desk.fold([step(1, 3, 50)])
    show(page, desk)
    assert calls


def test_that_a_tick_with_twenty_thousand_steps_is_cheap(page: MonitorPage) -> None:
    desk = desk_of([*run(4, MANY // 4, last_step=MANY // 4 - 200), standing(3)])
    show(page, desk)
    spent = []
    for number in range(60):
        desk.fold([step(MANY // 4 - 199 + number, 4, MANY // 4)])
        began = time.thread_time()
        page.show_desk(desk)
        spent.append(time.thread_time() - began)
        QApplication.processEvents()
    # 5 ms is what it may cost on a quiet machine (measured: see the docstring of MonitorPage); tests share theirs
    assert np.median(spent) < 0.015


def test_that_painting_keeps_what_none_is_counted_by(page: MonitorPage) -> None:
    """PySide6 6.12 on Python 3.11 loses a reference to None at each void call; the interpreter ends within minutes."""
    desk = desk_of([*run(2, 100), standing(1)])
    show(page, desk)
    for _ in range(20):
        page.charts.grab()
    before = sys.getrefcount(None)
    for number in range(1000):
        desk.fold([step(number % 90 + 1, 3, 100)])
        page.show_desk(desk)
        page.charts.loss.plot.repaint()
    assert abs(sys.getrefcount(None) - before) < 500


# -- what the person does


def test_that_panning_stops_following_and_the_button_takes_it_up_again(page: MonitorPage, qtbot: QtBot) -> None:
    desk = desk_of(run(1, 150, last_step=100))
    show(page, desk)
    charts = page.charts
    assert page.controls.follow.isChecked()
    page.charts.drift.plot.setFocus()
    QTest.keyClick(charts.drift.plot, Qt.Key.Key_Plus)
    assert not page.controls.follow.isChecked() and not charts.is_following
    kept = charts.loss.span()
    assert kept == charts.drift.span() == charts.rank.span()
    desk.fold([step(n) for n in range(101, 150)])
    show(page, desk)
    assert charts.loss.span() == pytest.approx(kept)
    QTest.mouseClick(page.controls.follow, Qt.MouseButton.LeftButton)
    assert charts.is_following and charts.loss.span()[1] >= 149


def test_that_a_note_wider_than_its_legend_is_broken_into_lines_and_loses_no_word(qtbot: QtBot) -> None:
    note = "semantic not measured, because no counts are shared"
    legend = Legend([Line("model", "accent")])
    qtbot.addWidget(legend)
    legend.show_lines([Line("model", "accent")], [note])
    width = legend.fontMetrics().horizontalAdvance(note) // 2
    rows = legend._rows(width)
    assert all(need <= width for row in rows for *_, need in row)
    assert " ".join(word for row in rows for line, word, *_ in row if line is None) == note
    assert legend.heightForWidth(width) == len(rows) * legend.heightForWidth(10_000) > 2 * legend.heightForWidth(10_000)


def test_that_where_the_page_does_not_scroll_the_wheel_zooms_steps_and_never_values(page: MonitorPage) -> None:
    page.resize(1104, 1200)
    show(page, desk_of(run(1, 150)))
    plot = page.charts.loss.plot
    (left, right), values = plot.box.viewRange()
    turn_wheel(plot, QPointF(10, plot.height() / 2))  # over the values
    assert plot.box.viewRange()[1] == values
    turn_wheel(plot, QPointF(plot.width() / 2, plot.height() / 2))
    new_left, new_right = plot.box.viewRange()[0]
    assert new_right - new_left < right - left
    assert not page.charts.is_following
    assert page.charts.rank.span() == pytest.approx((new_left, new_right))


def test_that_where_the_page_scrolls_the_wheel_scrolls_it(page: MonitorPage) -> None:
    page.resize(1104, 300)
    show(page, desk_of(run(1, 150)))
    plot = page.charts.loss.plot
    assert page.verticalScrollBar().maximum() > 0
    before = plot.box.viewRange()[0]
    turn_wheel(plot, QPointF(plot.width() / 2, plot.height() / 2))
    assert plot.box.viewRange()[0] == before


def test_that_all_charts_are_read_at_the_same_step(page: MonitorPage) -> None:
    desk = desk_of([*run(3, 150, last_step=112), standing(2)])
    show(page, desk)
    charts = page.charts
    charts.rank.plot.setFocus()
    charts.rank.plot._point(230.0)
    assert all(chart._cross.isVisible() and chart._cross.value() == 230.0 for chart in charts.charts)
    loss = charts.loss.values_at(230.0)
    assert loss["training"] == f"{step(80, 2).loss:.2f}"
    assert charts.rank.values_at(230.0) == {"your site": "16", "other sites": "8"}
    assert charts.loss.legend.text().startswith("round 2, step 80")
    QTest.keyClick(charts.rank.plot, Qt.Key.Key_Escape)
    assert not any(chart._cross.isVisible() for chart in charts.charts)
    assert charts.loss.legend.text() == "training · smoothed · validation"


def test_that_pointing_at_a_chart_does_not_move_it(qtbot: QtBot) -> None:
    legend = Legend([Line("model", "series_1"), Line("performance", "series_2")])
    qtbot.addWidget(legend)
    width = legend.sizeHint().width()
    height = legend.heightForWidth(width)
    legend.show_values({"": "round 2, step 80", "model": "0.37", "performance": "0.42"})
    assert legend.heightForWidth(width) == height
    assert legend.text() == "round 2, step 80 · model · performance"


def test_that_smoothing_off_leaves_the_loss_itself(page: MonitorPage) -> None:
    show(page, desk_of(run(1, 150)))
    page.controls.weights.actions()[0].trigger()
    assert page.controls.smoothing.text() == "Smoothing off"
    assert drawn(page, "smoothed") == 0 and drawn(page) == 150
    assert page.charts.loss.legend.text() == "training · validation"


def test_that_a_logarithmic_loss_leaves_zeros_out_and_keeps_the_rest(page: MonitorPage) -> None:
    show(page, desk_of([step(1, loss=10.0), step(2, loss=0.0), step(3, loss=math.nan), step(4, loss=0.1)]))
    page.controls.log_action.trigger()
    QApplication.processEvents()
    _, shown = page.charts.loss._items["raw"].getOriginalDataset()
    assert shown[0] == pytest.approx(1) and np.isnan(shown[1:3]).all() and shown[3] == pytest.approx(-1)
    low, high = page.charts.loss.plot.box.viewRange()[1]
    assert math.isfinite(low) and low < -1 and high > 1


def test_that_by_time_the_axis_is_in_minutes(page: MonitorPage) -> None:
    show(page, desk_of(run(2, 150)))
    page.controls.axes.actions()[1].trigger()
    QApplication.processEvents()
    assert page.charts.loss.data("raw")[0][-1] == 150 + 240 + 150
    assert page.charts.rank.plot.position.tickStrings([120.0], 1, 1) == ["2 min"]
    assert page.charts.is_following


def test_that_the_state_of_the_page_is_kept(page: MonitorPage, qtbot: QtBot) -> None:
    page.restore({"smoothing": "0.6", "axis": "time", "log": True, "table": True})
    assert page.state() == {"smoothing": "0.6", "axis": "time", "log": True, "table": True}
    page.restore({"smoothing": "7", "axis": 3, "log": "false", "table": None})
    assert page.state() == {"smoothing": "0.6", "axis": "time", "log": True, "table": True}
    assert page.controls.log_action.isChecked() and page.shows_table


# -- table and files


def test_that_the_table_holds_what_the_charts_show(page: MonitorPage) -> None:
    desk = desk_of([*run(2, 30), standing(2)])
    show(page, desk)
    loss = page.charts.loss.data("raw")[1].tolist()
    drift = page.charts.drift.data("model")[1].tolist()
    page.controls.table_action.trigger()
    model = page.table.curves_model
    assert page.table.isVisible() and not page.charts.isVisible()
    shown = model.column("training_loss")
    assert shown[np.isfinite(shown)].tolist() == loss
    shown = model.column("drift_model")
    assert shown[np.isfinite(shown)].tolist() == drift
    first = [model.headerData(c, Qt.Orientation.Horizontal) for c in range(model.columnCount())]
    assert len(set(first)) == len(FIELDS) + 1
    unseen = {first[c] for c in range(model.columnCount()) if page.table.isColumnHidden(c)}
    shown = [name for name in first if name not in unseen]
    assert "Score" in shown and not any(name.endswith("F1") for name in shown), "there is one task"
    assert {"Semantic drift", "Combined drift"} <= unseen


def test_that_each_of_several_tasks_has_its_own_column(page: MonitorPage) -> None:
    told = scored(1, "after", 5)
    codes = TaskScores(strict={"code": Counts(tp=1, fp=3)})
    both = Scores(tasks={**told.scores.tasks, "codes": codes})
    page.controls.table_action.trigger()
    show(page, desk_of([*run(1, 5), told.model_copy(update={"scores": both})]))
    model = page.table.curves_model
    names = [model.headerData(c, Qt.Orientation.Horizontal) for c in range(model.columnCount())]
    shown = {name: c for c, name in enumerate(names) if not page.table.isColumnHidden(c)}
    assert "Score" not in shown, "a mean over tasks"
    last = model.rowCount() - 1
    words = [model.index(last, shown[name]).data() for name in ("Entities F1", "ICD-10 codes F1")]
    assert words == [f"{both['entities'].headline:.3f}", f"{codes.headline:.3f}"]


def test_that_the_table_is_a_sound_model_and_keeps_the_place_when_rows_come(
    page: MonitorPage, qtmodeltester: object
) -> None:
    desk = desk_of(run(1, 30, last_step=20))
    page.controls.table_action.trigger()
    show(page, desk)
    qtmodeltester.check(page.table.curves_model)  # type: ignore[attr-defined]
    page.table.selectRow(3)
    desk.fold([step(21, 1, 30)])
    page._table_shown = 0.0
    show(page, desk)
    assert page.table.curves_model.rowCount() == 22
    assert [index.row() for index in page.table.selectionModel().selectedRows()] == [3]


def dialog_of(page: MonitorPage) -> QFileDialog:
    dialogs = [dialog for dialog in page.findChildren(QFileDialog) if dialog.isVisible()]
    assert len(dialogs) == 1
    return dialogs[0]


def test_that_numbers_are_saved_as_csv(page: MonitorPage, tmp_path: Path, qtbot: QtBot) -> None:
    desk = desk_of([*run(1, 30), standing(1)])
    show(page, desk)
    page.controls.numbers_action.trigger()
    dialog = dialog_of(page)
    dialog.setDirectory(str(tmp_path))
    dialog.selectFile("run")
    dialog.accept()
    qtbot.waitUntil(lambda: "run.csv" in page.banner.text())
    with (tmp_path / "run.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["training_loss"]) for row in rows if row["training_loss"]] == page.charts.loss.data("raw")[
        1
    ].tolist()
    assert "selection" not in page.banner.text(), "every step is in it"


def test_that_a_long_run_is_written_off_the_screens_thread_and_says_what_was_left_out(
    page: MonitorPage, tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []

    def seen(table: Table, path: Path) -> None:
        threads.append(threading.current_thread())
        write_csv(table, path)

    monkeypatch.setattr("fedmed_desktop.desktop.monitor.page.write_csv", seen)
    show(page, desk_of([*run(1, 1000), step(1, 2)]))
    page._on_numbers_named(str(tmp_path / "run.csv"))
    qtbot.waitUntil(lambda: "evenly spaced steps" in page.banner.text())
    assert threads and threads[0] is not threading.main_thread()


def test_that_the_table_is_made_anew_only_where_something_has_changed(
    page: MonitorPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    told = lambda curves: (made.append(curves.version), table_of(curves))[1]  # noqa: E731
    monkeypatch.setattr("fedmed_desktop.desktop.monitor.page.table_of", told)
    monkeypatch.setattr("fedmed_desktop.desktop.monitor.page.TABLE_EVERY_S", 0.0)
    desk = desk_of(run(1, 5))
    show(page, desk)
    page.controls.table_action.trigger()
    for _ in range(5):
        page.show_desk(desk)
    assert len(made) == 1
    desk.fold([step(6)])
    page.show_desk(desk)
    assert len(made) == 2 and page.table.curves_model.rowCount() > 5
    page.show_desk(desk_of(run(1, 3)))
    assert len(made) == 3, "another session"


def test_that_the_charts_are_saved_as_a_picture(page: MonitorPage, tmp_path: Path, qtbot: QtBot) -> None:
    show(page, desk_of([*run(2, 30), standing(2)]))
    width = page.charts.width()
    page.controls.picture_action.trigger()
    dialog = dialog_of(page)
    dialog.fileSelected.emit(str(tmp_path / "run.png"))
    dialog.reject()
    qtbot.waitUntil(lambda: "run.png" in page.banner.text())
    image = QImage(str(tmp_path / "run.png"))
    assert image.width() == 2 * width
    colors = {image.pixel(x, y) for x in range(0, image.width(), 7) for y in range(0, image.height(), 7)}
    assert len(colors) > 4


@pytest.mark.parametrize("action", ["picture_action", "numbers_action"])
def test_that_a_file_that_cannot_be_written_is_a_sentence(
    page: MonitorPage, tmp_path: Path, action: str, qtbot: QtBot
) -> None:
    show(page, desk_of(run(1, 5)))
    getattr(page.controls, action).trigger()
    dialog = dialog_of(page)
    dialog.fileSelected.emit(str(tmp_path / "missing" / "run"))
    dialog.reject()
    qtbot.waitUntil(page.banner.isVisible)
    assert "could not be saved" in page.banner.text() and "Choose another folder" in page.banner.text()
    page.banner.button.click()
    assert not page.banner.isVisible()


# -- for everybody


def test_that_every_control_has_a_name_and_is_reached_by_keyboard(page: MonitorPage) -> None:
    show(page, desk_of([*run(2, 30), standing(2)]))
    reached: set[QWidget] = set()
    widget: QWidget | None = page.controls.smoothing
    for _ in range(200):
        widget = widget.nextInFocusChain() if widget else None
        if widget is None or widget.focusProxy():
            continue
        policy = widget.focusPolicy()
        if policy & Qt.FocusPolicy.TabFocus and widget.isVisible() and page.isAncestorOf(widget):
            name = widget.accessibleName() or (widget.text() if isinstance(widget, QAbstractButton) else "")
            assert name, f"{type(widget).__name__} has no name"
            reached.add(widget)
    wanted = {
        page.controls.view,
        page.controls.follow,
        page.controls.export,
        *(chart.plot for chart in page.charts.charts),
    }
    assert wanted <= reached


def test_that_charts_say_where_they_stand_but_not_at_each_step(qtbot: QtBot) -> None:
    now = [100.0]
    chart = Chart("Loss", {"raw": Line("training", "series_1")}, clock=lambda: now[0])
    qtbot.addWidget(chart)
    told = []
    for second in range(25):
        now[0] = 100.0 + second
        chart.describe(f"step {second}")
        told.append(chart.plot.accessibleDescription())
    assert list(dict.fromkeys(told)) == ["step 0", "step 10", "step 20"]
    assert chart.plot.accessibleName() == "Loss chart"


def test_that_the_description_tells_step_value_and_trend(page: MonitorPage) -> None:
    show(page, desk_of(run(1, 150, last_step=81)))
    said = page.charts.loss.plot.accessibleDescription()
    assert said.startswith(f"Training loss, round 1 step 81, {step(81).loss:.2f}, falling")


def test_that_three_charts_are_seen_at_once_at_1280_by_720(page: MonitorPage, look: Appearance) -> None:
    show(page, desk_of([*run(3, 150, last_step=112), standing(2)]))
    QApplication.processEvents()
    assert page.verticalScrollBar().maximum() == 0
    assert all(chart.plot.height() >= 84 for chart in page.charts.charts)


def test_that_at_twice_the_text_size_the_page_scrolls_down_and_never_sideways(
    page: MonitorPage, look: Appearance, qtbot: QtBot
) -> None:
    show(page, desk_of([*run(3, 150, last_step=112), standing(2)]))
    look.set_text_scale(2.0)
    page.resize(928, 540)
    QApplication.processEvents()
    qtbot.waitUntil(lambda: page.verticalScrollBar().maximum() > 0)
    assert page.column.width() <= page.viewport().width()
    right = page.controls.export.mapTo(page, QPoint(page.controls.export.width(), 0)).x()
    assert right <= page.viewport().width()


def test_that_a_change_of_theme_reaches_the_lines(page: MonitorPage, look: Appearance) -> None:
    show(page, desk_of(run(1, 30)))
    before = page.charts.loss._items["smoothed"].opts["pen"].color().name()
    look.choose("dark")
    after = page.charts.loss._items["smoothed"].opts["pen"].color().name()
    assert before != after and after.upper() == look.theme.tokens["series_1"]


def test_that_an_axis_without_rounds_has_no_labels(look: Appearance) -> None:
    """As for a moment when a new session begins while the charts are in sight."""
    axis = RoundAxis(is_labelled=True)
    axis.restyle()
    bounds = QRectF(0, 0, 400, 20)
    assert axis._labels(bounds, []) == []
    axis.show_marks(((0.0, "Round 1"), (150.0, "Round 2")))
    assert [label for _, _, label in axis._labels(bounds, [0.0, 200.0])] == ["Round 1", "Round 2"]
