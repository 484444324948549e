# SPDX-License-Identifier: Apache-2.0
"""All that the desktop knows, folded from what other threads tell it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from fedmed_desktop import events
from fedmed_desktop.desktop.rounds.status import status
from fedmed_desktop.desktop.work.desk import Desk
from fedmed_desktop.desktop.work.news import Measured, Problem, ReadingShown, SessionEnded, SessionStarted
from fedmed_desktop.desktop.work.progress import STEPS_BEFORE_ETA, Work, duration, elapsed
from fedmed_desktop.wording import amount
from tests.parts.approval import ADDRESS, NOW
from tests.parts.desks import MAKERS, SITE, Story, connection, phase, standing


def trained_step(step: int, steps: int = 100, seconds: float = 1.0, site: str = SITE) -> events.TrainingStep:
    return events.TrainingStep(
        time=NOW + timedelta(seconds=seconds * step), site=site, round=3, step=step, steps=steps, loss=1.0,
        learning_rate=1e-3, tokens_per_second=50.0, memory_mib=900.0,
    )  # fmt: skip


def test_that_a_session_starts_from_nothing_but_what_was_tried_out_and_told() -> None:
    desk = Desk()
    shown = ReadingShown("left", "done")
    told = Problem("link.closed", {"address": "x"})
    desk.fold([shown, told, connection("connected")])
    desk.fold([SessionStarted("site", SITE, ADDRESS, (SITE,), Path(), Path())])
    assert desk.readings == {"left": shown}
    assert desk.problems == [told] and desk.connection is None and desk.running


def test_that_what_ended_one_session_is_not_the_trouble_of_the_next() -> None:
    desk = Desk()
    desk.fold([Problem("link.closed", {"address": "x"}, fatal=True), SessionEnded("failed")])
    assert desk.fatal is not None
    desk.fold([SessionStarted("site", SITE, ADDRESS, (SITE,), Path(), Path())])
    assert desk.fatal is None
    desk.fold([SessionEnded("stopped")])
    assert desk.fatal is None


def test_that_after_the_end_nothing_is_connected_or_at_work(tmp_path: Path) -> None:
    desk = MAKERS["training"](tmp_path)
    assert desk.connected and desk.computing.busy
    desk.fold([SessionEnded("stopped")])
    assert not desk.connected and not desk.computing.busy and not desk.running


def test_that_other_sites_are_work_on_this_computer_and_nothing_else(tmp_path: Path) -> None:
    desk = Desk()
    desk.fold([SessionStarted("demo", SITE, ADDRESS, (SITE, "south"), tmp_path, tmp_path)])
    desk.fold([events.PhaseChanged(site="south", round=1, phase="training"), trained_step(4, site="south")])
    assert desk.phase is None and desk.work.total == 0
    assert (desk.computing.site, desk.computing.done) == ("south", 4)
    desk.fold([events.PhaseChanged(site="elsewhere", round=1, phase="training")])
    assert set(desk.others) == {"south"}
    desk.fold([phase("training", 1)])
    assert desk.computing.site == SITE


def test_that_the_sites_are_unknown_while_the_line_is_down(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.tell(connection("lost", "link.closed"))
    assert story.desk.standing and story.desk.standing.sites == {} and story.desk.standing.round == 3
    story.tell(connection("connected"), standing())
    assert story.desk.standing.sites["sent"] == 2
    story.site.outbox.close()


def test_that_a_decision_on_an_older_update_leaves_the_question_asked(tmp_path: Path) -> None:
    story = Story(tmp_path)
    entry = story.site.trained(3)
    other = events.DecisionRecorded(site=SITE, round=2, update="0" * 64, decision="expired", by="agent", reason="")
    story.tell(other)
    assert story.desk.asked == entry.sha256
    story.tell(other.model_copy(update={"update": entry.sha256}))
    assert story.desk.asked is None
    story.site.outbox.close()


def test_that_a_pause_is_seen_and_the_phase_below_it_kept(tmp_path: Path) -> None:
    desk = MAKERS["paused"](tmp_path)
    assert desk.paused and desk.phase and desk.phase.phase == "training"
    desk.fold([phase("training")])
    assert not desk.paused and status(desk, NOW).state == "training"


def test_that_the_time_of_a_pause_does_not_count_as_pace(tmp_path: Path) -> None:
    desk = MAKERS["training"](tmp_path)
    desk.fold([trained_step(n) for n in range(1, 41)])
    assert desk.work.seconds_left(NOW + timedelta(seconds=40)) == 60.0
    desk.fold([phase("paused")])
    late = [trained_step(n).model_copy(update={"time": NOW + timedelta(hours=1, seconds=n)}) for n in range(41, 71)]
    desk.fold(late)
    assert desk.work.seconds_left(late[-1].time) == 30.0


def test_that_nobody_guesses_how_long_it_takes_before_there_are_enough_steps() -> None:
    work = Work()
    for step in range(1, STEPS_BEFORE_ETA):
        work.fold(trained_step(step))
    assert work.seconds_left(NOW + timedelta(seconds=20)) is None
    work.fold(trained_step(STEPS_BEFORE_ETA))
    assert work.line(NOW + timedelta(seconds=20)) == "Training · step 20 of 100 · about 1 min left"
    assert work.seconds_left(NOW + timedelta(minutes=10)) is None, "steps have stopped coming"


def test_that_work_is_told_in_its_own_unit() -> None:
    work = Work()
    work.fold(phase("scoring_before"))
    work.fold(events.GenerationProgress(site=SITE, done=3, total=1200))
    assert work.line(NOW) == "Scoring before training · note 3 of 1,200"
    work.fold(phase("uploading"))
    work.fold(events.TransferProgress(site=SITE, direction="up", blob="a", bytes=2_500_000, total=20_200_000))
    assert work.line(NOW) == "Sending the adapter · 2.5 MB of 20.2 MB"
    assert work.share == 2.5 / 20.2
    work.fold(phase("sent"))
    assert not work.busy and work.share is None


def test_that_the_record_of_an_earlier_start_fills_the_charts_only(tmp_path: Path) -> None:
    desk = Desk()
    desk.fold([SessionStarted("site", SITE, ADDRESS, (SITE,), tmp_path, tmp_path)])
    desk.fold([Measured((phase("training"), trained_step(7)))])
    assert desk.phase is None and not desk.work.busy
    assert desk.curves.current is not None


def test_that_amounts_are_told_as_a_person_would() -> None:
    assert [duration(s) for s in (5, 70, 3 * 60, 2 * 3600 + 300)] == [
        "less than a minute", "about 1 min", "about 3 min", "about 2 h 05 min"
    ]  # fmt: skip
    assert [elapsed(s) for s in (38, 41 * 60, 7500)] == ["38 s", "41 min", "2 h 05 min"]
    assert [amount(n) for n in (512_000, 20_200_000, 3.6e10)] == ["512 kB", "20.2 MB", "36.0 GB"]
