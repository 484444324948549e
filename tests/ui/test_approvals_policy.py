# SPDX-License-Identifier: Apache-2.0
"""The site's policy on the Approvals page: its line, what it bars and why, the second person, and the hours."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from fedmed_desktop import events
from fedmed_desktop.desktop.approvals.page import ApprovalsPage
from fedmed_desktop.federation import part_actions as do
from fedmed_desktop.federation.work import Entry
from fedmed_desktop.site import TAKE_BACK
from tests.parts.approval import NOW, REASON, Site, site_in


class Shown:
    """The page as ann's account shows it; `said` is what she asked for."""

    def __init__(self, qtbot: QtBot, site: Site) -> None:
        self.qtbot, self.site, self.now = qtbot, site, NOW
        self.page = ApprovalsPage(lambda: self.now, user="ann")
        self.page.resize(1104, 900)
        qtbot.addWidget(self.page)
        self.said: list[tuple[str, ...]] = []
        self.page.send_requested.connect(self.sent)
        self.page.second_requested.connect(self.seconded)
        with qtbot.waitExposed(self.page):
            self.page.show()

    def sent(self, sha256: str, reason: str, by: str) -> None:
        self.by = by
        self.said.append(("send", sha256, reason))

    def seconded(self, sha256: str, reason: str, name: str) -> None:
        self.said.append(("second", sha256, reason, name))

    def policy(self, entry: Entry, action: str, rule: str, **more: object) -> None:
        told = {"site": "north", "round": entry.plan.round, "update": entry.sha256, "action": action, "rule": rule}
        self.site.desk.fold([events.PolicySaid.model_validate(told | more)])
        self.refresh()

    def refresh(self) -> None:
        self.page.show_desk(self.site.desk)

    def send(self) -> None:
        self.qtbot.mouseClick(self.page.decision.form.send, Qt.MouseButton.LeftButton)

    @property
    def line(self) -> str:
        return self.page.decision.form.policy.text.text()

    @property
    def message(self) -> str:
        return self.page.decision.form.message.text()


@pytest.fixture
def shown(qtbot: QtBot, qapp: QApplication, tmp_path: Path) -> Iterator[Shown]:
    with site_in(tmp_path) as site:
        yield Shown(qtbot, site)


@pytest.fixture
def entry(shown: Shown) -> Entry:
    made = shown.site.trained()
    shown.refresh()
    return made


def test_that_without_a_policy_there_is_no_line(shown: Shown, entry: Entry) -> None:
    form = shown.page.decision.form
    assert form.isVisible() and not form.policy.isVisible() and form.send.isEnabled()


def test_that_a_denial_names_its_rule_bars_sending_and_says_what_can_be_done(shown: Shown, entry: Entry) -> None:
    params = {"rule": "most_bytes", "most": 10, "found": entry.update.size}
    shown.policy(entry, "deny", "most_bytes", code="policy.bytes", params=params)
    form = shown.page.decision.form
    assert shown.line == "Your hospital's policy does not let it leave (most_bytes)."
    assert not form.send.isEnabled() and form.keep.isEnabled() and form.hold.isEnabled()
    assert "lets at most 10 bytes leave" in shown.message and "ask whoever keeps the policy" in shown.message
    shown.policy(entry, "ask", "default", code="policy.asks", params={"rule": "default"})
    assert form.send.isEnabled() and shown.line == "Your hospital's policy asks for a person (default)."


def test_that_only_those_named_can_press_send(shown: Shown, entry: Entry) -> None:
    shown.policy(entry, "ask", "approvers", approvers=("bob", "eve"))
    assert shown.line == "Your hospital's policy lets only bob, eve approve (approvers)."
    assert not shown.page.decision.form.send.isEnabled()
    assert "ann may not approve here" in shown.message
    shown.policy(entry, "ask", "approvers", approvers=("ANN", "bob"))
    assert shown.page.decision.form.send.isEnabled()


def test_that_a_second_person_at_the_same_account_writes_their_name_and_a_reason_of_their_own(
    shown: Shown, entry: Entry
) -> None:
    form = shown.page.decision.form
    shown.policy(entry, "ask", "four_eyes", people=2)
    assert shown.line == "Your hospital's policy asks for two people (four_eyes)."
    assert not form.policy.second.isVisible()
    form.reason.setText(REASON)
    shown.send()
    assert shown.said == [("send", entry.sha256, REASON)]
    shown.site.outbox.decide(do.Record(entry.sha256, "first_approved", "ann", REASON, rule="four_eyes"), NOW)
    shown.site.refresh()
    shown.site.ask(entry)
    shown.refresh()
    assert "ann has approved, and another must as well" in shown.line
    assert form.policy.second.isVisible() and form.reason.text() == "" and not form.send.isEnabled()
    assert "ask them to write their name" in shown.message
    form.policy.second.setText("Ann")
    assert not form.send.isEnabled() and "ann has approved this already" in shown.message
    form.policy.second.setText("bob")
    form.reason.setText("looked at it too")
    shown.send()
    assert shown.said[1:] == [("second", entry.sha256, "looked at it too", "bob")]
    assert shown.page.history_model.index(0, 2).data() == "First approval"
    assert shown.page.history_model.index(0, 4).data() == f"{REASON} (policy: four_eyes)"


def test_that_another_account_approves_second_without_a_name(shown: Shown, entry: Entry) -> None:
    shown.site.outbox.decide(do.Record(entry.sha256, "first_approved", "bob", REASON), NOW)
    shown.site.refresh()
    shown.policy(entry, "ask", "four_eyes", people=2)
    form = shown.page.decision.form
    assert form.send.isEnabled() and not form.policy.second.isVisible()


def test_that_what_the_policy_holds_back_after_its_approval_is_not_called_on_its_way(
    shown: Shown, entry: Entry
) -> None:
    shown.site.approve(entry)
    shown.site.release(entry)
    on_its_way = events.PhaseChanged(site="north", round=entry.plan.round, phase="uploading")
    shown.site.desk.fold([on_its_way])
    shown.policy(entry, "ask", "default", opens=NOW + timedelta(days=2))
    outcome = shown.page.decision.outcome
    assert outcome.headline.text() == "Approved" and "lets nothing leave before" in outcome.text.text()
    shown.site.desk.fold([on_its_way])
    shown.refresh()
    assert outcome.headline.text() == "Sending"


def test_that_an_approval_outside_the_hours_says_when_it_leaves_and_can_be_taken_back(
    shown: Shown, entry: Entry
) -> None:
    shown.site.approve(entry)
    shown.now = NOW + 2 * TAKE_BACK
    shown.policy(entry, "ask", "default", opens=NOW + timedelta(days=2))
    countdown = shown.page.decision.countdown
    assert countdown.isVisible() and countdown.headline.text().startswith("Waits until ")
    assert "lets nothing leave before" in countdown.text.text() and countdown.take_back.isEnabled()
    shown.now = NOW + timedelta(days=2, seconds=1)
    shown.refresh()
    assert countdown.headline.text() == "Leaving now" and not countdown.take_back.isEnabled()
