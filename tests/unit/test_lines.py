# SPDX-License-Identifier: Apache-2.0
"""Events as lines: every phase has words, and what an operator must act on is said in full."""

from __future__ import annotations

import errno
from types import ModuleType
from typing import get_args

import pytest

from fedmed_desktop import events, wording
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.wording import told
from fedmed_desktop.wording.lines import PHASES, line


def test_that_every_phase_has_words() -> None:
    assert PHASES.keys() == set(get_args(events.Phase))


def test_that_a_lost_connection_says_what_to_do_and_when_the_next_try_is() -> None:
    lost = events.ConnectionChanged(
        site="North",
        state="lost",
        address="ws://127.0.0.1:1",
        code="link.unreachable",
        params={"address": "ws://127.0.0.1:1"},
        retry_seconds=4,
    )
    text = line(lost)
    assert text is not None and "does not answer" in text and "Next try in 4 s" in text


def test_that_an_update_arrives_in_words_and_the_final_scoring_is_of_no_round() -> None:
    assert line(events.SiteSeen(site="North", state="update")) == "North: its update has arrived"
    assert line(events.PhaseChanged(site="North", round=4, phase="evaluating")) == "North: final scoring"
    assert line(events.PhaseChanged(site="North", round=3, phase="training")) == "North: round 3: training"


@pytest.mark.parametrize(("by", "told_by"), [("agent", "the program"), ("ann", "ann"), ("rule", "rule")])
def test_that_the_program_itself_is_called_so(by: str, told_by: str) -> None:
    done = events.DecisionRecorded(site="North", round=1, update="0" * 64, decision="released", by=by, reason="")
    assert line(done) == f"North: round 1: released by {told_by}"


def test_that_a_peers_words_give_a_terminal_no_commands() -> None:
    told_so = {"code": "x\x1b[2J", "params": {"a": "\x1b]0;title\x07", "b": "Kö\u3000ln"}}
    text = line(events.UpdateRefused(site="North", round=1, update="0" * 64, **told_so))
    assert text is not None and "\x1b" not in text and "\x07" not in text and "Kö\u3000ln" in text


JOINED = events.Joined(
    site="North",
    federation="Coastal",
    environment="production",
    method="fed_medlora",
    rounds=5,
    sites=3,
    types=("drug", "problem"),
)
STANDING = events.StandingChanged(
    site="North",
    round=1,
    rounds=5,
    attempt=1,
    phase="open",
    opened=None,
    closes=None,
    sites={"training": 3},
    connected=3,
    history=(),
)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (
            JOINED,
            "North: takes part in Coastal (production): fed_medlora, 5 rounds, 3 sites expected, types drug, problem",
        ),
        (
            JOINED.model_copy(update={"rounds": 1}),
            "North: takes part in Coastal (production): fed_medlora, 1 round, 3 sites expected, types drug, problem",
        ),
        (
            events.Warned(site="North", round=2, code="storage.disk_full", params={"path": "m.sqlite"}),
            "North: round 2: The disk is full, so m.sqlite cannot be written. Free some space; everything "
            "that was acknowledged is safe.",
        ),
        (STANDING, None),
    ],
    ids=["joined", "joined-for-one-round", "warned", "standing"],
)
def test_that_an_event_is_this_line(event: events.Event, expected: str | None) -> None:
    assert line(event) == expected


def test_that_an_error_is_a_code_and_its_sentence_is_made_where_it_is_shown() -> None:
    error = UserFacingError("storage.no_update", sha256="ab12")
    assert str(error) == "storage.no_update (sha256=ab12)"
    assert told(error) == "There is no update ab12 in the outbox."
    assert told(OSError(errno.ENOSPC, "full", "m.sqlite")).startswith(
        "The disk is full, so m.sqlite cannot be written."
    )
    assert told(ValueError("anything else")) == "anything else"


def test_that_no_code_has_two_sentences() -> None:
    areas = [
        one.SENTENCES for one in vars(wording).values() if isinstance(one, ModuleType) and hasattr(one, "SENTENCES")
    ]
    assert sum(map(len, areas)) == len(wording.SENTENCES)


def test_that_rounds_and_decisions_are_told_in_whole_words() -> None:
    assert line(events.RoundClosed(round=2, reason="answered", updates=1)) == (
        "round 2 closed with 1 update: all sites have answered"
    )
    paused = line(events.FederationPaused(round=2, reason="quorum"))
    assert paused == "round 2 paused: too few updates. Start again with --resume to ask the sites once more."
    first = events.DecisionRecorded(
        site="North", round=2, update="0" * 64, decision="first_approved", by="Ann", reason="looks right"
    )
    assert line(first) == "North: round 2: approved by Ann, waits for a second person: looks right"
