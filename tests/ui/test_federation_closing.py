# SPDX-License-Identifier: Apache-2.0
"""Closed at any moment and opened again: no crash, nothing lost, and the same is shown, from what is on the disk."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from fedmed_desktop.demo.settings import DemoOptions
from fedmed_desktop.desktop.app import Workshop
from fedmed_desktop.desktop.work.requests import JoinRequest
from fedmed_desktop.site import SiteAgent
from tests.parts.ui import REASON, Desktop, Held, without_times
from tests.ui.hosting import Coordinator, Partner, write_notes

pytestmark = pytest.mark.integration
Hosted = Callable[..., Coordinator]
Opened = Callable[..., Desktop]
Partnered = Callable[[Coordinator], Partner]


def test_that_training_is_stopped_saved_and_gone_on_with(
    desktop: Opened, hosted: Hosted, tiny_model: Path, notes: Path
) -> None:
    host = hosted(steps=6)
    held = Held()
    one = desktop(held).begin()
    request = one.join(host.address, tiny_model, notes)
    one.until(held.is_held)
    one.until_state("training")
    one.window.close()
    question = one.program.question
    assert question is not None and question.isVisible() and question.no.isDefault()
    one.click(question.no)
    assert not one.desk.closing, "who is asked can go on"
    one.leave()
    one.window.show_now()
    assert one.headline() == "Closing"
    one.until(held.is_told_to_stop)
    held.let_go()
    one.close()
    assert any((request.data_dir / "checkpoints" / "round-1").iterdir())
    host.kill()
    two = desktop().begin()
    two.until_state("offline")
    assert two.desk.record.spec is not None and list(two.curve()) == [1, 2], "from the disk, before anybody answers"
    assert two.said().startswith("Training was interrupted in round 1, at step 2 of 6. It goes on from the last saved")
    host.start()
    two.until_asked()
    assert list(two.curve()) == [1, 2, 3, 4, 5, 6], "it went on where it was"


def test_that_a_countdown_cut_short_is_a_question_again(
    desktop: Opened, hosted: Hosted, tiny_model: Path, notes: Path
) -> None:
    host = hosted(rounds=2)
    one = desktop().begin()
    one.program.engine.take_back_time = timedelta(0)
    one.join(host.address, tiny_model, notes)
    first = one.decide("send").sha256
    one.until_left(first)
    one.program.engine.take_back_time = timedelta(seconds=10)
    second = one.decide("send", reason="As good as the first.").sha256
    one.until_state("countdown")
    history, curve = one.window.rounds.session.past_model.rowCount(), one.curve()
    one.close()
    host.kill()
    two = desktop().begin()
    two.until_state("approval")
    two.until(lambda: two.desk.connection is not None and two.desk.connection.state == "lost")
    assert two.desk.pending is not None and two.desk.pending.sha256 == second
    assert [d.decision for d in two.desk.record.decisions][-2:] == ["approved", "taken_back"]
    assert two.curve() == curve and len(curve) == 8
    shown = two.text("rounds")
    assert "Waiting for your decision" in shown and "The coordinator does not answer yet" in shown
    assert two.window.rounds.session.past_model.rowCount() == max(1, history)
    approvals = two.text("approvals")
    assert REASON in approvals and "As good as the first." in approvals
    assert not two.window.approvals.decision.form.send.isEnabled()
    host.start()
    two.program.engine.take_back_time = timedelta(0)
    assert two.decide("send").sha256 == second
    two.until_left(second)


def test_that_an_upload_cut_short_is_done_at_the_next_start(
    desktop: Opened, hosted: Hosted, tiny_model: Path, notes: Path
) -> None:
    host = hosted()
    one = desktop().begin()
    one.program.engine.take_back_time = timedelta(seconds=0.4)
    one.join(host.address, tiny_model, notes)
    sha256 = one.decide("send").sha256
    one.until_state("countdown")
    host.freeze()
    one.until_state("uploading")
    one.close()
    host.kill()
    two = desktop().begin()
    two.until(lambda: two.state_of(sha256) == "released")
    assert "can no longer be taken back" in two.text("approvals")
    host.start()
    two.until_left(sha256)
    assert two.state_of(sha256) == "acknowledged"


@pytest.mark.parametrize(
    "moment", ["asked", pytest.param("kept", marks=pytest.mark.slow), pytest.param("sent", marks=pytest.mark.slow)]
)
def test_that_a_restart_in_the_middle_of_a_round_shows_the_same(
    moment: str, desktop: Opened, hosted: Hosted, partner: Partnered, tiny_model: Path, notes: Path
) -> None:
    host = hosted(sites=2, rounds=3)
    south = partner(host)
    one = desktop().begin()
    one.program.engine.take_back_time = timedelta(0)
    one.join(host.address, tiny_model, notes)
    one.until(lambda: host.listens() and host.site("South")["sent"])
    south.trainer.hold.clear()
    first = one.decide("send").sha256
    one.until_left(first)
    one.until(lambda: one.desk.asked not in (None, first))
    state = {"asked": "approval", "kept": "kept", "sent": "sent"}[moment]
    if moment != "asked":
        one.decide("send" if moment == "sent" else "keep")
    before = seen(one, state)
    curve, moved = one.curve(), one.desk.curves.moved
    assert sum(moved["down"].values()) > 0
    one.close()
    two = desktop().begin()
    two.until(lambda: two.desk.prepared is not None and two.desk.standing is not None)
    two.until(lambda: moment != "asked" or two.desk.asked is not None)
    after = seen(two, state)
    assert two.curve() == curve
    assert two.desk.curves.moved == moved, "bytes sent and received are counted from what is on disk"
    for page in before:
        assert after[page].splitlines() == before[page].splitlines()


def seen(one: Desktop, state: str) -> dict[str, str]:
    """What Rounds and Approvals say, once the sites' line has come to rest."""
    one.until_state(state)
    one.until(lambda: one.desk.standing is not None and set(one.desk.standing.sites) == {"waiting", state})
    return {page: without_times(one.text(page)) for page in ("rounds", "approvals")}


