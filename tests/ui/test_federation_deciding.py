# SPDX-License-Identifier: Apache-2.0
"""What a person decides on Approvals, in a whole desktop against a real coordinator: every way an update can go."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from tests.parts.ui import APPROVER, REASON, Desktop
from tests.ui.hosting import Coordinator, Partner

pytestmark = pytest.mark.integration
Hosted = Callable[..., Coordinator]
Opened = Callable[..., Desktop]
Partnered = Callable[[Coordinator], Partner]
SECONDS = 1 / 60  # in minutes


@pytest.fixture
def one(desktop: Opened) -> Desktop:
    return desktop().begin()


def outcome(desktop: Desktop) -> str:
    desktop.window.show_now()
    return desktop.window.approvals.decision.outcome.headline.text()


def read_history(one: Desktop) -> None:
    """Record of the running site, and a review of it, written into the chain that the site goes on with."""
    one.window.go("history")
    page = one.window.history
    one.until(lambda: bool(page.view.lines) and "Receipt checked" in one.text("history"))
    reasons = {str(row["reason"]) for row in page.view.rows.values()}
    assert "is whole" in page.verdict.text() and REASON in reasons
    page.ask_mark()
    assert page.dialog is not None and page.dialog.name.text() == APPROVER
    one.click(page.dialog.yes)
    one.until(lambda: page.view.reviewed > 0)


def test_that_what_is_sent_counts_down_leaves_and_has_a_receipt(
    one: Desktop, hosted: Hosted, tiny_model: Path, notes: Path
) -> None:
    host = hosted()
    one.program.engine.take_back_time = timedelta(seconds=1.5)
    one.join(host.address, tiny_model, notes)
    sha256 = one.decide("send").sha256
    countdown = one.window.approvals.decision.countdown
    one.until(countdown.isVisible)
    assert countdown.headline.text().startswith("Leaves in") and countdown.take_back.isEnabled()
    assert one.status().state == "countdown" and one.state_of(sha256) == "approved"
    assert not host.site("North")["sent"]
    one.until_left(sha256)
    assert host.status()["round"] == 2 or host.status()["phase"] != "open"
    record = one.text("approvals")
    assert REASON in record and "Received" in record
    assert [d.decision for d in one.desk.record.decisions if d.sha256 == sha256][:2] == ["approved", "released"]
    read_history(one)
    final = one.send_all()
    one.until(lambda: one.desk.ended is not None)
    one.window.go("rounds")
    one.window.show_now()
    assert one.headline() == "The federation has finished" and host.status()["adapter"] == final
    exported = Path(one.program.settings.values.joined.data_dir) / "final"  # type: ignore[union-attr]
    assert (exported / "adapter_config.json").is_file()
    one.click(one.window.rounds.session.status.button)
    assert one.window.page == "trial"


def test_that_nothing_leaves_without_a_reason_or_by_enter(
    one: Desktop, hosted: Hosted, tiny_model: Path, notes: Path
) -> None:
    one.join(hosted().address, tiny_model, notes)
    sha256 = one.decide("send", reason="").sha256
    one.window.show_now()
    assert "Write a reason" in one.window.approvals.decision.form.message.text()
    assert one.state_of(sha256) == "pending"


def test_that_what_is_kept_stays_and_the_coordinator_hears_that_only(
    one: Desktop, hosted: Hosted, partner: Partnered, tiny_model: Path, notes: Path
) -> None:
    host = hosted(sites=2)
    south = partner(host)
    south.trainer.hold.clear()
    one.join(host.address, tiny_model, notes)
    sha256 = one.decide("keep", reason="Too few notes this week.").sha256
    one.until(lambda: outcome(one) == "Kept on site")
    one.window.go("rounds")
    one.until(lambda: one.headline() == "Kept on this computer")
    one.until(lambda: host.site("North")["declined"])
    south.trainer.hold.set()
    assert one.until_asked().sha256 != sha256, "the round went on without it"
    assert one.state_of(sha256) == "kept" and sha256 not in host.said()
    assert "Too few notes" not in host.said() and "Too few notes" in one.text("approvals")


@pytest.mark.slow
def test_that_what_is_kept_is_asked_for_once_more_where_nobody_else_sent_anything(
    one: Desktop, hosted: Hosted, tiny_model: Path, notes: Path
) -> None:
    host = hosted()
    one.join(host.address, tiny_model, notes)
    sha256 = one.decide("keep").sha256
    one.until(lambda: [d.decision for d in one.desk.record.decisions] == ["kept", "asked_again"])
    one.decide("keep")
    one.until_state("standstill")
    one.window.go("rounds")
    one.window.show_now()
    assert one.headline() == "The federation has stopped" and one.state_of(sha256) == "kept"


def test_that_what_is_held_waits_and_can_be_sent_later(
    one: Desktop, hosted: Hosted, tiny_model: Path, notes: Path
) -> None:
    one.join(hosted().address, tiny_model, notes)
    sha256 = one.decide("hold").sha256
    one.window.show_now()
    assert "Held" in one.window.approvals.decision.form.message.text()
    assert one.state_of(sha256) == "pending" and one.window.approvals.decision.form.reason.text() == REASON
    one.program.engine.take_back_time = timedelta(0)
    one.decide("send")
    one.until_left(sha256)


def test_that_what_is_taken_back_is_a_question_again(
    one: Desktop, hosted: Hosted, tiny_model: Path, notes: Path
) -> None:
    host = hosted()
    one.join(host.address, tiny_model, notes)
    sha256 = one.decide("send").sha256
    take_back = one.window.approvals.decision.countdown.take_back
    one.until(take_back.isVisible)
    one.click(take_back)
    one.until(lambda: one.state_of(sha256) == "pending" and one.desk.asked == sha256)
    one.window.show_now()
    assert one.window.approvals.decision.form.send.isEnabled()
    assert one.window.approvals.decision.form.reason.text() == REASON, "what was typed is still there"
    one.window.go("rounds")
    one.window.show_now()
    assert one.headline() == "Ready for your decision"
    assert host.site("North")["sent"] is False
    assert [d.decision for d in one.desk.record.decisions] == ["approved", "taken_back"]


@pytest.mark.slow
def test_that_take_back_on_the_rounds_page_does_the_same(
    one: Desktop, hosted: Hosted, tiny_model: Path, notes: Path
) -> None:
    one.join(hosted().address, tiny_model, notes)
    sha256 = one.decide("send").sha256
    one.window.go("rounds")
    one.until_state("countdown")
    one.window.show_now()
    one.click(one.window.rounds.session.status.button)
    one.until(lambda: one.state_of(sha256) == "pending")


def test_that_a_round_that_closes_takes_the_question_with_it(
    one: Desktop, hosted: Hosted, partner: Partnered, tiny_model: Path, notes: Path
) -> None:
    host = hosted(sites=2, rounds=2, training_minutes=3 * SECONDS, approval_minutes=3 * SECONDS)
    partner(host)
    one.join(host.address, tiny_model, notes)
    sha256 = one.until_asked().sha256
    one.text("approvals")
    one.until(lambda: one.state_of(sha256) == "expired")
    assert outcome(one) == "The round closed without it"
    assert "round closed" in one.text("approvals") and one.desk.asked != sha256
    second = one.until_asked()
    assert second.plan.round == 2 and host.site("North")["sent"] is False
    assert "1 | Missed | " in one.text("rounds")


def test_that_a_countdown_that_the_session_ends_is_no_longer_shown(
    one: Desktop, hosted: Hosted, tiny_model: Path, notes: Path
) -> None:
    """Who stops taking part within the ten seconds has taken the approval back: it must not be said to leave."""
    one.join(hosted().address, tiny_model, notes)
    sha256 = one.decide("send").sha256
    one.until(one.window.approvals.decision.countdown.isVisible)
    one.window.leave_requested.emit()
    question = one.program.question
    assert question is not None
    one.click(question.yes)
    one.until(lambda: one.desk.ended is not None)
    one.window.show_now()
    assert one.state_of(sha256) == "pending"
    assert "Leav" not in one.text("approvals")
    one.window.go("rounds")
    one.window.show_now()
    assert one.headline() == "Stopped"
    one.click(one.window.rounds.session.status.button)
    assert one.until_asked().sha256 == sha256
