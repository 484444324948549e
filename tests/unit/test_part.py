# SPDX-License-Identifier: Apache-2.0
"""A site's part in a federation, without a line and without a clock: what is asked, decided, released and offered."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from fedmed_desktop import events
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation import part_actions as do
from tests.parts.federation import INITIAL, small_spec
from tests.parts.loopback import all_of
from tests.parts.site import DELAY, SPEC, Site, plan, result
from tests.parts.told import told_as

DISK_FULL = UserFacingError("storage.disk_full", path="/data", retryable=True)
BROKEN = UserFacingError("training.diverged", step=3, rate=0.1)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    one = Site(tmp_path)
    yield one
    one.close()


def test_that_a_round_goes_from_its_plan_to_its_receipt(site: Site) -> None:
    entry = site.until_asked(plan())
    assert entry.update == result(plan()).update and not site.offered
    site.decide()
    assert site.entry(entry.sha256).effective == site.now + DELAY
    site.wait()
    assert site.offered == [entry.sha256]
    site.give(lambda: site.part.receipt(entry.sha256))
    assert site.states == ["acknowledged"] and site.decided == ["approved", "released"]
    assert [name for _, name in site.phases] == ["downloading", "approval", "uploading", "sent"]
    assert site.fetched == [INITIAL.sha256] and site.trained == [plan()]
    assert [event.bytes for event in all_of(site.told, events.UpdatePending)] == [entry.update.size]
    assert len(all_of(site.told, events.ReceiptReceived)) == len(all_of(site.told, events.PlanFetched)) == 1
    assert not site.declined


def test_that_nothing_is_released_before_the_time_for_taking_back_is_over(site: Site) -> None:
    entry = site.until_asked(plan())
    site.decide()
    site.wait(DELAY - timedelta(microseconds=1))
    assert site.states == ["approved"] and not site.offered
    site.wait(timedelta(microseconds=1))
    assert site.states == ["released"] and site.offered == [entry.sha256]


def test_that_an_approval_that_is_taken_back_is_asked_again_and_waits_its_whole_time_again(site: Site) -> None:
    entry = site.until_asked(plan())
    site.decide()
    site.wait(DELAY / 2)
    site.take_back(entry.sha256)
    assert isinstance(site.under_way, do.AskPerson) and site.decided == ["approved", "taken_back"]
    site.wait(10 * DELAY)
    assert site.states == ["pending"] and not site.offered
    site.decide()
    site.wait(DELAY / 2)
    assert not site.offered
    site.wait(DELAY / 2)
    assert site.offered == [entry.sha256]
    with told_as("cannot be taken_back any more"):
        site.take_back(entry.sha256)
    assert site.decided == ["approved", "taken_back", "approved", "released"]


def test_that_what_a_person_takes_back_at_the_last_moment_is_not_released(site: Site) -> None:
    """The person's word is on disk, and the part does not know of it yet when the time is over."""
    entry = site.until_asked(plan())
    site.decide()
    site.outbox.decide(do.Record(entry.sha256, "taken_back", "ann", "no"), site.now)
    site.wait()
    assert site.states == ["pending"] and not site.offered and isinstance(site.under_way, do.AskPerson)
    assert site.decided == ["approved"], "a release that the outbox did not take is not told"


def test_that_a_plan_that_comes_again_while_it_is_answered_only_has_the_phase_told_again(site: Site) -> None:
    site.ask(plan())
    site.ask(plan())
    assert site.sent[-1] == do.Tell(1, "downloading") and len(site.sent) == 2
    site.until_asked(plan())
    before = list(site.told)
    site.ask(plan())
    assert site.sent[-1] == do.Tell(1, "approval") and site.told == before and site.trained == [plan()]


def test_that_an_answered_plan_is_answered_again_from_the_outbox(site: Site) -> None:
    entry = site.until_asked(plan())
    site.decide()
    site.wait()
    site.ask(plan())
    assert site.offered == [entry.sha256], "on this line it has been offered"
    site.give(lambda: site.part.refused(entry.sha256, "update.wrong_norm", {}))
    site.ask(plan())
    assert site.declined == [(1, "failed")] * 2 and site.under_way is None
    assert site.trained == [plan()]