class Slow(Held):
    """An agent is made while a test says so."""

    def make_agent(self, *given: object) -> SiteAgent:  # type: ignore[override]
        self._there.set()
        self._go.wait(20)
        return Workshop.make_agent(self, *given)  # type: ignore[arg-type]


def test_that_who_stops_while_an_agent_is_made_can_go_on_with_the_same_folder(
    desktop: Opened, hosted: Hosted, tiny_model: Path, notes: Path
) -> None:
    host = hosted()
    slow = Slow()
    one = desktop(slow).begin()
    one.join(host.address, tiny_model, notes)
    one.until(slow.is_held)
    one.program._leave()
    slow.let_go()
    one.until(lambda: one.desk.ended is not None)
    one.window.show_now()
    one.click(one.window.rounds.session.status.button)
    one.until_asked()


def test_that_a_desktop_can_be_closed_before_it_began(desktop: Opened) -> None:
    desktop().close()


@pytest.mark.slow
def test_that_a_session_ended_by_the_person_is_not_taken_up_by_itself(
    desktop: Opened, hosted: Hosted, tiny_model: Path, notes: Path
) -> None:
    host = hosted()
    one = desktop().begin()
    request = one.join(host.address, tiny_model, notes)
    one.until_asked()
    one.program._leave()
    one.until(lambda: one.desk.ended is not None)
    one.close()
    two = desktop().begin()
    assert two.desk.session is None and two.program.settings.values.joined == request
    two.window.show_now()
    assert two.window.rounds.empty.isVisible()
    two.click(two.window.rounds.empty.buttons[0])
    assert isinstance(two.program.settings.values.joined, JoinRequest)


# -- what is remembered between starts -------------------------------------------------------------------------------


def test_that_the_window_is_as_it_was_left(desktop: Opened) -> None:
    one = desktop().begin()
    one.window.resize(790, 700)  # offscreen, a screen has 800 x 800
    one.window.go("trial")
    one.program.appearance.choose("dark")
    one.program.appearance.step_text_scale(1)
    one.program.appearance.step_text_scale(1)
    one.close()
    two = desktop().begin()
    assert two.window.page == "trial" and two.window.trial.isVisible()
    assert (two.window.width(), two.window.height()) == (790, 700)
    assert (two.program.appearance.choice, two.program.appearance.text_scale) == ("dark", 1.5)
    two.program.appearance.choose("light")
    two.program.appearance.step_text_scale(0)


def test_that_a_broken_settings_file_is_put_aside_with_a_sentence(desktop: Opened, tmp_path: Path) -> None:
    folder = tmp_path / "program"
    folder.mkdir()
    (folder / "settings.json").write_text('{"text_scale": "enormous"', "utf-8")
    one = desktop().begin()
    one.until(lambda: "could not be read" in one.said())
    assert (folder / "settings.broken").exists() and not one.faults()
    one.close()
    two = desktop().begin()
    two.until(lambda: (folder / "settings.json").exists())
    assert "could not be read" not in two.said()


def test_that_settings_of_the_monitor_outlast_a_start_that_was_closed_at_once(desktop: Opened) -> None:
    one = desktop().begin()
    one.until(lambda: one.program.memory.knows_monitor)
    one.window.monitor.restore({**one.window.monitor.state(), "axis": "time"})
    kept = one.window.monitor.state()
    one.close()
    desktop().begin().close()
    three = desktop().begin()
    three.until(lambda: three.program.memory.knows_monitor)
    assert three.window.monitor.state() == kept and kept["axis"] == "time"


# -- a demonstration -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_that_a_demonstration_is_approved_by_hand_and_its_adapter_tried(
    desktop: Opened, tiny_model: Path, tmp_path: Path
) -> None:
    for name, drug in (("North", "Aspirin"), ("South", "Lithium")):
        write_notes(tmp_path / "demo" / name, drug)
    one = desktop().begin()
    one.program.demo_options = DemoOptions(
        rounds=2, model=tiny_model, notes=tmp_path / "demo", report=tmp_path / "report"
    )
    one.program.engine.take_back_time = timedelta(0)
    one.click(one.window.rounds.empty.buttons[1])
    one.click(one.program.demonstration.start)
    for _ in range(2):
        one.until_left(one.decide("send").sha256)
    one.until(lambda: one.desk.record.final is not None or one.desk.asked is not None)
    one.send_all()
    one.until(lambda: one.desk.scored is not None and one.desk.ended is not None)
    shown = one.text("rounds")
    assert "Results" in shown and "Before the federation | " in shown and "Federation | " in shown
    assert (tmp_path / "report" / "report.json").is_file()
    one.window.go("rounds")
    one.window.show_now()
    one.click(one.window.rounds.session.fitting.run)
    one.until(lambda: one.desk.fitted is not None)
    assert (tmp_path / "report" / "fitted" / "adapter_config.json").is_file()
    one.click(one.window.rounds.session.status.button)
    trial = one.window.trial
    trial.note.set_text("Aspirin was given twice and helped .")
    one.until(trial.head.read.isEnabled)
    trial.beside.click()
    one.click(trial.head.read)
    one.until(
        lambda: (
            {side: shown.state for side, shown in one.desk.readings.items()} == dict.fromkeys(("left", "right"), "done")
        )
    )
    assert trial.sides["left"].box.key() == "base" and trial.sides["right"].box.key() != "base"
    assert not one.faults() and not one.said()
