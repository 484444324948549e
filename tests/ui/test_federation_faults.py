# SPDX-License-Identifier: Apache-2.0
"""The coordinator is killed at every point of a round, and the desktop's own worker fails: told once, it goes on."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from fedmed_desktop import events
from fedmed_desktop.desktop.app import Workshop
from fedmed_desktop.desktop.trial.choices import TrialWish
from fedmed_desktop.desktop.work.requests import JoinRequest, TrialRequest
from fedmed_desktop.desktop.work.sessions import Put
from fedmed_desktop.federation import Control
from fedmed_desktop.site import Approver, Jobs, SiteAgent
from tests.parts.ui import Desktop, Held
from tests.ui.hosting import Coordinator

pytestmark = pytest.mark.integration
Hosted = Callable[..., Coordinator]
Opened = Callable[..., Desktop]
Scenario = Callable[[Desktop, Coordinator, Held], None]

# -- the coordinator is killed ---------------------------------------------------------------------------------------


def in_training(one: Desktop, host: Coordinator, held: Held) -> None:
    one.until(held.is_held)
    die_and_come_back(one, host, "training")
    held.let_go()


def at_the_question(one: Desktop, host: Coordinator, held: Held) -> None:
    held.let_go()
    one.until_asked()
    die_and_come_back(one, host, "approval")


def in_the_countdown(one: Desktop, host: Coordinator, held: Held) -> None:
    held.let_go()
    one.program.engine.take_back_time = timedelta(seconds=2)
    sha256 = one.decide("send").sha256
    one.until_state("countdown")
    die_and_come_back(one, host, "countdown")
    one.until_left(sha256)


def in_the_upload(one: Desktop, host: Coordinator, held: Held) -> None:
    held.let_go()
    one.program.engine.take_back_time = timedelta(seconds=0.3)
    sha256 = one.decide("send").sha256
    one.until_state("countdown")
    host.freeze()
    one.until(lambda: one.state_of(sha256) == "released")
    one.until_state("uploading")
    die_and_come_back(one, host)
    one.until_left(sha256)


def between_rounds(one: Desktop, host: Coordinator, held: Held) -> None:
    held.let_go()
    one.program.engine.take_back_time = timedelta(0)
    sha256 = one.decide("send").sha256
    one.until(lambda: one.state_of(sha256) == "acknowledged")
    die_and_come_back(one, host)


def die_and_come_back(one: Desktop, host: Coordinator, state: str = "") -> None:
    """The header says so; and what is going on here goes on meanwhile."""
    host.kill()
    one.until(lambda: not one.desk.connected)
    one.until(lambda: "Offline" in one.header())
    assert not state or one.status().state == state
    host.start()
    one.until(lambda: "Connected" in one.header())


@pytest.fixture(scope="module")
def hashes() -> dict[str, str]:
    """The hash of the federation in which nothing happens, once it is known."""
    return {}


def play(one: Desktop, host: Coordinator, held: Held, scenario: Scenario | None, request: tuple[Path, Path]) -> str:
    one.join(host.address, *request)
    if scenario:
        scenario(one, host, held)
    held.let_go()
    one.program.engine.take_back_time = timedelta(0)
    final = one.send_all()
    one.until(lambda: one.desk.ended is not None)
    assert one.status().state == "finished"
    return final


@pytest.mark.slow
@pytest.mark.parametrize("scenario", [in_training, at_the_question, in_the_countdown, in_the_upload, between_rounds])
def test_that_a_killed_coordinator_changes_nothing(
    scenario: Scenario, desktop: Opened, hosted: Hosted, tiny_model: Path, notes: Path, hashes: dict[str, str],
    tmp_path: Path,
) -> None:  # fmt: skip
    host = hosted(rounds=2)
    if not hashes:
        calm = desktop(held := Held(), tmp_path / "calm").begin()
        hashes["calm"] = play(calm, host, held, None, (tiny_model, notes))
        calm.close()
        shutil.rmtree(host.data)
        host.kill()
        host.start()
    one = desktop(held := Held()).begin()
    assert play(one, host, held, scenario, (tiny_model, notes)) == hashes["calm"]


def test_that_who_is_asked_can_decide_while_the_coordinator_is_away(
    desktop: Opened, hosted: Hosted, tiny_model: Path, notes: Path
) -> None:
    host = hosted()
    one = desktop().begin()
    one.program.engine.take_back_time = timedelta(0)
    one.join(host.address, tiny_model, notes)
    one.until_asked()
    host.kill()
    one.until(lambda: not one.desk.connected)
    sha256 = one.decide("send").sha256
    one.until(lambda: one.state_of(sha256) == "released")
    assert "nothing has left yet" in one.text("approvals")
    host.start()
    one.until_left(sha256)


# -- the worker fails ------------------------------------------------------------------------------------------------


class Failing(Workshop):
    """A workshop with a fault of the program in it: in the training, at the first step or while an agent is made."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where

    def make_agent(
        self, request: JoinRequest, approver: Approver, jobs: Jobs, emit: Callable[[events.Event], None]
    ) -> SiteAgent:
        if self.where == "agent":
            raise ZeroDivisionError("made for this test")

        def failing(event: events.Event) -> None:
            emit(event)
            if self.where == "training" and isinstance(event, events.TrainingStep):
                raise ZeroDivisionError("made for this test")

        return super().make_agent(request, approver, jobs, failing)

    def read(self, request: TrialRequest, put: Put, control: Control) -> None:
        if self.where == "reading":
            raise ZeroDivisionError("made for this test")
        super().read(request, put, control)


