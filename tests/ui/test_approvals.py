# SPDX-License-Identifier: Apache-2.0
"""The Approvals page over a real outbox: decide, hold, take back, expire; nothing irrevocable by accident."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QAbstractButton, QApplication, QLabel, QMainWindow, QWidget
from pytestqt.qtbot import QtBot

from fedmed_desktop import events
from fedmed_desktop.desktop.approvals.decision import (
    AWAY,
    ENTER_NEVER_SENDS,
    HELD,
    NO_NAME,
    NO_REASON,
    PROGRAM_CLOSED,
    TAKEN_BACK,
)
from fedmed_desktop.desktop.approvals.drift import NOT_SHARED
from fedmed_desktop.desktop.approvals.page import ApprovalsPage
from fedmed_desktop.desktop.look.theme import Appearance
from fedmed_desktop.desktop.work.desk import Desk
from fedmed_desktop.desktop.work.news import SessionStarted
from fedmed_desktop.federation import Report
from fedmed_desktop.federation.objectives import Orthogonal
from fedmed_desktop.federation.work import Entry
from fedmed_desktop.scores import Counts, Scores, TaskScores
from fedmed_desktop.site import Record
from tests.parts.approval import AFTER, BEFORE, NOW, REASON, Site, site_in
from tests.parts.ui import APPROVER

NOTHING = Scores.of_entities(
    TaskScores(strict={"drug": Counts(fn=100)}, lenient={"drug": Counts(fn=100)}, unified=Counts(fn=100))
)
ENTER = (Qt.Key.Key_Return, Qt.Key.Key_Enter)


class Shown:
    """The page in a window that has the focus, over a site; `said` is every intent that the page has told."""

    def __init__(self, qtbot: QtBot, folder: Site) -> None:
        self.qtbot, self.site, self.now = qtbot, folder, NOW
        self.page = ApprovalsPage(self.clock)
        self.page.name = APPROVER
        self.window = QMainWindow()
        self.window.setCentralWidget(self.page)
        self.window.resize(1104, 628)
        qtbot.addWidget(self.window)
        self.said: list[tuple[str, ...]] = []
        page = self.page
        for signal, heard in (
            (page.send_requested, self.sent), (page.keep_requested, self.kept), (page.held, self.held),
            (page.take_back_requested, self.taken_back), (page.try_requested, self.tried),
        ):  # fmt: skip
            signal.connect(heard)
        with qtbot.waitExposed(self.window):
            self.window.show()
        self.window.activateWindow()

    def clock(self) -> datetime:
        return self.now

    def sent(self, sha256: str, reason: str, by: str) -> None:
        assert by == self.page.name.strip()
        self.said.append(("send", sha256, reason))

    def kept(self, sha256: str, reason: str, by: str) -> None:
        assert by == self.page.name.strip()
        self.said.append(("keep", sha256, reason))

    def held(self, sha256: str) -> None:
        self.said.append(("hold", sha256))

    def taken_back(self, sha256: str, by: str) -> None:
        assert by == self.page.name.strip()
        self.said.append(("take back", sha256))

    def tried(self, sha256: str) -> None:
        self.said.append(("try", sha256))

    def refresh(self) -> None:
        self.page.show_desk(self.site.desk)

    def click(self, button: QWidget) -> None:
        assert button.isVisible()
        self.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    def write(self, reason: str) -> None:
        self.page.decision.form.reason.setFocus()
        self.qtbot.keyClicks(self.page.decision.form.reason, reason)

    @property
    def message(self) -> str:
        return self.page.decision.form.message.text()


@pytest.fixture
def shown(qtbot: QtBot, qapp: QApplication, tmp_path: Path) -> Iterator[Shown]:
    with site_in(tmp_path) as site:
        yield Shown(qtbot, site)


@pytest.fixture
def entry(shown: Shown) -> Entry:
    """One adapter waits, and the agent asks about it."""
    made = shown.site.trained()
    shown.refresh()
    return made


def test_that_an_empty_page_says_that_nothing_waits(shown: Shown) -> None:
    shown.refresh()
    assert shown.page.empty.isVisible()
    assert not shown.page.view.isVisible() and not shown.page.decision.isVisible()
    assert not shown.page.history.isVisible()


def test_that_an_adapter_is_sent_with_its_reason_and_gets_its_receipt(shown: Shown, entry: Entry) -> None:
    form, outcome = shown.page.decision.form, shown.page.decision.outcome
    shown.write(REASON)
    shown.click(form.send)
    assert shown.said == [("send", entry.sha256, REASON)]
    assert not form.send.isEnabled() and not form.keep.isEnabled(), "one decision, however often it is clicked"
    shown.site.approve(entry)
    shown.refresh()
    assert shown.page.decision.countdown.isVisible() and not form.isVisible()
    shown.site.release(entry)
    shown.site.desk.fold([events.PhaseChanged(site="north", round=3, phase="uploading")])
    shown.site.desk.fold(
        [events.TransferProgress(site="north", round=3, direction="up", blob="0" * 64, bytes=25, total=100)]
    )
    shown.refresh()
    assert outcome.headline.text() == "Sending" and "no longer be taken back" in outcome.text.text()
    assert outcome.bar.isVisible() and outcome.bar.value() == 250
    assert not shown.page.decision.countdown.take_back.isVisible()
    shown.site.receive(entry)
    shown.refresh()
    short = shown.page.view.head.hash.text()
    assert outcome.headline.text() == "Received" and short in outcome.text.text()
    assert shown.page.history_model.rowCount() == 3
    assert shown.page.history_model.index(0, 5).data() == short


def test_that_an_approval_can_be_taken_back_while_the_seconds_run(shown: Shown, entry: Entry) -> None:
    countdown = shown.page.decision.countdown
    shown.site.approve(entry)
    shown.refresh()
    assert countdown.headline.text() == "Leaves in 10 seconds"
    shown.now = NOW + timedelta(seconds=8.5)
    shown.refresh()
    assert countdown.headline.text() == "Leaves in 2 seconds" and countdown.bar.value() == 150
    shown.click(countdown.take_back)
    assert shown.said == [("take back", entry.sha256)]
    assert not countdown.take_back.isEnabled()
    shown.site.take_back(entry, shown.now)
    shown.refresh()
    assert shown.page.decision.form.isVisible() and shown.page.decision.form.keep.isEnabled()
    assert shown.message == TAKEN_BACK


def test_that_nothing_can_be_taken_back_once_the_time_is_over(shown: Shown, entry: Entry) -> None:
    shown.site.approve(entry)
    shown.now = NOW + timedelta(seconds=10)
    shown.refresh()
    assert not shown.page.decision.countdown.take_back.isEnabled()
    assert "no longer be taken back" in shown.page.decision.countdown.text.text()


def test_that_the_keyboard_sends_and_takes_back(shown: Shown, entry: Entry) -> None:
    shown.write(REASON)
    shown.page.decision.form.send.setFocus()
    shown.qtbot.keyClick(shown.page.decision.form.send, Qt.Key.Key_Space)
    assert shown.said == [("send", entry.sha256, REASON)]
    shown.site.approve(entry)
    shown.refresh()
    take_back = shown.page.decision.countdown.take_back
    assert take_back.hasFocus(), "the focus must not wander to another button when Send is gone"
    shown.qtbot.keyClick(take_back, ENTER[0])
    assert shown.said[-1] == ("take back", entry.sha256)
    shown.site.take_back(entry)
    shown.refresh()
    assert shown.page.decision.form.hold.hasFocus()


def test_that_the_focus_goes_to_what_is_told_when_the_countdown_ends(shown: Shown, entry: Entry) -> None:
    shown.write(REASON)
    shown.click(shown.page.decision.form.send)
    shown.site.approve(entry)
    shown.refresh()
    shown.now = NOW + timedelta(seconds=10)
    shown.refresh()
    shown.site.release(entry)
    shown.refresh()
    assert shown.page.decision.outcome.hasFocus()


def test_that_a_button_that_goes_out_hands_its_focus_to_hold(shown: Shown, entry: Entry) -> None:
    shown.page.decision.form.keep.setFocus()
    shown.site.disconnect()
    shown.refresh()
    assert shown.page.decision.form.hold.hasFocus()


def test_that_keeping_takes_one_press_as_sending_does_and_leaves_it_on_site(shown: Shown, entry: Entry) -> None:
    shown.write("too few notes")
    shown.click(shown.page.decision.form.keep)
    assert shown.said == [("keep", entry.sha256, "too few notes")]
    shown.site.keep(entry, "too few notes")
    shown.refresh()
    assert shown.page.decision.outcome.headline.text() == "Kept on site"
    assert shown.page.history_model.index(0, 4).data() == "too few notes"


def test_that_holding_decides_nothing_and_says_so(shown: Shown, entry: Entry) -> None:
    shown.click(shown.page.decision.form.hold)
    shown.refresh()
    assert shown.said == [("hold", entry.sha256)]
    assert shown.message == HELD
    assert shown.page.decision.form.send.isEnabled() and shown.page.view.head.title.text() == "Adapter for round 3"


@pytest.mark.parametrize("key", ENTER)
def test_that_a_new_sheet_has_hold_in_focus_and_enter_only_holds(shown: Shown, entry: Entry, key: Qt.Key) -> None:
    assert shown.page.decision.form.hold.hasFocus()
    shown.qtbot.keyClick(shown.page.decision.form.hold, key)
    assert {said[0] for said in shown.said} <= {"hold"}


@pytest.mark.parametrize("key", ENTER)
def test_that_enter_never_sends_and_says_so(shown: Shown, entry: Entry, key: Qt.Key) -> None:
    shown.write(REASON)
    send = shown.page.decision.form.send
    send.setFocus()
    shown.qtbot.keyClick(send, key)
    assert shown.said == [] and shown.message == ENTER_NEVER_SENDS
    shown.page.decision.form.reason.setFocus()
    shown.write("!")
    shown.refresh()
    assert shown.message != ENTER_NEVER_SENDS


@pytest.mark.parametrize("key", [*ENTER, Qt.Key.Key_Space])
def test_that_keeping_by_keyboard_takes_one_press(shown: Shown, entry: Entry, key: Qt.Key) -> None:
    shown.write(REASON)
    keep = shown.page.decision.form.keep
    keep.setFocus()
    shown.qtbot.keyClick(keep, key)
    assert shown.said == [("keep", entry.sha256, REASON)]


def test_that_a_double_click_keeps_once(shown: Shown, entry: Entry) -> None:
    shown.write(REASON)
    shown.click(shown.page.decision.form.keep)
    shown.qtbot.mouseDClick(shown.page.decision.form.keep, Qt.MouseButton.LeftButton)
    assert shown.said == [("keep", entry.sha256, REASON)]


@pytest.mark.parametrize("answer", ["send", "keep"])
def test_that_both_answers_ask_for_the_name_of_the_person_and_keep_it(shown: Shown, entry: Entry, answer: str) -> None:
    told: list[str] = []
    shown.page.named.connect(told.append)
    shown.page.name = ""
    shown.refresh()
    shown.write(REASON)
    form = shown.page.decision.form
    button = form.send if answer == "send" else form.keep
    shown.click(button)
    assert shown.said == [] and shown.message == NO_NAME and form.name.hasFocus()
    assert form.name.property("fault") and not form.reason.property("fault")
    shown.qtbot.keyClicks(form.name, "Dr. Ruth Okafor")
    shown.click(button)
    assert shown.said == [(answer, entry.sha256, REASON)]
    assert told[-1] == "Dr. Ruth Okafor"


@pytest.mark.parametrize(
    ("before", "after", "verdict", "offered"),
    [
        (BEFORE, AFTER, "Better on your notes, fairly sure", "Scores improved"),
        (AFTER, BEFORE, "Worse on your notes, fairly sure: consider keeping it", "Scores became worse"),
        (AFTER, AFTER, "No better on your notes: consider keeping it", "Scores are no better"),
        (NOTHING, NOTHING, "It finds nothing on your notes yet: consider keeping it", "It finds nothing yet"),
        (BEFORE, NOTHING, "It finds nothing on your notes yet: consider keeping it", "It finds nothing yet"),
    ],
)
def test_that_the_verdict_stands_before_the_numbers_and_offered_reasons_follow_it(
    shown: Shown, before: Scores, after: Scores, verdict: str, offered: str
) -> None:
    shown.site.trained(before=before, after=after)
    shown.refresh()
    assert shown.page.view.head.verdict.text() == verdict
    assert [b.text() for b in shown.page.decision.form.usual.buttons if not b.isHidden()] == [
        offered, "As agreed for the pilot", "Test run",
    ]  # fmt: skip


def test_that_too_few_notes_make_no_verdict_sure_and_offer_no_reason_about_scores(shown: Shown) -> None:
    shown.site.trained(before=BEFORE, after=AFTER, notes=12)
    shown.refresh()
    assert shown.page.view.head.verdict.text() == "Perhaps better on your notes, not sure"
    assert [b.text() for b in shown.page.decision.form.usual.buttons if not b.isHidden()] == [
        "As agreed for the pilot", "Test run",
    ]  # fmt: skip


def test_that_an_adapter_that_finds_nothing_must_be_acknowledged(shown: Shown) -> None:
    shown.site.trained(before=NOTHING, after=NOTHING)
    shown.refresh()
    form = shown.page.decision.form
    assert [box._banner.text()[:16] for box in form.findings if not box.isHidden()] == ["It finds nothing"]
    shown.write(REASON)
    assert not form.send.isEnabled() and form.keep.isEnabled()
    form.findings[0].box.click()
    shown.refresh()
    assert form.send.isEnabled()


def test_that_the_head_leads_to_the_decision(shown: Shown, entry: Entry) -> None:
    shown.window.resize(900, 300)
    shown.click(shown.page.view.head.decide)
    assert shown.page.decision.form.hold.hasFocus() and shown.page.verticalScrollBar().value() > 0


def test_that_a_usual_reason_is_written_by_one_click(shown: Shown, entry: Entry) -> None:
    form = shown.page.decision.form
    assert [button.text() for button in form.usual.buttons] == [
        "Scores improved", "As agreed for the pilot", "Test run",
    ]  # fmt: skip
    shown.write("abc")
    shown.click(form.usual.buttons[2])
    assert form.reason.text() == "Test run" and form.reason.hasFocus()
    form.reason.undo()
    assert form.reason.text() == "abc"
    form.reason.redo()
    shown.click(form.send)
    assert shown.said == [("send", entry.sha256, "Test run")]


def test_that_who_decides_while_the_coordinator_is_away_is_told_before(shown: Shown, entry: Entry) -> None:
    shown.site.disconnect(is_asked=True)
    shown.refresh()
    assert shown.message == AWAY and shown.page.decision.form.send.isEnabled()
    shown.site.approve(entry)
    shown.refresh()
    assert "cannot be reached" in shown.page.decision.countdown.text.text()


def test_that_an_approval_taken_back_by_a_restart_is_told_with_its_reason(
    qtbot: QtBot, shown: Shown, entry: Entry
) -> None:
    shown.site.approve(entry)
    shown.site.restart()
    shown.site.ask(entry)
    page = ApprovalsPage(lambda: NOW)
    qtbot.addWidget(page)
    page.show_desk(shown.site.desk)
    assert page.decision.form.reason.text() == REASON
    assert page.decision.form.message.text() == PROGRAM_CLOSED


def test_that_a_new_decision_opens_at_the_top(shown: Shown, qapp: QApplication, entry: Entry) -> None:
    shown.window.resize(1104, 300)
    qapp.processEvents()
    bar = shown.page.verticalScrollBar()
    bar.setValue(bar.maximum())
    assert bar.value() > 0
    shown.site.keep(entry)
    shown.site.trained(4)
    shown.refresh()
    qapp.processEvents()
    shown.refresh()
    assert bar.value() == 0 and shown.page.view.head.title.text() == "Adapter for round 4"


def test_that_what_is_for_specialists_is_folded_away_and_stays_as_it_was_left(shown: Shown, entry: Entry) -> None:
    view = shown.page.view
    assert not view.details.isVisible()
    shown.click(view.specialists)
    shown.site.keep(entry)
    shown.site.trained(4)
    shown.refresh()
    assert view.details.isVisible() and "0.22" in view.details.rows.values()
    QApplication.processEvents()  # the sheet of another update is laid out with the next turn
    shown.click(view.specialists)
    assert not view.details.isVisible()


@pytest.mark.parametrize("key", ENTER)
def test_that_enter_in_the_reason_sends_nothing(shown: Shown, entry: Entry, key: Qt.Key) -> None:
    shown.write(REASON)
    shown.qtbot.keyClick(shown.page.decision.form.reason, key)
    assert shown.said == []


def test_that_a_decision_needs_a_reason_and_says_so_without_a_dialog(shown: Shown, entry: Entry) -> None:
    form = shown.page.decision.form
    for button in (form.send, form.keep):
        form.reason.setText("  ")
        shown.click(button)
        assert shown.said == [] and shown.message == NO_REASON
        assert form.reason.hasFocus() and form.reason.property("fault") is True
    shown.write("ok")
    shown.refresh()
    assert shown.message != NO_REASON and form.reason.property("fault") is False
    shown.click(form.send)
    assert shown.said == [("send", entry.sha256, "ok")]


def test_that_nobody_can_decide_while_the_agent_does_not_ask(shown: Shown, entry: Entry) -> None:
    form = shown.page.decision.form
    shown.write(REASON)
    shown.site.disconnect()
    shown.refresh()
    assert not form.send.isEnabled() and not form.keep.isEnabled() and form.hold.isEnabled()
    assert "does not answer" in shown.message
    shown.site.ask(entry)
    shown.refresh()
    assert form.send.isEnabled() and form.keep.isEnabled() and form.reason.text() == REASON


def test_that_what_expires_says_so_and_stays_on_the_screen(shown: Shown, entry: Entry) -> None:
    shown.write(REASON)
    shown.site.expire(entry)
    shown.site.trained(4)
    shown.refresh()
    assert shown.page.decision.outcome.headline.text() == "The round closed without it"
    assert [b.text() for b in shown.page.queue.buttons] == [
        "Adapter for round 3 · round closed", "Adapter for round 4 · waiting",
    ]  # fmt: skip
    shown.click(shown.page.queue.buttons[1])
    assert shown.page.view.head.title.text() == "Adapter for round 4"
    assert shown.page.decision.form.reason.text() == ""
    assert not shown.page.queue.isVisible()


def test_that_a_refusal_is_told_in_a_sentence(shown: Shown, entry: Entry) -> None:
    shown.site.approve(entry)
    shown.site.release(entry)
    shown.refresh()
    shown.site.refuse(entry)
    shown.refresh()
    outcome = shown.page.decision.outcome
    assert outcome.headline.text() == "Refused by the coordinator" and "had already closed" in outcome.text.text()


def test_that_a_refusal_has_its_numbers_while_they_are_known_and_no_gaps_later(shown: Shown, entry: Entry) -> None:
    shown.site.approve(entry)
    shown.site.release(entry)
    shown.refresh()
    shown.site.refuse(entry, "update.wrong_norm")
    shown.refresh()
    outcome = shown.page.decision.outcome
    assert "norm is …, but its report says …" in outcome.text.text(), "what a restarted program knows"
    told = {"site": "north", "round": 3, "update": entry.sha256, "code": "update.wrong_norm"}
    shown.site.desk.fold([events.UpdateRefused(**told, params={"found": "2.41", "reported": "0.91"})])
    shown.refresh()
    assert "norm is 2.41, but its report says 0.91" in outcome.text.text()


def test_that_a_page_that_opens_shows_what_waits_before_what_is_on_its_way(
    qtbot: QtBot, shown: Shown, entry: Entry
) -> None:
    shown.site.approve(entry)
    shown.site.release(entry)
    shown.site.trained(4)
    page = ApprovalsPage(lambda: NOW)
    qtbot.addWidget(page)
    page.show_desk(shown.site.desk)
    assert page.view.head.title.text() == "Adapter for round 4"


def test_that_the_head_keeps_no_line_for_an_expiry_that_there_is_none(shown: Shown, entry: Entry) -> None:
    shown.refresh()
    assert shown.page.view.head.expiry.isVisible()
    shown.site.approve(entry)
    shown.site.release(entry)
    shown.refresh()
    assert not shown.page.view.head.expiry.isVisible()


def test_that_the_next_one_opens_by_itself_after_a_receipt(shown: Shown, entry: Entry) -> None:
    shown.site.approve(entry)
    shown.site.release(entry)
    shown.site.receive(entry)
    shown.refresh()
    assert shown.page.decision.outcome.isVisible()
    shown.site.trained(4)
    shown.refresh()
    assert shown.page.view.head.title.text() == "Adapter for round 4"
    assert shown.page.decision.form.hold.hasFocus()
    assert "Adapter for round 3: received" in shown.page.ended.text() and shown.page.ended.isVisible()
    shown.click(shown.page.ended.button)
    assert not shown.page.ended.isVisible()


def test_that_who_comes_back_later_sees_that_nothing_waits(shown: Shown, entry: Entry) -> None:
    shown.site.keep(entry)
    shown.refresh()
    shown.page.hide()
    shown.page.show()
    shown.refresh()
    assert shown.page.empty.isVisible() and shown.page.history.isVisible()


def test_that_two_that_wait_are_a_queue_and_each_keeps_its_reason(shown: Shown, entry: Entry) -> None:
    other = shown.site.trained(4, ask=False)
    shown.refresh()
    queue, form = shown.page.queue, shown.page.decision.form
    assert queue.isVisible() and queue.buttons[0].isChecked()
    shown.write("for round three")
    shown.click(queue.buttons[1])
    assert shown.page.view.head.title.text() == "Adapter for round 4" and form.reason.text() == ""
    assert not form.send.isEnabled(), "the agent asks for the other one"
    form.reason.setText("for round four")
    shown.click(queue.buttons[0])
    assert form.reason.text() == "for round three" and form.send.isEnabled()
    shown.page.select(other.sha256)
    assert form.reason.text() == "for round four"


def test_that_refreshing_moves_neither_focus_nor_what_is_typed(shown: Shown, entry: Entry) -> None:
    reason = shown.page.decision.form.reason
    shown.write("half a sen")
    reason.setCursorPosition(4)
    for seconds in range(20):
        shown.now = NOW + timedelta(seconds=seconds)
        shown.site.refresh()
        shown.refresh()
    assert reason.hasFocus() and reason.text() == "half a sen" and reason.cursorPosition() == 4
    shown.page.hide()
    shown.page.show()
    shown.refresh()
    assert reason.text() == "half a sen"


def test_that_each_finding_must_be_ticked_by_itself(shown: Shown) -> None:
    shown.site.trained(2, norm=0.1, ask=False)
    shown.site.expire(shown.site.desk.record.entries[0])
    entry = shown.site.trained(3, before=AFTER, after=BEFORE)
    shown.refresh()
    form = shown.page.decision.form
    first, second = form.findings
    assert not form.send.isEnabled() and form.keep.isEnabled() and "Tick" in shown.message
    first.box.click()
    assert not form.send.isEnabled()
    second.box.click()
    assert form.send.isEnabled()
    shown.refresh()
    first.box.click()
    assert not form.send.isEnabled()
    first.box.click()
    shown.write(REASON)
    shown.click(form.send)
    assert shown.said == [("send", entry.sha256, REASON)]


def test_that_every_scalar_of_the_report_can_be_read(shown: Shown) -> None:
    entry = shown.site.trained(histogram={"Urology": 7}, importance=True)
    shown.refresh()
    assert not shown.page.view.table.isVisible()
    shown.click(shown.page.view.more)
    assert shown.page.view.table.isVisible()
    model = shown.page.view.numbers
    names = [model.index(row, 0).data() for row in range(model.rowCount())]
    said = {"kind": "what", "histogram": "count of", "shared_loss": "loss on shared notes"}
    for field in Report.model_fields:
        assert any(name.startswith(said.get(field, field.replace("_", " "))) for name in names)
    assert entry.update.parts["adapter"].sha256 in [model.index(row, 1).data() for row in range(model.rowCount())]


def test_that_what_the_method_keeps_here_and_what_is_not_measured_is_said(shown: Shown, entry: Entry) -> None:
    view = shown.page.view
    assert not view.stays.isVisible() and view.unmeasured.text() == NOT_SHARED and view.unmeasured.isVisible()
    shown.site.keep(entry)
    shown.site.shares("specialties")
    shown.site.trained(4, histogram={"Urology": 7}, semantic=0.3, objective=(Orthogonal(weight=0.5, rank=4),))
    shown.refresh()
    assert view.stays.isVisible() and "personal adapter" in view.stays.text.text()
    assert not view.unmeasured.isVisible() and view.differs.rows.values() == ["as\u00a0usual", "very\u00a0different"]


def test_that_a_screen_reader_hears_a_change_in_words_and_a_value_whole(shown: Shown, entry: Entry) -> None:
    view = shown.page.view
    worth, leaves = ([row.value.accessibleName() for row in card.rows.facts] for card in (view.worth, view.leaves))
    assert "All types: 58, now 70 of 100, better" in worth
    assert any(name.endswith(f"{entry.update.parts['adapter'].size:,} bytes") for name in leaves)


def test_that_the_cards_name_no_measure_and_the_question_mark_leads_to_it(shown: Shown, entry: Entry) -> None:
    view = shown.page.view
    assert view.worth_on.text() == "Found correctly, of 100, on 330 of your notes, kept aside."
    names = [fact._name.text() for card in (view.leaves, view.worth, view.differs) for fact in card.rows.facts]
    assert "All types" in names and not [name for name in names if "F1" in name or "sha256" in name]
    assert view.help.place == "approvals#how-well-it-works"


def test_that_two_hundred_counts_can_all_be_read(shown: Shown) -> None:
    shown.site.shares("specialties")
    shown.site.trained(histogram={f"Specialty {n:03}": n + 5 for n in range(200)})
    shown.refresh()
    shown.click(shown.page.view.more)
    numbers = dict(shown.page._sheet.numbers)
    assert [numbers[f"notes of specialty Specialty {n:03}"] for n in (0, 199)] == ["5", "204"]
    QApplication.processEvents()
    table = shown.page.view.table
    assert table.height() >= table.verticalHeader().length(), "the page scrolls, not a table within it"


def test_that_the_head_repeats_where_to_and_that_it_is_a_test(shown: Shown, entry: Entry) -> None:
    head = shown.page.view.head
    assert head.environment.isVisible() and head.environment.text() == "Test"
    assert "coordinator.riverside.example" in head.destination.text()
    shown.click(head.copy)
    assert QGuiApplication.clipboard().text() == entry.update.parts["adapter"].sha256


def test_that_the_final_scores_are_sent_without_an_adapter(shown: Shown) -> None:
    shown.site.scored()
    shown.refresh()
    form = shown.page.decision.form
    assert form.send.text() == "Send scores" and not form.try_out.isVisible()


def test_that_an_adapter_can_be_tried_first(shown: Shown, entry: Entry) -> None:
    shown.click(shown.page.decision.form.try_out)
    assert shown.said == [("try", entry.sha256)]


def test_that_the_countdown_is_in_sight_in_a_small_window(shown: Shown, qapp: QApplication) -> None:
    shown.site.trained(2, norm=0.1, ask=False)
    shown.site.expire(shown.site.desk.record.entries[0])
    entry = shown.site.trained(3, before=AFTER, after=BEFORE)
    shown.window.resize(1104, 160)
    shown.refresh()
    form, take_back = shown.page.decision.form, shown.page.decision.countdown.take_back
    for box in form.findings:
        box.box.click()
    shown.write(REASON)
    qapp.processEvents()
    shown.page.ensureWidgetVisible(form.send, 0, 0)
    shown.click(form.send)
    shown.site.approve(entry)
    for _ in range(3):
        shown.refresh()
        qapp.processEvents()
    assert shown.page.viewport().rect().contains(take_back.mapTo(shown.page.viewport(), take_back.rect().center()))


def every_state(site: Site) -> Iterator[None]:
    """One after the other on one page; the caller looks at each."""
    yield
    site.trained(2, norm=0.1, ask=False)
    first = site.trained(3, before=AFTER, after=BEFORE)
    yield
    site.approve(first)
    yield
    site.release(first)
    yield
    site.refuse(first)
    yield


def test_that_everything_that_takes_the_focus_has_a_name(shown: Shown) -> None:
    for _ in every_state(shown.site):
        shown.refresh()
        for widget in shown.page.findChildren(QWidget):
            if widget.isVisible() and widget.focusPolicy() != Qt.FocusPolicy.NoFocus:
                text = widget.text() if isinstance(widget, QAbstractButton) else ""
                assert widget.accessibleName() or text, f"{type(widget).__name__} has no name"


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_that_no_word_is_cut_off(shown: Shown, qapp: QApplication, scale: float) -> None:
    appearance = Appearance(qapp, "light", scale)
    try:
        for _ in every_state(shown.site):
            shown.refresh()
            for _ in range(5):  # a layout in a layout in a layout
                qapp.processEvents()
            right = shown.page.viewport().width()
            for widget in shown.page.findChildren(QWidget):
                if not widget.isVisible() or not isinstance(widget, QLabel | QAbstractButton) or not widget.text():
                    continue
                left = widget.mapTo(shown.page.viewport(), QPoint(0, 0)).x()
                assert left >= 0 and left + widget.width() <= right, f"{widget.text()!r} leaves the page"
                need = (
                    widget.heightForWidth(widget.width()) if widget.hasHeightForWidth() else widget.sizeHint().height()
                )
                assert widget.height() >= min(need, widget.sizeHint().height()), f"{widget.text()!r} is too low"
                if not widget.hasHeightForWidth():
                    assert widget.width() >= widget.sizeHint().width(), f"{widget.text()!r} is cut off"
    finally:
        appearance.choose("system")
        appearance.set_text_scale(1.0)
        appearance.end()


def test_that_nothing_is_said_to_wait_only_once_the_record_was_read(qtbot: QtBot, tmp_path: Path) -> None:
    page = ApprovalsPage()
    qtbot.addWidget(page)
    page.show()
    desk = Desk()
    desk.fold([SessionStarted("site", "A", "ws://127.0.0.1:9", ("A",), tmp_path, tmp_path)])
    page.show_desk(desk)
    assert "Looking" in page.empty._title.text()
    desk.fold([Record(spec=None, entries=(), decisions=(), final=None)])
    page.show_desk(desk)
    assert page.empty._title.text() == "Nothing is waiting for you"