def test_that_what_was_acknowledged_is_offered_again_to_who_asks_for_it_again(site: Site) -> None:
    entry = site.until_asked(plan())
    site.decide()
    site.wait()
    site.give(lambda: site.part.receipt(entry.sha256))
    site.welcome()
    assert site.offered == [entry.sha256], "nobody has asked yet"
    site.ask(plan())
    assert site.offered == [entry.sha256] * 2 and site.phases[-1] == (1, "uploading")
    site.give(lambda: site.part.refused(entry.sha256, "update.not_asked", {}))
    site.ask(plan(), attempt=2)
    assert site.offered == [entry.sha256] * 3 and not site.declined
    site.give(lambda: site.part.receipt(entry.sha256))
    assert site.states == ["acknowledged"] and site.phases[-1] == (1, "sent")
    assert site.decided == ["approved", "released"] and site.trained == [plan()]


def test_that_an_update_of_a_later_round_waits_for_a_coordinator_that_goes_on_from_an_older_backup(site: Site) -> None:
    """In the round before it would be refused, for good."""
    entry = site.until_asked(plan(2))
    site.decide()
    site.give(site.part.line_lost)
    site.wait()
    site.welcome()  # in round 1
    site.wait()
    assert site.states == ["released"] and not site.offered
    site.until_asked(plan(1))
    site.ask(plan(2))
    assert site.offered == [entry.sha256]
    site.give(lambda: site.part.receipt(entry.sha256))
    assert site.states == ["expired", "acknowledged"]


def test_that_an_update_that_nobody_asked_for_yet_is_offered_once_it_is_asked_for(site: Site) -> None:
    """Its site was shut out and came back: the round went on without it, and may ask it again for want of others."""
    entry = site.until_asked(plan())
    site.decide()
    site.wait()
    site.give(lambda: site.part.refused(entry.sha256, "update.not_asked", {}))
    assert site.states == ["released"] and site.offered == [entry.sha256] and not site.declined
    site.ask(plan(), attempt=3)
    assert site.offered == [entry.sha256] * 2
    site.give(lambda: site.part.refused(entry.sha256, "update.not_asked", {}))
    site.ask(plan(2))  # of which some methods' training waits for the word on this one
    assert site.offered == [entry.sha256] * 3
    site.give(lambda: site.part.refused(entry.sha256, "update.round_closed", {}))
    assert site.states == ["refused"]


def test_that_what_is_kept_is_declined_and_asked_again_only_at_a_new_attempt(site: Site) -> None:
    entry = site.until_asked(plan())
    site.decide(approve=False)
    assert site.states == ["kept"] and site.declined == [(1, "kept")] and not site.offered
    site.ask(plan())
    site.crash()
    site.welcome()
    site.ask(plan())
    assert site.declined == [(1, "kept")] * 3 and site.under_way is None
    assert site.until_asked(plan(), attempt=2).sha256 == entry.sha256
    site.decide(approve=False)
    assert site.declined == [(1, "kept")] * 4 and site.under_way is None, "once per attempt"
    site.until_asked(plan(), attempt=3)
    site.decide()
    site.wait()
    assert site.offered == [entry.sha256] and site.trained == [plan()]
    assert [one.decision for one in site.outbox.decisions()] == [
        *("kept", "asked_again", "kept", "asked_again", "approved", "released")
    ]  # fmt: skip


def test_that_an_update_of_an_older_program_that_was_kept_stays_kept_at_this_attempt(site: Site) -> None:
    """Nothing says at which attempt it was kept."""
    site.until_asked(plan(), attempt=2)
    site.decide(approve=False)
    with site.outbox._database.transaction() as connection:
        connection.execute("DELETE FROM facts WHERE name LIKE 'attempt %'")
    site.crash()
    site.welcome()
    site.ask(plan(), attempt=2)
    assert site.states == ["kept"] and site.under_way is None
    site.until_asked(plan(), attempt=3)


