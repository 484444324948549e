# SPDX-License-Identifier: Apache-2.0
"""Reading the Monitor: a chart tells only what was measured, where it was; nothing is drawn that means nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from fedmed_desktop.desktop.charts.legend import Line
from fedmed_desktop.desktop.look.theme import Appearance, active
from fedmed_desktop.desktop.look.tokens import contrast
from fedmed_desktop.desktop.monitor.layer_map import shades
from fedmed_desktop.desktop.monitor.page import MonitorPage
from fedmed_desktop.desktop.work.desk import Desk
from fedmed_desktop.desktop.work.news import Item, SessionStarted
from fedmed_desktop.federation.evidence import ModuleChange
from fedmed_desktop.federation.methods import AdaptiveFedLora, AnyMethod, FedAvg, SaFedLora
from fedmed_desktop.federation.spec import ShareSettings
from fedmed_desktop.federation.work import Entry
from tests.parts.federation import small_spec
from tests.parts.monitor import SITE, entry, record, run, standing


def desk_of(told: Sequence[Item]) -> Desk:
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
    assert page.cards._scores_name.text().startswith("Found correctly, of 100")
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


# -- why the rank changed, and which layers did ------------------------------------------------------------------------


def ranked(method: AnyMethod, drift: float | None = 0.67, rank: int = 16) -> list[Item]:
    """Two rounds, the second at another rank than the first, of which this combined drift is known."""
    told = standing(2, ranks=(8, rank))
    first = told.history[0].model_copy(update={"combined_drift": drift})
    news = told.model_copy(update={"history": (first, *told.history[1:])})
    return [record(spec=small_spec(method=method, share=ShareSettings(histogram="types"))), *run(2, 150), news]


@pytest.mark.parametrize(
    ("method", "drift", "rank", "note"),
    [
        (AdaptiveFedLora(), 0.67, 16, "raised in round 2: 8 to 16, as combined drift was 0.67, above 0.6"),
        (AdaptiveFedLora(), 0.21, 4, "lowered in round 2: 8 to 4, as combined drift was 0.21, below 0.3"),
        (AdaptiveFedLora(), None, 16, "raised in round 2: 8 to 16"),
        (AdaptiveFedLora(rule="continuous"), 0.67, 16, "raised in round 2: 8 to 16, as combined drift was 0.67"),
        (SaFedLora(), None, 4, "lowered in round 2: 8 to 4, as the method plans"),
        (FedAvg(), None, 4, "lowered in round 2: 8 to 4"),
    ],
)
def test_that_a_change_of_rank_is_marked_and_told_with_its_reason(
    page: MonitorPage, method: AnyMethod, drift: float | None, rank: int, note: str
) -> None:
    show(page, desk_of(ranked(method, drift, rank)))
    chart = page.charts.rank
    assert chart.legend.text().endswith(note)
    assert [values.tolist() for values in chart.data("changed")] == [[150], [rank]]


def test_that_the_methods_thresholds_are_drawn_in_sight(page: MonitorPage) -> None:
    show(page, desk_of(ranked(AdaptiveFedLora(), 0.2)))
    drift = page.charts.drift
    assert "thresholds 0.3, 0.6" in drift.legend.text()
    low, high = drift.plot.box.viewRange()[1]
    assert low <= 0.3 and high >= 0.6
    assert [line.isVisible() for line in drift._levels] == [True, True]


def layered(number: int, *norms: float) -> Entry:
    """An update whose layers changed by these norms, with two modules each."""
    made = entry(number)
    half = 0.5**0.5
    modules = {
        f"model.layers.{layer}.{part}": ModuleChange(norm=norm * half, rank=8)
        for layer, norm in enumerate(norms)
        for part in ("self_attn.q_proj", "mlp.up_proj")
    }
    return replace(made, evidence=made.evidence.model_copy(update={"modules": modules}))


def test_that_layers_are_a_map_by_round_with_a_gap_where_this_site_did_not_train(page: MonitorPage) -> None:
    desk = desk_of([record(layered(1, 1.0, 2.0, 0.5), layered(3, 2.0, 4.0, 1.0)), *run(3, 150)])
    show(page, desk)
    found = page.layers
    assert found.isVisible() and (found.names, found.rounds) == ([1, 2, 3], [1, 2, 3])
    assert found.cells[:, 0] == pytest.approx([1.0, 2.0, 0.5]) and found.cells[:, 2] == pytest.approx([2.0, 4.0, 1.0])
    assert np.isnan(found.cells[:, 1]).all()
    picture = found._image.image
    assert picture.shape == (3, 3, 4) and (picture[:, 1, 3] == 0).all() and (picture[:, 0, 3] == 255).all()
    assert picture[1, 2].tolist() == shades()[255].tolist(), "the largest change has the full colour"
    assert picture[0, 0].tolist() == shades()[64].tolist(), "a quarter of it is a quarter of the way"
    assert found.sentence.text() == (
        "Round 3. Half of the change is in 1 of 3 layers, layer 2. "
        "The whole change is 2.0 times as large as in round 1."
    )


def test_that_a_cell_is_read_by_pointer_and_keys_and_all_stand_in_a_table(page: MonitorPage, qtbot: QtBot) -> None:
    show(page, desk_of([record(layered(1, 1.0, 2.0), layered(3, 2.0, 4.0)), *run(3, 150)]))
    found = page.layers
    found.view.point_at(3.1, 1.8)
    assert found.read.text() == "round 3, layer 2: 4.00"
    found.view.point_at(2.0, 1.0)
    assert found.read.text() == "round 2, layer 1: not trained"
    found.view.point_at(float("nan"), float("nan"))
    assert found.read.text() == ""
    for key in (*[Qt.Key.Key_Left] * 3, Qt.Key.Key_Down, Qt.Key.Key_Down):
        qtbot.keyClick(found.view, key)
    assert found.read.text() == "round 1, layer 1: 1.00"
    qtbot.mouseClick(found.as_table, Qt.MouseButton.LeftButton)
    model = found.table.model()
    assert found.table.isVisible() and not found.view.isVisible()
    assert [[model.index(r, c).data() for c in range(4)] for r in range(2)] == [
        ["1", "1.00", "–", "2.00"], ["2", "2.00", "–", "4.00"],
    ]  # fmt: skip


def test_that_a_cell_tells_its_modules_ranks_where_they_are_not_all_alike(page: MonitorPage) -> None:
    made = layered(1, 1.0, 2.0)
    ranks = dict(zip(made.evidence.modules, (2, 9, 5, 5), strict=True))
    modules = {name: one.model_copy(update={"rank": ranks[name]}) for name, one in made.evidence.modules.items()}
    made = replace(made, evidence=made.evidence.model_copy(update={"modules": modules}))
    show(page, desk_of([record(made), *run(1, 150)]))
    page.layers.view.point_at(1.0, 1.0)
    assert page.layers.read.text() == "round 1, layer 1: 1.00, rank 2–9"
    page.layers.view.point_at(1.0, 2.0)
    assert page.layers.read.text() == "round 1, layer 2: 2.00, rank 5"


def test_that_the_map_has_its_place_before_the_first_update_so_that_nothing_moves_when_that_comes(
    page: MonitorPage,
) -> None:
    show(page, desk_of(run(1, 150)))
    before = page.layers.geometry(), page.charts.geometry()
    assert "Once a round's training is done" in page.layers.sentence.text() and page.layers.as_table.isHidden()
    show(page, desk_of([record(layered(1, 1.0, 2.0)), *run(1, 150)]))
    assert page.layers.isVisible() and page.layers.as_table.isVisible()
    assert (page.layers.geometry(), page.charts.geometry()) == before


def test_that_a_record_of_earlier_versions_has_no_map(page: MonitorPage) -> None:
    show(page, desk_of([record(entry(1)), *run(2, 150)]))
    assert page.charts.isVisible() and page.layers.isHidden()


def test_that_the_map_takes_the_colours_of_the_theme(page: MonitorPage, look: Appearance) -> None:
    show(page, desk_of([record(layered(1, 1.0, 2.0)), *run(1, 150)]))
    before = page.layers._image.image.copy()
    look.choose("dark")
    QApplication.processEvents()
    assert (page.layers._image.image != before).any()
