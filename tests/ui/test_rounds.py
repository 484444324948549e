# SPDX-License-Identifier: Apache-2.0
"""The Rounds page in every state: what it says, its one button, and that it can be shown ten times a second."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from PySide6.QtCore import QAbstractItemModel, QModelIndex, Qt
from PySide6.QtGui import QIcon
from PySide6.QtTest import QAbstractItemModelTester
from PySide6.QtWidgets import QApplication, QLabel, QPushButton
from pytestqt.qtbot import QtBot

from fedmed_desktop.desktop.look.theme import Appearance
from fedmed_desktop.desktop.rounds.cards import ImprovedCard
from fedmed_desktop.desktop.rounds.improvement import Change, Improved
from fedmed_desktop.desktop.rounds.page import RoundsPage
from fedmed_desktop.desktop.rounds.status import LAST_STEPS, STEPS, State, status
from fedmed_desktop.desktop.widgets import PrimaryButton
from fedmed_desktop.desktop.work.desk import Desk
from tests.parts import desks
from tests.parts.approval import NOW, Counted
from tests.parts.desks import MAKERS, STATES, Story, decided, phase, standing
from tests.parts.federation import small_spec


def page_of(qtbot: QtBot, desk: Desk) -> RoundsPage:
    page = RoundsPage()
    qtbot.addWidget(page)
    page.resize(1100, 700)
    page.show_desk(desk, NOW)
    page.show()
    return page


def texts(page: RoundsPage) -> str:
    return "\n".join(label.text() for label in page.findChildren(QLabel) if label.isVisible())


def rows(model: QAbstractItemModel) -> list[list[str]]:
    return [[model.index(r, c).data() for c in range(model.columnCount())] for r in range(model.rowCount())]


@pytest.mark.parametrize("state", STATES)
def test_that_every_state_shows_its_words_and_at_most_one_primary_button(
    qtbot: QtBot, tmp_path: Path, state: State
) -> None:
    desk = MAKERS[state](tmp_path)
    shown = status(desk, NOW)
    page = page_of(qtbot, desk)
    assert shown.headline in texts(page)
    primary = [button for button in page.findChildren(PrimaryButton) if button.isVisible()]
    assert [button.text() for button in primary] == ([shown.action_label] if shown.action else [])
    if desk.session is not None:
        assert shown.text in texts(page)


def test_that_all_five_deadlines_are_on_one_screen(qtbot: QtBot, tmp_path: Path) -> None:
    page = page_of(qtbot, decided("ask")(tmp_path))
    button = page.session.deadlines
    for _ in range(2):
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        dialog = page.session.deadlines_dialog
        assert dialog is not None and dialog.isVisible()
        found = rows(dialog.model)
        assert len(found) == 5 and found[2][0] == "Train" and found[2][3] != "–"
        dialog.close()
    page.show_desk(MAKERS["connecting"](tmp_path / "other"), NOW)
    assert not button.isVisible(), "before the specification is known there are none"


def test_that_sites_without_progress_are_told_of_below_the_sites(qtbot: QtBot, tmp_path: Path) -> None:
    desk = decided("ask")(tmp_path)
    page = page_of(qtbot, desk)
    assert not page.session.sites.remarks.isVisible()
    desk.fold([standing().model_copy(update={"quiet": 2, "quiet_since": NOW - timedelta(minutes=12)})])
    page.show_desk(desk, NOW)
    assert "2 sites have made no progress for 12 min." in texts(page)
    assert "no progress" in page.session.sites.accessibleName()


def test_that_before_a_session_each_way_in_works_at_once(qtbot: QtBot) -> None:
    page = page_of(qtbot, Desk())
    ways = {
        "Join a federation": page.join_requested,
        "See a demonstration": page.demo_requested,
        "Try a model": page.try_requested,
        "Host a federation": page.host_requested,
    }
    buttons = {button.text(): button for button in page.findChildren(QPushButton) if button.isVisible()}
    assert buttons.keys() == ways.keys()
    for word, signal in ways.items():
        with qtbot.waitSignal(signal, timeout=1000):
            qtbot.mouseClick(buttons[word], Qt.MouseButton.LeftButton)


@pytest.mark.parametrize("state", ["approval", "countdown", "paused", "failed", "finished"])
def test_that_the_button_asks_for_the_next_step_by_mouse_and_key(qtbot: QtBot, tmp_path: Path, state: State) -> None:
    desk = MAKERS[state](tmp_path)
    page = page_of(qtbot, desk)
    button = page.session.status.button
    asked: list[str] = []
    page.action_requested.connect(asked.append)
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.keyClick(button, Qt.Key.Key_Space)
    assert asked == [status(desk, NOW).action] * 2


def test_that_the_card_follows_the_desk(qtbot: QtBot, tmp_path: Path) -> None:
    story = Story(tmp_path)
    page = page_of(qtbot, story.desk)
    entry = story.site.trained(3)
    page.show_desk(story.desk, NOW)
    assert page.session.status.headline.text() == "Ready for your decision"
    story.site.approve(entry)
    page.show_desk(story.desk, NOW)
    assert page.session.status.button.text() == "Take back"
    story.site.release(entry)
    story.tell(phase("uploading"))
    page.show_desk(story.desk, NOW)
    assert page.session.status.button.isHidden()
    story.site.outbox.close()


def test_that_the_head_tells_round_and_times(qtbot: QtBot, tmp_path: Path) -> None:
    page = page_of(qtbot, MAKERS["training"](tmp_path))
    assert page.session.title.text() == "Round 3 of 10"
    assert "closes" in page.session.caption.text() and page.session.caption.text().endswith("in 1 h 12 min")
    page.show_desk(MAKERS["gathering"](tmp_path / "g"), NOW)
    assert page.session.title.text() == "Riverside federation" and page.session.caption.isHidden()


def test_that_the_stepper_is_that_of_the_round_or_of_the_scores_after_it(qtbot: QtBot, tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.tell(phase("training"))
    page = page_of(qtbot, story.desk)
    steppers = page.session.steppers
    assert steppers[STEPS].isVisible() and steppers[LAST_STEPS].isHidden()
    assert steppers[STEPS].accessibleDescription() == "Step 2 of 5: Train"
    story.tell(standing("evaluating", number=10), phase("evaluating", 10))
    page.show_desk(story.desk, NOW)
    assert steppers[STEPS].isHidden()
    assert steppers[LAST_STEPS].accessibleDescription() == "Step 2 of 5: Score"
    story.site.outbox.close()


def test_that_what_has_improved_is_told_with_its_difference(qtbot: QtBot, tmp_path: Path) -> None:
    page = page_of(qtbot, decided("ask")(tmp_path))
    card = page.session.improved
    assert card.rows() == [
        "Drug: from 61 to 74, +13",
        "Problem: from 55 to 66, +11",
        "Combined model on notes of the 4 sites that sent, since round 1: from 26 to 32, +6",
    ]
    page.show_desk(MAKERS["gathering"](tmp_path / "g"), NOW)
    assert card.rows() == [] and "Not known yet" in texts(page)


def test_that_one_number_leads_and_the_others_wait_behind_a_link(qtbot: QtBot, tmp_path: Path) -> None:
    page = page_of(qtbot, decided("ask")(tmp_path))
    card = page.session.improved
    assert card.verdict.text().startswith(("Better on your notes", "Perhaps better on your notes"))
    said = card.text.text()
    assert "of 100 found correctly; " in said and " before. " in said and "in round 3." in said
    assert not any(row.isVisibleTo(page) for row in card._rows)
    card.details.click()
    assert all(row.isVisibleTo(page) for row in card._rows)


@pytest.mark.parametrize(("more", "words"), [(1, "1 more type is in Monitor."), (3, "3 more types are in Monitor.")])
def test_that_types_beyond_the_card_are_counted_in_words(qtbot: QtBot, more: int, words: str) -> None:
    card = ImprovedCard()
    qtbot.addWidget(card)
    card.show_improved(Improved(2, (Change("Drug", 0.1, 0.2),), (), more), None)
    assert words in card._more.text()


def test_that_the_sites_are_told_in_one_line(qtbot: QtBot, tmp_path: Path) -> None:
    page = page_of(qtbot, decided("ask")(tmp_path))
    assert page.session.sites.text() == "4 sites take part · 2 have sent · 1 waits for approval (you) · 1 is training"
    page.show_desk(MAKERS["preparing"](tmp_path / "p"), NOW)
    assert page.session.sites.isHidden()


def test_that_earlier_rounds_are_a_table_from_the_record_newest_first(qtbot: QtBot, tmp_path: Path) -> None:
    desk = decided("keep")(tmp_path)
    page = page_of(qtbot, desk)
    model = page.session.past_model
    QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.Fatal)
    assert [row[:4] for row in rows(model)] == [
        ["3", "Kept on site", "ada", "58 → 70 of 100"],
        ["2", "Sent", "ada", "40 → 55 of 100"],
        ["1", "Sent", "ada", "30 → 45 of 100"],
    ]
    assert isinstance(model.index(0, 1).data(Qt.ItemDataRole.DecorationRole), QIcon)
    assert model.index(0, 1).data(Qt.ItemDataRole.AccessibleTextRole) == "Your part: Kept on site"
    assert model.rowCount(model.index(0, 0)) == 0 and model.data(QModelIndex()) is None
    restarted = Desk(session=desk.session, record=desk.record)
    again = page_of(qtbot, restarted)
    assert rows(again.session.past_model) == rows(model)


def test_that_a_chosen_row_stays_chosen_while_nothing_changes(qtbot: QtBot, tmp_path: Path) -> None:
    desk = decided("keep")(tmp_path)
    page = page_of(qtbot, desk)
    page.session.past_table.selectRow(1)
    for _ in range(3):
        page.show_desk(desk, NOW)
    assert [index.row() for index in page.session.past_table.selectionModel().selectedRows()] == [1]


def test_that_a_finished_demonstration_shows_what_it_came_to(qtbot: QtBot, tmp_path: Path) -> None:
    page = page_of(qtbot, desks.finished_demo(tmp_path))
    model = page.session.scores_model
    assert model.headings == ("Model", "All sites", "Hillcrest", "Lakeview", "Riverside")
    assert rows(model)[-1] == ["Federation", "46.0", "41.7", "45.0", "49.1"]
    assert page.session.scores.isVisible() and "It took 6 min" in texts(page)
    with qtbot.waitSignals([page.join_requested, page.demo_requested], timeout=1000):
        qtbot.mouseClick(page.session.join, Qt.MouseButton.LeftButton)
        qtbot.mouseClick(page.session.demo, Qt.MouseButton.LeftButton)


def test_that_other_ways_are_offered_only_once_a_session_is_over(qtbot: QtBot, tmp_path: Path) -> None:
    page = page_of(qtbot, MAKERS["training"](tmp_path))
    assert not page.session.join.isVisible()
    page.show_desk(desks.stopped(tmp_path / "s"), NOW)
    assert page.session.join.isVisible() and page.session.sites.isHidden()


def test_that_showing_a_desk_is_cheap(qtbot: QtBot, tmp_path: Path) -> None:
    desk = decided("ask")(tmp_path)
    page = page_of(qtbot, desk)
    began = time.process_time()
    for _ in range(50):
        page.show_desk(desk, NOW)
    assert (time.process_time() - began) / 50 < 0.01, "ten times a second, beside training"


def test_that_earlier_rounds_are_read_once_for_each_record(qtbot: QtBot, tmp_path: Path) -> None:
    desk = decided("keep")(tmp_path)
    page = page_of(qtbot, desk)
    decisions = Counted(desk.record.decisions)
    desk.record = replace(desk.record, decisions=decisions)
    for _ in range(20):
        page.show_desk(desk, NOW)
    assert decisions.rounds == 1 and page.session.past.isVisible()
    page.show_desk(decided("ask")(tmp_path / "b"), NOW)
    assert page.session.past_model.rowCount() == 2, "another record is another table"


@pytest.mark.parametrize("state", STATES)
def test_that_nothing_is_wider_than_a_small_screen_at_200_percent(
    qtbot: QtBot, qapp: QApplication, tmp_path: Path, state: State
) -> None:
    look = Appearance(qapp, "light", 2.0)
    page = RoundsPage()
    qtbot.addWidget(page)
    page.resize(960, 560)
    page.show_desk(MAKERS[state](tmp_path), NOW)
    page.show()
    qtbot.waitExposed(page)
    qtbot.waitUntil(lambda: page.widget().minimumSizeHint().width() <= page.viewport().width())
    look.set_text_scale(1.0)
    look.end()


def test_that_the_method_is_named_and_leads_to_its_page(qtbot: QtBot, tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.site.spec = small_spec(method={"name": "fedopal"})
    story.site.refresh()
    page = page_of(qtbot, story.desk)
    assert page.session.method.text() == "About FedOPAL" and page.session.method.isVisible()
    with qtbot.waitSignal(page.guide_requested) as asked:
        qtbot.keyClick(page.session.method, Qt.Key.Key_Return)
    assert asked.args == ["method-fedopal"]
    story.site.outbox.close()


def test_that_a_method_that_the_guide_does_not_know_has_no_link(qtbot: QtBot, tmp_path: Path) -> None:
    story = Story(tmp_path)
    page = page_of(qtbot, story.desk)
    assert page.session.method.isVisible()
    tomorrow = SimpleNamespace(name="fed_of_tomorrow", rank_levels=(), rank_follows="")
    story.site.spec = story.site.spec.model_copy(update={"method": tomorrow})
    story.site.refresh()
    page.show_desk(story.desk, NOW)
    assert not page.session.method.isVisible()
    story.site.outbox.close()


def test_that_a_round_without_this_site_does_not_look_stuck(qtbot: QtBot, tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.tell(phase("not_asked"))
    page = page_of(qtbot, story.desk)
    assert "Everything is fine" in texts(page) and not any(s.isVisible() for s in page.session.steppers.values())
    assert not [button for button in page.findChildren(PrimaryButton) if button.isVisible()]
    story.site.outbox.close()
