# SPDX-License-Identifier: Apache-2.0
"""Decisions of a host on the rounds: a pause takes no time from anybody, and only what is there is closed or ended."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from fedmed_desktop import events
from fedmed_desktop.federation import Rounds
from fedmed_desktop.federation.actions import Combine
from fedmed_desktop.federation.decided import refusals
from fedmed_desktop.federation.inputs import (
    AwaitsApproval,
    ClosedByHost,
    HostProof,
    PausedByHost,
    Published,
    Resumed,
    SiteDeclined,
    SiteJoined,
    SiteShutOut,
    TimePassed,
    UpdateArrived,
)
from fedmed_desktop.federation.standing import standing
from fedmed_desktop.identity import PrivateKey
from fedmed_desktop.protocol.hosting import HostAct, HostBond, Pause, Publish, is_proved
from tests.parts.federation import INITIAL
from tests.parts.masked_rounds import is_the_sum
from tests.unit.test_masked_rounds import masked
from tests.unit.test_rounds import Driver, at, combined, digest, offers, update

BY = HostProof(host="H", key="a" * 64, coordinator="b" * 64, nonce="c" * 64, number=1, signature="d" * 128)
PAUSE, GO_ON = PausedByHost(by=BY), Resumed(by=BY)


def close(number: int = 1, attempt: int = 1) -> ClosedByHost:
    return ClosedByHost(round=number, attempt=attempt, by=BY)


def test_that_deadlines_are_later_by_the_time_that_a_pause_took() -> None:
    drive = Driver().opened()  # ten minutes for training
    drive(AwaitsApproval(site="A", round=1), 3)
    drive(PAUSE, 4)
    assert drive.rounds.wake_at is None and not drive(TimePassed(), 500).changed
    drive(AwaitsApproval(site="B", round=1), 100)
    step = drive(GO_ON, 1004)
    state = drive.rounds.state
    assert state.closes == at(1010) and state.awaiting == {"A": at(1003), "B": at(1004)}
    assert offers(step) == ["A", "B", "C"] and state.attempt == 1 and drive.phase == "open"
    assert any(isinstance(event, events.FederationResumed) for event in step.events)


def test_that_a_pause_before_round_one_lets_sites_join_and_begins_with_them_after_it() -> None:
    drive = Driver()
    drive(SiteJoined(site="A"), 0)
    drive(PAUSE, 1)
    for site in "BC":
        assert not drive(SiteJoined(site=site), 2).actions
    assert drive.phase == "paused" and not offers(drive(TimePassed(), 5000))
    assert offers(drive(GO_ON, 5001)) == ["A", "B", "C"]


def test_that_the_wait_for_more_sites_is_longer_by_a_pause() -> None:
    drive = Driver()
    for site in "AB":
        drive(SiteJoined(site=site), 0)
    drive(PAUSE, 10)
    drive(GO_ON, 30)
    assert drive.rounds.wake_at == at(80)  # an hour, and the twenty minutes


def test_that_what_sites_say_in_a_pause_counts_and_closes_the_round_after_it() -> None:
    drive = Driver().opened()
    drive(PAUSE, 1)
    drive(UpdateArrived(site="A", update=update("A", 1)), 2)
    drive(UpdateArrived(site="B", update=update("B", 1)), 2)
    drive(SiteDeclined(site="C", round=1, code="kept"), 3)
    assert drive.phase == "paused" and drive.rounds.state.declined == {"C": "kept"}
    step = drive(GO_ON, 4)
    assert isinstance(step.actions[-1], Combine) and drive.rounds.state.reason == "answered"


def test_that_a_site_shut_out_in_a_pause_is_not_waited_for_after_it() -> None:
    drive = Driver().opened()
    for site in "AB":
        drive(UpdateArrived(site=site, update=update(site, 1)), 1)
    drive(PAUSE, 2)
    assert not drive(SiteShutOut(site="C"), 3).actions
    assert isinstance(drive(GO_ON, 4).actions[-1], Combine)


def test_that_a_pause_for_a_lack_of_updates_stays_another_one() -> None:
    drive = Driver().opened()
    drive(TimePassed(), 10)
    drive(TimePassed(), 20)
    assert drive(PAUSE, 21).objection is not None and drive.rounds.state.reason == "quorum"
    for site in "AB":
        drive(UpdateArrived(site=site, update=update(site, 1)), 30)
    step = drive(close(attempt=2), 31)  # late ones are enough: nobody needs to be asked again
    assert isinstance(step.actions[-1], Combine) and drive.rounds.state.reason == "host"


def test_that_sites_are_told_of_a_pause_and_are_not_called_missing_in_it() -> None:
    drive = Driver().opened()
    drive(UpdateArrived(site="A", update=update("A", 1)), 1)
    drive(PAUSE, 2)
    told = standing(drive.rounds.spec, drive.rounds.state, {"B": (1, "training")}, ["A", "B"])
    assert told.paused_by_host and told.phase == "paused" and told.closes is None
    assert told.sites == {"sent": 1, "training": 1, "offline": 1}
    drive(GO_ON, 3)
    assert not standing(drive.rounds.spec, drive.rounds.state, {}, []).paused_by_host


def test_that_a_published_federation_keeps_receipts_and_scores_nothing_as_final() -> None:
    drive = Driver().opened()
    for site in "ABC":
        drive(UpdateArrived(site=site, update=update(site, 1)), 1)
    drive(combined(1), 2)
    drive(UpdateArrived(site="A", update=update("A", 2)), 3)
    step = drive(Published(adapter=digest("global 1"), by=BY), 4)
    state = drive.rounds.state
    assert drive.phase == "finished" and state.start == digest("global 1") and state.evaluation == {}
    assert drive.rounds.receipt_for("A", 2) == update("A", 2).sha256 and not state.plans
    assert [event.adapter for event in step.events if isinstance(event, events.FederationFinished)] == [state.start]
    late = drive(UpdateArrived(site="B", update=update("B", 2)), 5)
    assert not late.changed
    again = drive(Published(adapter=state.start, by=BY), 6)
    assert again.objection is not None and again.objection.code == "hosting.finished"


def test_that_a_state_that_a_host_never_touched_is_written_as_before() -> None:
    drive = Driver().opened()
    assert "held" not in drive.rounds.dump() and "resumed" not in drive.rounds.dump()
    assert Resumed().model_dump_json() == '{"input":"resumed"}'
    drive(PAUSE, 1)
    assert Rounds(drive.rounds.spec, drive.rounds.dump()).dump() == drive.rounds.dump()


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [
        (0.5, {"resume": "hosting.not_paused", "close": "hosting.no_quorum", "publish": "hosting.nothing_closed"}),
        (2.0, {"pause": "hosting.is_paused", "close": "hosting.is_paused", "publish": "hosting.nothing_closed"}),
    ],
)
def test_that_a_face_is_told_which_acts_would_be_refused(minutes: float, expected: dict[str, str]) -> None:
    drive = Driver().opened()
    if minutes > 1:
        drive(PAUSE, minutes)
    assert refusals(drive.rounds.spec, drive.rounds.state) == expected


def test_that_a_pause_between_keys_and_shares_breaks_no_masked_round(tmp_path: Path) -> None:
    run = masked(tmp_path)
    run.join()
    assert run.say("A")
    run.give(PAUSE)
    for name in "BC":  # all keys come meanwhile, and nothing is fixed
        assert run.say(name)
    assert run.rounds.state.masking and not run.rounds.state.masking.roster
    run.wait(60 * 24)
    assert not run.give(TimePassed())
    run.give(GO_ON)
    assert run.rounds.state.masking.roster == ("A", "B", "C")
    run.settle()
    assert is_the_sum(run.due[0], run.sites, run.spec)


def test_that_a_masked_round_that_a_host_closes_opens_the_sum_of_those_that_sent(tmp_path: Path) -> None:
    run = masked(tmp_path, "ABCD")
    run.join()
    run.sites["D"].willing = False
    run.settle()
    assert run.rounds.state.phase == "open" and len(run.rounds.state.updates) == 3
    assert run.give(close())
    run.settle()
    assert set(run.due[0].updates) == {"A", "B", "C"} and is_the_sum(run.due[0], run.sites, run.spec)


def test_that_a_federation_can_be_ended_whose_sum_nobody_is_left_to_open(tmp_path: Path) -> None:
    run = masked(tmp_path)
    run.join()
    run.settle()
    assert run.rounds.state.due and refusals(run.spec, run.rounds.state)["publish"] == "hosting.combining"
    run.give(combined(1).model_copy(update={"adapter": INITIAL.sha256}))
    while run.rounds.state.phase == "open":
        for name in "ABC":
            run.say(name)
    for name in "BC":
        run.give(SiteShutOut(site=name))
        run.sites[name].there = False
    run.settle()
    assert run.rounds.state.phase == "combining" and run.rounds.due() is None
    assert "publish" not in refusals(run.spec, run.rounds.state)
    assert run.give(Published(adapter=INITIAL.sha256, by=BY))
    assert run.rounds.state.phase == "finished" and not run.say("A")


def test_that_an_act_in_the_ledger_proves_who_asked_for_it() -> None:
    key, federation = PrivateKey(b"k" * 32), "ab" * 32
    bond = HostBond(federation, key.public, "cd" * 32, "ef" * 32)
    proof = {"host": "H", "key": bond.host, "coordinator": bond.coordinator, "nonce": bond.nonce, "number": 7}
    paused = bond.signed(key, HostAct(number=7, act=Pause()))
    published = bond.signed(key, HostAct(number=7, act=Publish(adapter="aa" * 32)))
    assert is_proved(federation, PausedByHost(by=HostProof(**proof, signature=paused.signature)))
    assert is_proved(federation, Resumed())  # done at the coordinator itself
    assert not is_proved(federation, Resumed(by=HostProof(**proof, signature=paused.signature)))
    assert not is_proved("12" * 32, PausedByHost(by=HostProof(**proof, signature=paused.signature)))
    signed = HostProof(**proof, signature=published.signature)
    assert is_proved(federation, Published(adapter="aa" * 32, by=signed))
    assert not is_proved(federation, Published(adapter="bb" * 32, by=signed))


def test_that_sites_have_their_whole_time_for_transfers_after_a_pause() -> None:
    from fedmed_desktop.federation.deadlines import Watch

    drive = Driver().opened()
    watch = Watch(drive.rounds.spec, at(0))
    watch.moved("A", 1, "download", at(1))
    drive(PAUSE, 9)
    drive(GO_ON, 5000)
    stalled = watch.time_passed(drive.rounds.state, at(5000) + timedelta(seconds=1)).stalled
    assert stalled == {} and watch.quiet(drive.rounds.state, at(5001)) == {}
