# SPDX-License-Identifier: Apache-2.0
"""What the desktop says is going on: every state is reached by what a site really tells, and has its words."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from fedmed_desktop import events
from fedmed_desktop.desktop.rounds.agreement import agreement
from fedmed_desktop.desktop.rounds.heading import steps
from fedmed_desktop.desktop.rounds.identity import six_words
from fedmed_desktop.desktop.rounds.status import LAST_STEPS, LOOKS, STEPS, State, phase_of, status, step
from fedmed_desktop.desktop.work.desk import Desk
from fedmed_desktop.desktop.work.news import SessionStarted
from fedmed_desktop.federation.client_privacy import ClientPrivacy
from fedmed_desktop.resources import resource
from tests.parts import desks
from tests.parts.approval import ADDRESS, NOW
from tests.parts.desks import MAKERS, SITE, STATES, Story, connection, phase, standing

ACTIONS = {
    "not_joined": "join",
    "agreement": "agree",
    "approval": "review",
    "countdown": "take_back",
    "paused": "resume",
    "failed": "retry",
    "finished": "results",
}


@pytest.mark.parametrize("state", STATES)
def test_that_every_state_is_reached_and_has_its_words_and_at_most_its_one_step(tmp_path: Path, state: State) -> None:
    shown = status(MAKERS[state](tmp_path), NOW)
    assert shown.state == state
    assert shown.headline and not shown.headline.endswith(".")
    assert shown.text.endswith(".") and "  " not in shown.text
    assert shown.action == ACTIONS.get(state)
    assert bool(shown.action) == bool(shown.action_label)


def test_that_who_is_asked_to_take_part_reads_how_much_noise_will_hide_the_site(tmp_path: Path) -> None:
    desk = MAKERS["agreement"](tmp_path)
    assert desk.spec is not None and (asked := agreement(desk, str)) is not None
    assert asked.hidden == ""
    hidden = desk.spec.model_copy(update={"client_privacy": ClientPrivacy(epsilon=0.1, accept_noise=True)})
    desk.record = replace(desk.record, spec=hidden)
    asked = agreement(desk, str)
    assert asked is not None and asked.hidden.endswith("can be: most likely nothing would be learned.")


def test_that_every_state_has_a_drawing_and_a_word_of_its_own() -> None:
    assert set(LOOKS) == set(STATES) == set(MAKERS)
    assert len({word for _, word, _ in LOOKS.values()}) == len(LOOKS)
    for icon, _, _ in LOOKS.values():
        assert resource(f"icons/{icon}.svg").is_file()


@pytest.mark.parametrize(
    ("state", "at"),
    [
        ("downloading", 0),
        ("training", 1),
        ("scoring", 1),
        ("paused", 1),
        ("approval", 2),
        ("countdown", 2),
        ("uploading", 3),
        ("sent", 4),
        ("combining", 4),
        ("gathering", -1),
        ("waiting", 1),
    ],
)
def test_that_the_stepper_stands_where_the_state_is(tmp_path: Path, state: State, at: int) -> None:
    assert steps(MAKERS[state](tmp_path), state) == (STEPS, at, False)


def test_that_a_failed_step_is_the_one_that_failed(tmp_path: Path) -> None:
    desk = desks.failed_round(tmp_path)
    assert status(desk, NOW).state == "failed"
    assert "learning rate" in status(desk, NOW).text
    assert steps(desk, "failed") == (STEPS, 1, True)
    assert not desk.computing.busy, "a round that failed is no work in progress"


def test_that_a_failure_is_forgotten_once_the_next_round_has_begun(tmp_path: Path) -> None:
    desk = desks.failed_round(tmp_path)
    desk.fold([phase("downloading", 4), phase("training", 4)])
    assert status(desk, NOW).state == "training"


def test_that_a_full_disk_says_that_the_site_tries_again_until_it_has(tmp_path: Path) -> None:
    story = Story(tmp_path)
    disk_full = {"code": "storage.disk_full", "params": {"path": "/data"}}
    story.tell(phase("measuring"), events.Failed(site=SITE, round=2, retry_seconds=4.0, **disk_full))
    shown = status(story.desk, NOW)
    assert shown.state == "failed" and "disk is full" in shown.text and shown.text.endswith("tries again by itself.")
    story.tell(phase("approval"))
    entry = story.site.trained(3)
    assert status(story.desk, NOW).state == "approval"
    story.tell(events.Failed(site=SITE, round=3, retry_seconds=2.0, **disk_full))
    assert status(story.desk, NOW).state == "failed", "the answer is given, and cannot be recorded"
    story.site.approve(entry)
    assert status(story.desk, NOW).state == "countdown"
    story.site.outbox.close()


def test_that_a_refusal_says_why_and_that_the_adapter_stays(tmp_path: Path) -> None:
    shown = status(desks.refused(tmp_path), NOW)
    assert shown.state == "failed"
    assert "norm" in shown.text and "stays on this computer" in shown.text


def test_that_the_steps_after_the_last_round_are_those_of_scoring(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.tell(standing("evaluating", number=10), phase("evaluating", 10))
    words, at, _ = steps(story.desk, "scoring")
    assert (words, at) == (LAST_STEPS, 1)
    story.site.outbox.close()


@pytest.mark.parametrize(("act", "state"), [("sent", "sent"), ("keep", "kept"), ("release", "uploading")])
def test_that_a_restart_shows_the_same_from_the_record_alone(tmp_path: Path, act: str, state: State) -> None:
    before = desks.decided(act)(tmp_path)
    assert status(before, NOW).state == state
    assert before.session
    after = Desk()
    after.fold([before.session, connection("connected"), desks.JOINED, before.record, standing()])
    assert phase_of(after) == phase_of(before)
    assert status(after, NOW) == status(before, NOW)


def test_that_an_earlier_rounds_outcome_is_not_taken_for_this_ones(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.tell(standing(number=3))
    assert story.desk.last_entry and story.desk.last_entry.state == "acknowledged"
    assert status(story.desk, NOW).state == "waiting"
    story.site.outbox.close()


def test_that_a_decision_is_possible_only_once_the_agent_asks(tmp_path: Path) -> None:
    story = Story(tmp_path)
    entry = story.site.trained(3, ask=False)
    story.tell(connection("lost", "link.closed"))
    assert "does not answer" in status(story.desk, NOW).text
    story.site.ask(entry)
    assert status(story.desk, NOW).headline == "Ready for your decision"
    story.site.outbox.close()


def test_that_the_countdown_counts(tmp_path: Path) -> None:
    desk = MAKERS["countdown"](tmp_path)
    assert "in 10 s" in status(desk, NOW).text
    assert "in 4 s" in status(desk, NOW + timedelta(seconds=6)).text
    assert "leaves now" in status(desk, NOW + timedelta(seconds=60)).text


def test_that_loading_the_model_is_not_called_fetching_the_adapter(tmp_path: Path) -> None:
    desk = MAKERS["preparing"](tmp_path)
    desk.fold([phase("downloading", 1)])
    blob = events.TransferProgress(site=SITE, round=1, direction="down", blob="a" * 64, bytes=5, total=10)
    desk.fold([blob])
    assert status(desk, NOW).state == "downloading"
    desk.fold([blob.model_copy(update={"bytes": 10})])
    assert status(desk, NOW).state == "preparing"
    desk.fold([desks.PREPARED, phase("waiting", 1), standing(number=1)])
    assert status(desk, NOW).headline == "Waiting for its turn"


def test_that_a_demonstration_tells_whose_turn_it_is_and_ends_with_its_scores(tmp_path: Path) -> None:
    desk = Desk()
    desk.fold([SessionStarted("demo", SITE, ADDRESS, (SITE, "south"), tmp_path, tmp_path)])
    desk.fold([connection("connected"), desks.JOINED, desks.PREPARED, phase("waiting", 1)])
    desk.fold([events.PhaseChanged(site="south", round=1, phase="training")])
    assert status(desk, NOW).text.startswith("south computes first")
    assert desk.computing.site == "south"
    desk.fold([replace(desk.record, final="f" * 64), events.PhaseChanged(site="", round=0, phase="evaluating")])
    desk.fold([events.GenerationProgress(site="", done=1, total=3)])
    shown = status(desk, NOW)
    assert (shown.state, shown.action) == ("finished", None)
    assert "1 of 3" in shown.text


def test_that_a_coordinator_that_has_to_wait_is_not_said_to_lack_updates(tmp_path: Path) -> None:
    desk = MAKERS["standstill"](tmp_path)
    assert "Too few sites" in status(desk, NOW).text
    desk.fold([standing("paused").model_copy(update={"held_up": "storage.disk_full"})])
    shown = status(desk, NOW)
    assert shown.state == "standstill" and "continues by itself" in shown.text and "Too few" not in shown.text


def test_that_a_federation_that_its_host_has_paused_is_not_said_to_lack_updates(tmp_path: Path) -> None:
    desk = MAKERS["standstill"](tmp_path)
    desk.fold([standing("paused").model_copy(update={"paused_by_host": True})])
    shown = status(desk, NOW)
    assert shown.state == "standstill" and "host has paused" in shown.headline and "Too few" not in shown.text


def test_that_a_session_that_was_stopped_can_go_on(tmp_path: Path) -> None:
    shown = status(desks.stopped(tmp_path), NOW)
    assert (shown.headline, shown.action) == ("Stopped", "retry")


@pytest.mark.parametrize(
    ("here", "expected", "words"),
    [
        (1, 0, "1 site connected."),
        (1, 4, "1 of 4 sites connected."),
        (2, 4, "2 of 4 sites connected."),
        (0, 1, "0 of 1 site"),
    ],
)
def test_that_sites_that_are_here_are_counted_in_words(here: int, expected: int, words: str) -> None:
    desk = Desk(
        session=SessionStarted("site", desks.SITE, "", (desks.SITE,), Path(), Path()),
        connection=desks.connection("connected"),
        joined=desks.JOINED.model_copy(update={"sites": expected}) if expected else None,
        prepared=desks.PREPARED,
        standing=desks.standing("gathering", number=1, sites={"waiting": here}, connected=here),
    )
    assert status(desk, NOW).text.startswith(words)


def test_that_a_round_that_goes_on_without_this_site_is_said_so_and_shows_no_step(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.tell(events.Failed(site=SITE, round=2, code="training.no_notes", params={"split": "training"}))
    story.tell(phase("not_asked"))
    shown = status(story.desk, NOW)
    assert (shown.state, shown.headline) == ("waiting", "Not asked in this round")
    assert step(story.desk, shown.state) == (-1, False)
    story.tell(phase("downloading"))
    assert status(story.desk, NOW).headline != "Not asked in this round"
    story.site.outbox.close()


def _with_words(address: str, *items: object, kind: str = "site") -> Desk:
    desk = Desk()
    started = SessionStarted(kind, SITE, address, (SITE,), Path("notes"), Path("model"))  # type: ignore[arg-type]
    desk.fold([started, connection("connected"), *items])  # type: ignore[list-item]
    return desk


def test_that_six_words_are_shown_where_somebody_could_be_in_between() -> None:
    elsewhere = _with_words("wss://federation.example.org:8765", desks.identity())
    found = six_words(elsewhere)
    assert found and found.words == desks.PHRASE and "stop, and tell the host" in found.sentence
    assert six_words(_with_words(ADDRESS, desks.identity())) is None, "a coordinator on this computer"
    assert six_words(_with_words(ADDRESS, desks.identity(), kind="demo")) is None
    assert six_words(_with_words("wss://a.example.org:1")) is None, "not known before the connection"
    waits = six_words(_with_words(ADDRESS, desks.identity(waits=True)))
    assert waits and "Then the host confirms this site." in waits.sentence


def test_that_a_lost_line_comes_before_the_hosts_word_and_its_word_ends_the_wait() -> None:
    desk = _with_words("wss://a.example.org:1", desks.identity(waits=True))
    assert status(desk, NOW).state == "unconfirmed"
    desk.fold([connection("lost", "link.closed", 5.0)])
    assert status(desk, NOW).state == "offline"
    desk.fold([connection("connected"), desks.identity(), desks.JOINED])
    assert status(desk, NOW).state == "preparing"