def test_that_an_approval_that_is_not_in_effect_at_a_restart_is_a_question_again(site: Site) -> None:
    entry = site.until_asked(plan())
    site.decide()
    site.now += 2 * DELAY  # over, but the program was not there to release it
    site.crash()
    assert site.states == ["pending"] and site.part.wake_at is None
    site.welcome()
    assert not site.offered
    assert site.until_asked(plan()).sha256 == entry.sha256
    assert site.trained == [plan()] and site.decided == ["approved", "taken_back"]
    last = site.outbox.decisions()[-1]
    assert (last.decision, last.by) == ("taken_back", "agent") and "ended before" in last.reason


def test_that_a_program_that_ends_drops_what_is_under_way_and_takes_back_what_is_not_in_effect(site: Site) -> None:
    site.until_asked(plan())
    site.decide()
    site.give(site.part.restarted)
    assert site.states == ["pending"] and site.under_way is None
    site.wait(10 * DELAY)
    assert site.states == ["pending"]


def test_that_a_released_update_is_offered_once_on_each_line_until_it_is_answered(site: Site) -> None:
    entry = site.until_asked(plan())
    site.decide()
    site.give(site.part.line_lost)
    site.wait()
    assert site.states == ["released"] and not site.offered, "nobody would hear it"
    site.welcome()
    site.welcome()
    assert site.offered == [entry.sha256] * 2
    site.crash()
    site.welcome()
    assert site.offered == [entry.sha256] * 3, "before any plan is asked for"
    site.give(lambda: site.part.receipt(entry.sha256))
    site.welcome()
    assert site.offered == [entry.sha256] * 3


@pytest.mark.parametrize("decided", [False, True], ids=["pending", "approved"])
@pytest.mark.parametrize("how", ["next plan", "not asked", "finished"])
def test_that_what_waits_when_its_round_closes_expires_and_is_never_sent(how: str, decided: bool, site: Site) -> None:
    entry = site.until_asked(plan())
    if decided:
        site.decide()
    match how:
        case "next plan":
            site.ask(plan(2))
            assert isinstance(site.under_way, do.Fetch)
        case "not asked":
            site.give(lambda: site.part.not_asked(2))
            assert site.under_way is None and site.phases[-1] == (2, "not_asked")
        case "finished":
            site.give(lambda: site.part.finished("ab" * 32))
    assert site.entry(entry.sha256).state == "expired" and (1, "missed") in site.phases
    assert site.decided[-1] == "expired"
    site.wait(10 * DELAY)
    site.welcome()
    assert not site.offered
    site.ask(plan())
    assert site.declined == [(1, "expired")]


def test_that_a_site_that_is_not_asked_in_its_own_round_goes_on(site: Site) -> None:
    site.until_asked(plan(2))
    site.give(lambda: site.part.not_asked(2))
    site.give(lambda: site.part.not_asked(1))
    assert isinstance(site.under_way, do.AskPerson) and site.states == ["pending"]


def test_that_a_refusal_is_told_and_followed_by_a_declined_round_and_repeats_change_nothing(site: Site) -> None:
    entry = site.until_asked(plan())
    site.decide()
    site.wait()
    for _ in range(2):
        site.give(lambda: site.part.refused(entry.sha256, "update.wrong_norm", {"found": 1.0}))
        site.give(lambda: site.part.receipt(entry.sha256))
        site.give(lambda: site.part.receipt("00" * 32))
    (refusal,) = all_of(site.told, events.UpdateRefused)
    assert (refusal.code, refusal.params) == ("update.wrong_norm", {"found": 1.0})
    assert site.states == ["refused"] and site.entry(entry.sha256).code == "update.wrong_norm"
    assert site.declined == [(1, "failed")]


def test_that_a_late_refusal_does_not_decline_the_plan_that_is_being_answered(site: Site) -> None:
    late = site.until_asked(plan())
    site.decide()
    site.wait()
    site.ask(plan(2))
    site.give(lambda: site.part.refused(late.sha256, "update.round_closed", {}))
    assert site.states == ["refused"] and not site.declined and isinstance(site.under_way, do.Fetch)


def test_that_a_lower_plan_of_the_same_round_is_trained_and_the_other_update_is_not_offered(site: Site) -> None:
    site.until_asked(plan())
    lower = plan().model_copy(update={"rank": 1})
    entry = site.until_asked(lower)
    site.decide()
    site.wait()
    assert site.trained == [plan(), lower] and site.offered == [entry.sha256]


