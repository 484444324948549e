# SPDX-License-Identifier: Apache-2.0
"""Opening an experiment: from the menu, over a running session and back, and what a person can do with its page."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QFileDialog
from pytestqt.qtbot import QtBot

from fedmed_desktop.desktop.experiment import page as page_module
from fedmed_desktop.desktop.experiment.charts import ExperimentCharts, looks
from fedmed_desktop.desktop.experiment.comparison import Experiment
from fedmed_desktop.desktop.experiment.files import open_experiment
from fedmed_desktop.desktop.experiment.page import ExperimentPage
from fedmed_desktop.desktop.frame.window import Window
from fedmed_desktop.desktop.look.theme import Appearance
from tests.parts.results import METHODS, ROUNDS, write_experiment
from tests.ui.scenes import Stage, scenes, settle, shown

LIVE = next(scene for scene in scenes() if scene.name == "monitor-live")
NOBODY = next(scene for scene in scenes() if scene.name == "monitor-not-joined")
NAMES = list(METHODS)


@pytest.fixture
def live(look: Appearance, tmp_path: Path, qtbot: QtBot) -> Iterator[Stage]:
    """A site that trains, on its Monitor."""
    with shown(LIVE, tmp_path, (1280, 720)) as stage:
        yield stage


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_experiment(tmp_path / "experiment", sites=(2, 3), seeds=2)


@pytest.fixture
def page(look: Appearance, qtbot: QtBot, folder: Path) -> ExperimentPage:
    page = ExperimentPage()
    qtbot.addWidget(page)
    page.resize(1104, 628)
    page.show_experiment(open_experiment(folder))
    page.show()
    settle(page)
    return page


def choose(window: Window, folder: Path, qtbot: QtBot) -> None:
    """As a person does in the folder dialog."""
    dialog = window.experiment.dialog
    assert isinstance(dialog, QFileDialog) and dialog.isVisible()
    dialog.fileSelected.emit(str(folder))
    dialog.reject()


# -- opening and going back


def test_that_the_menu_opens_a_folder_and_the_monitor_comes_back(live: Stage, folder: Path, qtbot: QtBot) -> None:
    window = live.window
    window.go("rounds")
    action = next(a for a in window.menu.widget.actions() if a.text() == "Open experiment…")
    assert action.shortcut().toString() == "Ctrl+O"
    action.trigger()
    choose(window, folder, qtbot)
    qtbot.waitUntil(lambda: window.page == "monitor" and window.experiment.isVisible())
    assert window.experiment.heading.text() == "Experiment: adaptive" and not window.monitor.isVisible()
    window.experiment.back.click()
    settle(window)
    assert window.monitor.isVisible() and not window.experiment.isVisible() and window.page == "monitor"
    assert window.monitor.charts.loss.has_data, "the session's curves are there"


def test_that_what_is_open_stays_behind_other_pages(live: Stage, folder: Path, qtbot: QtBot) -> None:
    window = live.window
    window.experiment.open(str(folder))
    qtbot.waitUntil(window.experiment.isVisible)
    window.go("approvals")
    assert not window.experiment.isVisible()
    window.go("monitor")
    assert window.experiment.isVisible()
    window.show_now()  # as the pump does ten times a second


def test_that_the_monitor_offers_it_with_and_without_a_session(
    look: Appearance, live: Stage, tmp_path: Path, qtbot: QtBot
) -> None:
    live.window.monitor.controls.experiment_action.trigger()
    assert live.window.experiment.dialog is not None and live.window.experiment.dialog.isVisible()
    live.window.experiment.dialog.reject()
    with shown(NOBODY, tmp_path, (1280, 720)) as stage:
        (button,) = stage.window.monitor.empty.buttons
        assert button.text() == "Open experiment…" and button.isVisible()
        QTest.keyClick(button, Qt.Key.Key_Return)
        assert stage.window.experiment.dialog is not None and stage.window.experiment.dialog.isVisible()
        stage.window.experiment.dialog.reject()


def test_that_a_folder_that_is_none_is_a_sentence_and_nothing_is_lost(
    live: Stage, folder: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    window = live.window
    (tmp_path / "empty").mkdir()
    window.experiment.open(str(tmp_path / "empty"))
    qtbot.waitUntil(window._said.isVisible)
    assert "contains no experiment" in window._said.text() and "--lab" in window._said.text()
    assert window.monitor.isVisible()
    window._said.button.click()
    window.experiment.open(str(folder))
    qtbot.waitUntil(window.experiment.isVisible)
    before = window.experiment.experiment
    (folder / "cells.jsonl").write_bytes(b"{}\n")
    window.experiment.open(str(folder))
    qtbot.waitUntil(window._said.isVisible)
    assert "damaged in line 1" in window._said.text()
    assert window.experiment.experiment is before and window.experiment.isVisible() and window.experiment.charts


def test_that_a_folder_is_read_off_the_screens_thread(
    page: ExperimentPage, folder: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []

    def read(path: Path) -> Experiment:
        threads.append(threading.current_thread())
        return open_experiment(path)

    monkeypatch.setattr(page_module, "open_experiment", read)
    with qtbot.waitSignal(page.opened):
        page.open(str(folder))
    assert threads and threads[0] is not threading.main_thread()


# -- the page


def test_that_settings_change_the_table_and_the_charts(page: ExperimentPage, folder: Path, qtbot: QtBot) -> None:
    first = page.table.model().index(0, 1).data()
    assert page.setting.text() == "2 sites" and [a.text() for a in page._settings.actions()] == ["2 sites", "3 sites"]
    page._settings.actions()[1].trigger()
    settle(page)
    assert page.setting.text() == "3 sites" and page.table.model().index(0, 1).data() != first
    assert page.charts is not None and page.charts.isVisible()
    sheet = open_experiment(folder).sheets[1]
    assert page.charts.by_round[0].data("fedavg")[1].tolist() == sheet.loss[0].y.tolist()
    qtbot.waitUntil(lambda: len(page.findChildren(ExperimentCharts)) == 1)  # those of the other setting are gone


def test_that_a_chosen_method_stands_out_in_every_chart_until_escape(page: ExperimentPage) -> None:
    assert page.charts is not None and page.chosen == ""
    page.table.selectRow(NAMES.index("scaffold"))
    assert page.chosen == "scaffold" and page.hint.text().startswith("scaffold stands out") and page.alike.isVisible()
    for chart in page.charts.charts:
        lines = chart._lines
        assert lines["scaffold"].width > 2 and not lines["scaffold"].is_faint and lines["fedavg"].is_faint
        low, mean, high = (chart.data(key)[1] for key in ("low scaffold", "scaffold", "high scaffold"))
        assert (low <= mean).all() and (mean <= high).all()
        assert np.isnan(chart.data("low fedavg")[1]).all()
    page._settings.actions()[1].trigger()
    assert page.chosen == "scaffold", "also in another setting"
    QTest.keyClick(page.table, Qt.Key.Key_Escape)
    assert page.chosen == "" and not page.alike.isVisible()
    assert not any(line.is_faint for chart in page.charts.charts for line in chart._lines.values())


def test_that_of_one_seed_no_deviation_is_promised(page: ExperimentPage, tmp_path: Path) -> None:
    page.show_experiment(open_experiment(write_experiment(tmp_path / "one", sites=(2,), seeds=1)))
    page.table.selectRow(0)
    assert page.hint.text() == "fedavg stands out." and "±" not in page.remarks.text()


def test_that_coming_to_the_table_by_keyboard_chooses_nothing_and_arrows_do(page: ExperimentPage) -> None:
    page.activateWindow()
    page.back.setFocus()
    page.table.setFocus(Qt.FocusReason.TabFocusReason)
    assert page.chosen == ""
    QTest.keyClick(page.table, Qt.Key.Key_Down)
    assert page.chosen in NAMES


def test_that_charts_by_round_have_one_axis_and_read_whole_rounds(page: ExperimentPage) -> None:
    assert page.charts is not None
    loss, drift, rank = page.charts.by_round
    assert loss.span() == drift.span() == rank.span() and loss.span()[0] < 0 < ROUNDS < loss.span()[1]
    loss.show_span(2.0, 5.0)
    assert drift.span() == rank.span() == (2.0, 5.0)
    rank.plot.home_asked.emit()
    assert loss.span()[1] > ROUNDS and page.charts.by_bytes[0].span()[1] > 10
    drift.pointed.emit(2.9)
    assert "round 3" in loss.legend.text() and "round" not in drift.legend.text()
    assert loss.legend._values is not None and loss.legend._values["fedavg"] == f"{loss.data('fedavg')[1][3]:.2f}"
    drift.pointed.emit(float("nan"))
    assert "round 3" not in loss.legend.text()


def test_that_the_end_of_each_line_is_told_to_a_screen_reader(page: ExperimentPage) -> None:
    assert page.charts is not None
    said = page.charts.by_round[0].plot.accessibleDescription()
    assert said.startswith("Last values: fedavg 1.") and "centralised" in said


def test_that_methods_can_be_told_apart(tmp_path: Path) -> None:
    (sheet,) = open_experiment(write_experiment(tmp_path / "one", sites=(2,), seeds=1)).sheets
    found = looks(sheet)
    assert len({(line.color, line.dash, line.marker) for line in found.values()}) == len(sheet.labels)


def test_that_values_fill_the_height_of_a_chart_and_rank_begins_at_zero(page: ExperimentPage) -> None:
    assert page.charts is not None
    loss, _, rank = page.charts.by_round
    values = np.concatenate([course.y for course in page.experiment.sheets[0].loss])  # type: ignore[union-attr]
    low, high = loss.plot.box.viewRange()[1]
    assert low == pytest.approx(values.min(), abs=0.15 * np.ptp(values)) and low <= values.min() <= values.max() <= high
    assert rank.plot.box.viewRange()[1][0] == 0


def test_that_every_control_has_a_name_and_is_reached_by_tab(page: ExperimentPage) -> None:
    page.table.selectRow(0)
    settle(page)
    page.activateWindow()
    page.setting.setFocus()
    stops = []
    for _ in range(20):
        now = QApplication.focusWidget()
        if now is None or now in stops:
            break
        stops.append(now)
        QTest.keyClick(now, Qt.Key.Key_Tab)
    assert page.charts is not None
    wanted = {page.setting, page.another, page.back, page.table, page.alike, *(c.plot for c in page.charts.charts)}
    assert wanted <= set(stops)
    assert all(w.accessibleName() or (isinstance(w, QAbstractButton) and w.text()) for w in wanted)


def test_that_at_twice_the_text_size_it_scrolls_down_only(page: ExperimentPage, look: Appearance) -> None:
    look.set_text_scale(2.0)
    page.resize(928, 540)
    settle(page)
    assert page.verticalScrollBar().maximum() > 0 and page.column.width() <= page.viewport().width()
    right = page.back.mapTo(page, QPoint(page.back.width(), 0)).x()
    assert right <= page.viewport().width()


def test_that_themes_reach_the_lines(page: ExperimentPage, look: Appearance) -> None:
    assert page.charts is not None
    chart = page.charts.by_round[0]
    before = chart._items["fedavg"].opts["pen"].color().name()
    for theme in ("dark", "contrast"):
        look.choose(theme)  # type: ignore[arg-type]
        after = chart._items["fedavg"].opts["pen"].color().name()
        assert after != before and after.upper() == look.theme.tokens["series_1"]


def test_that_an_experiment_without_results_says_so(page: ExperimentPage, tmp_path: Path) -> None:
    page.show_experiment(open_experiment(write_experiment(tmp_path / "begun", sites=(), missing=4)))
    settle(page)
    assert page.empty.isVisible() and not page.table.isVisible() and page.charts is None
    assert "4 of 4 cells have not run yet" in page.lacks.text()
    page.show_experiment(open_experiment(write_experiment(tmp_path / "more", sites=(5,), seeds=1)))
    assert page.table.isVisible() and not page.empty.isVisible() and not page.setting.isVisible()