@pytest.mark.parametrize("where", ["agent", "training"])
def test_that_a_fault_in_the_worker_is_told_once_and_the_program_goes_on(
    where: str, desktop: Opened, hosted: Hosted, tiny_model: Path, notes: Path
) -> None:
    host = hosted()
    backend = Failing(where)
    one = desktop(backend).begin()
    one.join(host.address, tiny_model, notes)
    one.until(lambda: one.desk.ended is not None)
    one.window.show_now()
    assert len(one.faults()) == 1
    dialog = one.dialog()
    assert dialog.isVisible() and "ZeroDivisionError" in dialog.problem.sentence
    assert "made for this test" in dialog.problem.details
    assert one.log().count("Traceback (most recent call last)") == 1 and "made for this test" in one.log()
    assert one.headline() == "This cannot continue"
    dialog.accept()
    backend.where = ""
    one.click(one.window.rounds.session.status.button)
    one.until(one.window.join.join.isEnabled)
    one.click(one.window.join.join)
    one.agree()
    one.until_asked()
    assert len(one.faults()) == 1


def test_that_a_fault_while_reading_is_told_once_and_the_next_note_is_read(desktop: Opened, tiny_model: Path) -> None:
    backend = Failing("reading")
    one = desktop(backend).begin()
    one.window.trial.offer_model(tiny_model, None)
    wish = TrialWish("Aspirin helped.", ("drug",), "base", None, tiny_model)
    one.program.reading._read(wish)
    one.until(lambda: bool(one.faults()))
    assert len(one.faults()) == 1 and one.desk.readings["left"].state == "failed"
    one.dialog().accept()
    backend.where = ""
    one.program.reading._read(wish)
    one.until(lambda: one.desk.readings["left"].state == "done")
    assert len(one.faults()) == 1


@pytest.mark.slow
def test_that_a_damaged_model_file_is_a_sentence_and_no_fault(
    desktop: Opened, hosted: Hosted, tiny_model: Path, notes: Path, tmp_path: Path
) -> None:
    """Damaged after the federation was joined with it: the headers are right, the weights end early."""
    model = shutil.copytree(tiny_model, tmp_path / "model")
    host = hosted()
    one = desktop().begin()
    one.join(host.address, model, notes)
    one.until_asked()
    one.close()
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    two = desktop().begin()
    two.until(lambda: two.desk.ended is not None)
    two.window.show_now()
    assert two.headline() == "This cannot continue" and "model" in two.text("rounds")
    assert not two.faults()


def test_that_an_exception_of_a_slot_and_of_a_thread_are_told_once_each(desktop: Opened) -> None:
    one = desktop().begin()
    try:
        raise KeyError("in a slot")
    except KeyError as error:
        sys.excepthook(KeyError, error, error.__traceback__)
    thread = threading.Thread(target=lambda: {}["in a thread"])
    thread.start()
    thread.join()
    one.until(lambda: len(one.faults()) == 2)
    assert [word in one.log() for word in ("in a slot", "in a thread")] == [True, True]
