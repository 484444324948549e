# SPDX-License-Identifier: Apache-2.0
"""Reading the Monitor: a chart tells only what was measured, where it was; nothing is drawn that means nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from fedmed_desktop.desktop.charts.legend import Line
from fedmed_desktop.desktop.look.theme import Appearance, active
from fedmed_desktop.desktop.look.tokens import contrast
from fedmed_desktop.desktop.monitor.page import MonitorPage
from fedmed_desktop.desktop.work.desk import Desk
from fedmed_desktop.desktop.work.news import SessionStarted
from fedmed_desktop.events import Event
from tests.parts.monitor import SITE, run, standing


def desk_of(told: list[Event]) -> Desk:
    desk = Desk()
    desk.fold([SessionStarted("site", SITE, "ws://127.0.0.1:1", (SITE,), Path("n"), Path("m")), *told])
    return desk


@pytest.fixture
def page(qtbot: QtBot, qapp: QApplication) -> MonitorPage:
    page = MonitorPage()
    page.resize(1100, 620)
    qtbot.addWidget(page)
    with qtbot.waitExposed(page):
        page.show()
    return page


@pytest.fixture
def look(qapp: QApplication) -> Iterator[Appearance]:
    made = Appearance(qapp, "light")
    yield made
    made.choose("light")
    made.set_text_scale(1.0)
    made.setParent(None)
    made.deleteLater()


def show(page: MonitorPage, desk: Desk) -> None:
    page.show_desk(desk)
    for _ in range(5):
        QApplication.processEvents()


def test_that_the_question_mark_stands_right_behind_the_verdict(page: MonitorPage, look: Appearance) -> None:
    """And below the last of its lines' width where large text breaks it."""
    show(page, desk_of(run(2, 150)))
    for scale in (1.0, 2.0):
        look.set_text_scale(scale)
        show(page, desk_of(run(2, 150)))
        words, mark = page.verdict._words, page.explain
        assert words.isVisible() and mark.isVisible()
        gap = mark.mapTo(page, QPoint()).x() - words.mapTo(page, QPoint(words.width(), 0)).x()
        assert 0 <= gap <= 40 * scale
        assert words.height() >= words.heightForWidth(words.width()) - 1


def test_that_the_scores_are_of_100_and_name_no_measure(page: MonitorPage) -> None:
    show(page, desk_of(run(2, 150)))
    assert page.cards._scores_name.text().startswith("Found correctly, of 100, round")
    assert all(value.replace(" → ", "").isdigit() for value in page.cards.scores.values())


def test_that_validation_is_told_with_the_step_that_it_is_of(page: MonitorPage) -> None:
    show(page, desk_of(run(2, 150)))
    loss = page.charts.loss
    page.charts._on_pointed(59.0)
    value, _, place = loss.legend._values["validation"].partition(" ")  # type: ignore[index]
    assert place.startswith("(round 1, step") and float(value) == pytest.approx(loss.data("validation")[1][0], abs=0.01)
    assert "(" not in loss.legend._values["training"]  # type: ignore[index]


def test_that_nothing_is_told_before_it_was_measured(page: MonitorPage) -> None:
    show(page, desk_of([*run(2, 150), standing(2)]))
    assert page.charts.drift.values_at(100.0) == {}
    assert set(page.charts.drift.values_at(160.0)) == {"model", "performance"}


def test_that_no_line_runs_through_the_sentence_of_an_empty_chart(page: MonitorPage) -> None:
    show(page, desk_of(run(1, 150, last_step=80)))
    page.charts._on_pointed(40.0)
    assert page.charts.loss._cross.isVisible() and not page.charts.drift._cross.isVisible()


def test_that_an_empty_chart_is_empty(page: MonitorPage, look: Appearance) -> None:
    show(page, desk_of(run(1, 150, last_step=80)))
    chart = page.charts.drift
    assert chart.placeholder.isVisible()
    chart.placeholder.hide()
    picture = chart.plot.grab().toImage()
    card = active().color("card").rgb()
    spots = [(x, y) for x in range(picture.width()) for y in range(picture.height()) if picture.pixel(x, y) != card]
    assert spots == []


def test_that_other_sites_are_named_only_where_their_line_is_seen(page: MonitorPage) -> None:
    show(page, desk_of([*run(2, 20), standing(2, ranks=(16, 16), others=(16, 16))]))
    assert "other sites" not in page.charts.rank.legend.text()
    show(page, desk_of([*run(2, 20), standing(2, ranks=(16, 16), others=(16, 8))]))
    assert "other sites" in page.charts.rank.legend.text()


def test_that_a_number_at_the_end_of_the_axis_is_whole(page: MonitorPage) -> None:
    show(page, desk_of(run(2, 250)))
    axis = page.charts.rank.plot.position
    page.grab()
    from PySide6.QtGui import QImage, QPainter

    image = QImage(10, 10, QImage.Format.Format_ARGB32)
    painter = QPainter(image)
    painter.setFont(axis.style["tickFont"])
    _, _, texts = axis.generateDrawSpecs(painter)
    painter.end()
    assert texts[-1][2] == "500"
    assert max(rect.right() for rect, *_ in texts) <= axis.mapRectFromParent(axis.geometry()).right() + 0.01


def test_that_the_buttons_are_in_one_line_again_after_large_text(page: MonitorPage, look: Appearance) -> None:
    show(page, desk_of(run(2, 20)))
    assert not page.controls.is_stacked()
    look.set_text_scale(2.0)
    page.resize(700, 620)
    show(page, desk_of(run(2, 20)))
    assert page.controls.is_stacked()
    look.set_text_scale(1.0)
    page.resize(1100, 620)
    show(page, desk_of(run(2, 20)))
    assert not page.controls.is_stacked()


def test_that_a_faint_line_is_seen_in_high_contrast(look: Appearance) -> None:
    look.choose("contrast")
    ink = Line("training", "series_1", is_faint=True).ink().name()
    assert contrast(ink, active().tokens["card"]) >= 4.5


def test_that_the_frame_of_the_focus_is_whole(page: MonitorPage, look: Appearance, qtbot: QtBot) -> None:
    show(page, desk_of([*run(2, 20), standing(2)]))
    plot = page.charts.drift.plot
    page.activateWindow()
    plot.setFocus()
    qtbot.waitUntil(plot.hasFocus)
    picture = plot.grab().toImage()
    focus = active().color("focus").rgb()
    middle = QPoint(picture.width() // 2, picture.height() // 2)
    ends = [(middle.x(), 1), (middle.x(), picture.height() - 2), (1, middle.y()), (picture.width() - 2, middle.y())]
    assert [picture.pixel(x, y) == focus for x, y in ends] == [True] * 4


def test_that_saved_is_news_until_the_next_action_or_for_some_seconds(page: MonitorPage, qtbot: QtBot) -> None:
    show(page, desk_of(run(1, 20)))
    page._on_written(Path("monitor.png"))
    assert page.banner.isVisible()
    page.controls.log_action.trigger()
    assert not page.banner.isVisible()
    page._saved_read.setInterval(1)
    page._on_written(Path("monitor.png"))
    qtbot.waitUntil(lambda: not page.banner.isVisible())


def test_that_the_page_says_what_to_look_for(page: MonitorPage) -> None:
    show(page, desk_of(run(1, 20)))
    assert page.verdict.isVisible() and page.verdict.text().startswith("Training ")
    assert "Loss should go down" in page.explain.toolTip()
    assert page.controls.log_action.text() == "Stretch small values (log)"