def test_that_a_pending_verdict_on_an_earlier_update_holds_up_who_goes_on_from_it_and_nobody_else(
    tmp_path: Path,
) -> None:
    cases = (("scaffold", "float32", True), ("fed_medlora", "float32", False), ("fed_medlora", "int4", True))
    for name, dtype, waits in cases:
        spec = small_spec(rounds=3, sites=1, quorum=1, method={"name": name}, transfer={"dtype": dtype})
        site = Site(tmp_path / name / dtype, spec)
        entry = site.until_asked(plan(1, spec))
        site.decide()
        site.wait()
        site.ask(plan(2, spec))
        site.work()
        assert (site.under_way is None) == waits
        if waits:
            site.ask(plan(2, spec))
            assert site.under_way is None and site.sent[-1] == do.Tell(2, "downloading")
            site.welcome()
            site.give(lambda: site.part.receipt(entry.sha256))  # noqa: B023
        assert isinstance(site.under_way, do.Train)
        site.close()


def test_that_the_final_adapter_is_fetched_and_written_down_before_it_is_told(site: Site) -> None:
    site.ask(plan())
    site.give(lambda: site.part.finished("ab" * 32, "cd" * 32))
    assert isinstance(site.under_way, do.Fetch) and site.under_way.blobs == ("ab" * 32, "cd" * 32)
    assert not all_of(site.told, events.FederationFinished)
    site.work()
    assert site.final is not None and (site.final.adapter, site.final.frozen) == ("ab" * 32, "cd" * 32)
    assert [event.adapter for event in all_of(site.told, events.FederationFinished)] == ["ab" * 32]


def test_that_a_plan_that_the_specification_does_not_know_is_neither_fetched_nor_trained(site: Site) -> None:
    site.ask(plan().model_copy(update={"own": ("B",)}))
    assert site.under_way is None and not site.fetched and site.declined == [(1, "failed")]
    assert [event.code for event in all_of(site.told, events.Failed)] == ["plan.not_of_spec"]


def test_that_another_federation_is_refused_by_name(site: Site) -> None:
    with pytest.raises(UserFacingError) as caught:
        site.give(lambda: site.part.welcomed(small_spec(name="Other"), 1))
    assert caught.value.code == "join.other_federation" and caught.value.params["known"] == SPEC.name


# -- faults ------------------------------------------------------------------------------------------------------------


def test_that_what_fails_for_good_costs_the_round_and_is_done_when_the_plan_comes_again(site: Site) -> None:
    site.ask(plan())
    site.work()
    site.fail(BROKEN)
    (failed,) = all_of(site.told, events.Failed)
    assert (failed.code, failed.round, failed.retry_seconds) == ("training.diverged", 1, None)
    assert site.declined == [(1, "failed")] and site.part.wake_at is None
    assert site.until_asked(plan(), attempt=2).update == result(plan()).update


def test_that_a_full_disk_is_told_and_tried_again_later_and_later_until_it_takes_the_update(site: Site) -> None:
    site.ask(plan())
    site.work()
    site.fault = DISK_FULL
    site.work()
    waits = []
    for _ in range(10):
        assert site.part.wake_at is not None
        waits.append(site.part.wake_at - site.now)
        site.wait(waits[-1] - timedelta(seconds=1))
        before = len(all_of(site.told, events.Failed))
        site.wait(timedelta(seconds=1))
        assert len(all_of(site.told, events.Failed)) == before + 1, "it tries when it said it would"
    assert waits == sorted(waits) and waits[0] < waits[1] < waits[-1] == timedelta(minutes=5)
    assert [event.retry_seconds for event in all_of(site.told, events.Failed)][:10] == [
        wait.total_seconds() for wait in waits
    ]
    assert {event.code for event in all_of(site.told, events.Failed)} == {"storage.disk_full"}
    site.fault = None
    site.wait(timedelta(minutes=5))
    assert isinstance(site.under_way, do.AskPerson) and site.trained == [plan()] and not site.declined


@pytest.mark.parametrize("moment", ["fetch", "train", "final"])
def test_that_what_takes_long_is_tried_again_as_well(moment: str, site: Site) -> None:
    if moment == "final":
        site.give(lambda: site.part.finished("ab" * 32))
    else:
        site.ask(plan())
        if moment == "train":
            site.work()
    action = site.under_way
    site.fail(DISK_FULL)
    assert site.under_way is None and not site.declined
    site.ask(plan()) if moment != "final" else None
    assert site.under_way is None, "a plan that comes again does not make it sooner"
    site.wait(timedelta(seconds=2))
    assert site.under_way is action


def test_that_an_approval_that_the_disk_did_not_take_is_recorded_later_and_moves_nothing_before(site: Site) -> None:
    entry = site.until_asked(plan())
    site.fault = DISK_FULL
    site.decide()
    assert site.states == ["pending"] and site.decided == []
    site.wait(timedelta(seconds=2))
    site.fault = None
    site.wait(timedelta(seconds=4))
    assert site.states == ["approved"] and site.entry(entry.sha256).effective == site.now + DELAY
    site.fault = DISK_FULL
    site.wait()
    assert site.states == ["approved"] and not site.offered, "nor is it released unless that is on disk"
    site.fault = None
    site.wait(timedelta(seconds=2))
    assert site.offered == [entry.sha256]


def test_that_a_final_adapter_that_cannot_be_had_ends_the_site_with_the_reason(site: Site) -> None:
    site.give(lambda: site.part.finished("ab" * 32))
    with pytest.raises(UserFacingError) as caught:
        site.fail(UserFacingError("storage.no_blob", sha256="ab" * 32))
    assert caught.value.code == "storage.no_blob"


def test_that_late_answers_of_what_was_dropped_change_nothing(site: Site) -> None:
    site.ask(plan())
    fetch = site.under_way
    assert isinstance(fetch, do.Fetch) and isinstance(fetch.then, do.Train)
    train = fetch.then
    site.work()
    site.ask(plan(2))
    told = list(site.told)
    site.give(lambda: site.part.done(fetch))
    site.give(lambda: site.part.trained(train, result(plan())))
    site.give(lambda: site.part.failed(train, BROKEN, site.now))
    assert site.told == told and site.states == []
    site.until_asked(plan(2))
    question = site.under_way
    assert isinstance(question, do.AskPerson)
    site.ask(plan(3))
    site.give(lambda: site.part.decided(question, True, "ann", "late", DELAY))
    assert site.part.due is site.under_way and isinstance(site.under_way, do.Fetch)
    site.wait()
    assert site.states == ["expired"] and not site.offered


# -- pausing -----------------------------------------------------------------------------------------------------------


def test_that_a_paused_site_shows_it_where_it_would_compute_and_goes_on_with_all_else(site: Site) -> None:
    site.ask(plan())
    site.give(lambda: site.part.computes(1, "training"))
    for _ in range(2):
        site.give(lambda: site.part.pause(True))
    site.give(lambda: site.part.computes(1, "measuring"))
    assert site.phases[1:] == [(1, "training"), (1, "paused")]
    site.ask(plan())
    assert site.sent[-1] == do.Tell(1, "paused")
    site.until_asked(plan())
    assert site.phases[-1] == (1, "approval"), "a decision does not wait"
    site.decide()
    site.wait()
    site.give(lambda: site.part.computes(2, "waiting"))
    site.give(lambda: site.part.computes(2, "training"))
    assert site.phases[-2:] == [(1, "uploading"), (2, "paused")]
    for _ in range(2):
        site.give(lambda: site.part.pause(False))
    assert site.phases[-2:] == [(2, "paused"), (2, "training")]
    assert [one for one in site.sent if isinstance(one, do.Tell)][-1] == do.Tell(2, "training")


def test_that_work_that_goes_on_gives_signs_but_changes_no_face_and_none_while_paused(site: Site) -> None:
    site.ask(plan())
    site.give(lambda: site.part.computes(1, "training"))
    phases, tells = list(site.phases), len([one for one in site.sent if isinstance(one, do.Tell)])
    site.give(site.part.works)
    assert site.phases == phases
    assert [one for one in site.sent if isinstance(one, do.Tell)][tells:] == [do.Tell(1, "training")]
    site.give(lambda: site.part.pause(True))
    told = len(site.sent)
    site.give(site.part.works)
    assert len(site.sent) == told
