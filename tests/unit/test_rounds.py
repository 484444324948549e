# SPDX-License-Identifier: Apache-2.0
"""Each transition of the rounds, worked by hand. Training takes 10 minutes, an operator has 60, joining 60."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from fedmed_desktop import events
from fedmed_desktop.federation import Part, Report, Rounds, Update
from fedmed_desktop.federation.actions import Acknowledge, Combine, Offer, Reject, Step
from fedmed_desktop.federation.inputs import (
    AwaitsApproval,
    Input,
    Resumed,
    RoundCombined,
    SiteDeclined,
    SiteJoined,
    SiteShutOut,
    TimePassed,
    UpdateArrived,
)
from fedmed_desktop.federation.methods import Scaffold
from fedmed_desktop.federation.record import KEPT_ROUNDS
from fedmed_desktop.federation.spec import ShareSettings
from fedmed_desktop.scores import Counts, Scores, TaskScores
from tests.parts.federation import INITIAL, small_spec

BEGIN = datetime(2026, 1, 1, 8, 0, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return BEGIN + timedelta(minutes=minutes)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def update(site: str, round_number: int, variant: str = "", **report: object) -> Update:
    values: dict[str, object] = {"notes": 10, "supervised_tokens": 70, "loss_before": 1.0, "update_norm": 2.0}
    part = Part(sha256=digest(f"{site} {round_number} {variant}"), size=100)
    return Update(round=round_number, parts={"adapter": part}, report=Report.model_validate(values | report))


def evaluation(round_number: int, tp: int = 1) -> Update:
    report = Report(kind="evaluate", notes=5, scores_after=Scores.of_entities(TaskScores(unified=Counts(tp=tp))))
    return Update(round=round_number, parts={}, report=report)


def combined(round_number: int) -> RoundCombined:
    return RoundCombined(
        round=round_number, adapter=digest(f"global {round_number}"), residual=0.1, norm=1.0, effective_rank=1.5
    )


class Driver:
    """Feeds inputs at minutes and remembers the last step."""

    def __init__(self, **spec: object) -> None:
        self.rounds = Rounds(small_spec(**spec))  # type: ignore[arg-type]

    def __call__(self, given: Input, minute: float) -> Step:
        return self.rounds.handle(given, at(minute))

    @property
    def phase(self) -> str:
        return self.rounds.state.phase

    def opened(self) -> Driver:
        for site in "ABC":
            self(SiteJoined(site=site), 0)
        return self


def offers(step: Step) -> list[str]:
    return [action.site for action in step.actions if isinstance(action, Offer)]


def test_that_round_one_opens_when_the_expected_sites_have_joined() -> None:
    drive = Driver()
    assert drive(SiteJoined(site="B"), 0).actions == []
    assert not drive(SiteJoined(site="B"), 1).changed
    drive(SiteJoined(site="A"), 2)
    assert drive.phase == "gathering"
    step = drive(SiteJoined(site="C"), 3)
    assert offers(step) == ["A", "B", "C"]
    assert drive.rounds.state.closes == at(13)
    plan = drive.rounds.plan_for("A")
    assert plan is not None and plan.start == INITIAL.sha256 and plan.kind == "train"
    assert plan.seed == drive.rounds.spec.site_seed("A", 1)


def test_that_a_quorum_does_not_wait_for_ever_for_the_last_site() -> None:
    drive = Driver()
    drive(SiteJoined(site="A"), 0)
    assert drive.rounds.wake_at is None
    drive(SiteJoined(site="B"), 5)
    assert drive.rounds.wake_at == at(60)
    assert not drive(TimePassed(), 59.9).changed
    assert offers(drive(TimePassed(), 60)) == ["A", "B"]


def test_that_a_site_that_joins_late_takes_part_from_the_next_round() -> None:
    drive = Driver().opened()
    assert drive(SiteJoined(site="D"), 1).actions == []
    late = drive(UpdateArrived(site="D", update=update("D", 1)), 2)
    assert late.actions == [Reject("D", 1, update("D", 1).sha256, "update.not_asked")]
    for site in "ABC":
        drive(UpdateArrived(site=site, update=update(site, 1)), 3)
    assert offers(drive(combined(1), 4)) == ["A", "B", "C", "D"]


def test_that_nobody_waits_for_a_site_that_is_shut_out_and_what_it_has_sent_counts() -> None:
    drive = Driver(quorum=1).opened()
    drive(UpdateArrived(site="A", update=update("A", 1)), 1)
    assert drive(SiteShutOut(site="A"), 2).changed and drive.phase == "open"
    assert drive.rounds.receipt_for("A", 1) == update("A", 1).sha256
    drive(UpdateArrived(site="B", update=update("B", 1)), 3)
    step = drive(SiteShutOut(site="C"), 4)
    assert drive.phase == "combining" and isinstance(step.actions[-1], Combine)
    assert not drive(SiteShutOut(site="C"), 5).changed
    assert offers(drive(combined(1), 6)) == ["B"]
    late = drive(UpdateArrived(site="C", update=update("C", 2)), 7)
    assert late.actions == [Reject("C", 2, update("C", 2).sha256, "update.not_asked")]
    drive(SiteJoined(site="C"), 8)  # the host has invited it again
    drive(UpdateArrived(site="B", update=update("B", 2)), 9)
    assert offers(drive(combined(2), 10)) == ["B", "C"]


def test_that_the_last_update_closes_the_round_and_asks_for_the_combination() -> None:
    drive = Driver().opened()
    for site in "AB":
        step = drive(UpdateArrived(site=site, update=update(site, 1)), 1)
        assert step.changed and step.actions == [Acknowledge(site, 1, update(site, 1).sha256)]
    step = drive(UpdateArrived(site="C", update=update("C", 1, supervised_tokens=140)), 2)
    assert drive.phase == "combining"
    due = step.actions[-1]
    assert isinstance(due, Combine)
    assert due.weights == {"A": 0.25, "B": 0.25, "C": 0.5}
    assert drive.rounds.due() == due
    assert drive.rounds.plan_for("A") is None and drive.rounds.wake_at is None


def test_that_a_combination_opens_the_next_round_and_leaves_a_record() -> None:
    drive = Driver().opened()
    drive(SiteDeclined(site="C", round=1, code="kept"), 1)
    for site, norm in (("A", 2.0), ("B", 4.0)):
        drive(UpdateArrived(site=site, update=update(site, 1, update_norm=norm)), 2)
    assert not drive(combined(2), 3).changed
    step = drive(combined(1), 3)
    state = drive.rounds.state
    assert offers(step) == ["A", "B", "C"] and state.round == 2 and state.start == digest("global 1")
    record = state.history[0]
    assert (record.declined, record.missing, record.reason) == ({"C": "kept"}, (), "answered")
    assert record.sites["A"].drift.model == pytest.approx(2 / 3)  # |u| / (0 + median 3)
    assert record.sites["B"].weight == 0.5
    assert state.references is not None and state.references.median_update_norm == 3.0
    assert not drive(combined(1), 4).changed


def test_that_the_deadline_closes_a_round_that_has_its_quorum() -> None:
    drive = Driver().opened()
    for site in "AB":
        drive(UpdateArrived(site=site, update=update(site, 1)), 1)
    assert drive.rounds.wake_at == at(10)
    assert not drive(TimePassed(), 9.99).changed
    assert drive(TimePassed(), 10).changed
    drive(combined(1), 11)
    record = drive.rounds.state.history[0]
    assert (record.reason, record.missing, sorted(record.sites)) == ("train", ("C",), ["A", "B"])


def test_that_a_late_update_is_refused_and_a_repeated_one_acknowledged_again() -> None:
    drive = Driver().opened()
    for site in "AB":
        drive(UpdateArrived(site=site, update=update(site, 1)), 1)
    drive(TimePassed(), 10)
    late = update("C", 1)
    expected = [Reject("C", 1, late.sha256, "update.round_closed")]
    assert drive(UpdateArrived(site="C", update=late), 11).actions == expected
    drive(combined(1), 12)
    assert drive(UpdateArrived(site="C", update=late), 13).actions == expected
    again = drive(UpdateArrived(site="A", update=update("A", 1)), 14)
    assert not again.changed and again.actions == [Acknowledge("A", 1, update("A", 1).sha256)]


def test_that_a_second_different_update_of_a_site_is_refused() -> None:
    drive = Driver().opened()
    drive(UpdateArrived(site="A", update=update("A", 1)), 1)
    other = update("A", 1, "other")
    assert drive(UpdateArrived(site="A", update=other), 2).actions == [Reject("A", 1, other.sha256, "update.second")]
    assert drive.rounds.receipt_for("A", 1) == update("A", 1).sha256


def test_that_a_site_that_declined_may_still_send() -> None:
    drive = Driver().opened()
    assert drive(SiteDeclined(site="A", round=1, code="failed"), 1).changed
    assert not drive(SiteDeclined(site="A", round=1, code="failed"), 1).changed
    assert not drive(SiteDeclined(site="B", round=2, code="failed"), 1).changed
    drive(UpdateArrived(site="A", update=update("A", 1)), 2)
    assert drive.rounds.state.declined == {}
    assert not drive(SiteDeclined(site="A", round=1, code="kept"), 3).changed


def test_that_a_waiting_person_has_its_own_clock() -> None:
    drive = Driver().opened()
    for site in "AB":
        drive(UpdateArrived(site=site, update=update(site, 1)), 1)
    drive(AwaitsApproval(site="C", round=1), 8)
    assert not drive(AwaitsApproval(site="C", round=1), 9).changed
    assert drive.rounds.wake_at == at(68)
    assert not drive(TimePassed(), 10).changed
    step = drive(UpdateArrived(site="C", update=update("C", 1)), 67)
    assert isinstance(step.actions[-1], Combine)


def test_that_a_waiting_person_does_not_hold_up_the_round_beyond_that_clock() -> None:
    drive = Driver().opened()
    for site in "AB":
        drive(UpdateArrived(site=site, update=update(site, 1)), 1)
    drive(AwaitsApproval(site="C", round=1), 8)
    assert drive(TimePassed(), 68).changed
    assert drive.phase == "combining"


def test_that_who_begins_to_wait_after_the_deadline_gets_no_clock_of_its_own() -> None:
    drive = Driver().opened()
    drive(UpdateArrived(site="A", update=update("A", 1)), 1)
    drive(AwaitsApproval(site="B", round=1), 5)
    drive(AwaitsApproval(site="C", round=1), 64)
    assert drive.rounds.wake_at == at(65)


def test_that_waiting_counts_for_asked_sites_in_the_open_round_only() -> None:
    drive = Driver().opened()
    drive(UpdateArrived(site="A", update=update("A", 1)), 1)
    for given in (
        AwaitsApproval(site="A", round=1),
        AwaitsApproval(site="Z", round=1),
        AwaitsApproval(site="B", round=2),
    ):
        assert not drive(given, 2).changed


def test_that_a_round_under_quorum_is_repeated_once_and_keeps_what_was_accepted() -> None:
    drive = Driver().opened()
    drive(UpdateArrived(site="A", update=update("A", 1)), 1)
    drive(SiteDeclined(site="B", round=1, code="failed"), 2)
    drive(AwaitsApproval(site="C", round=1), 3)
    step = drive(TimePassed(), 63)
    assert offers(step) == ["B", "C"] and drive.phase == "open"
    state = drive.rounds.state
    assert (state.attempt, state.awaiting, state.declined, state.closes) == (2, {}, {}, at(73))
    step = drive(UpdateArrived(site="B", update=update("B", 1)), 64)
    assert not any(isinstance(action, Combine) for action in step.actions)
    assert drive(TimePassed(), 73).changed and drive.phase == "combining"


def test_that_a_second_failure_pauses_with_a_reason_and_time_changes_nothing_more() -> None:
    drive = Driver().opened()
    drive(TimePassed(), 10)
    step = drive(TimePassed(), 20)
    assert drive.phase == "paused" and drive.rounds.state.reason == "quorum"
    assert any(isinstance(event, events.FederationPaused) for event in step.events)
    assert drive.rounds.wake_at is None and not drive(TimePassed(), 1000).changed
    assert drive.rounds.plan_for("A") is None


def test_that_resuming_asks_again_those_who_have_not_answered() -> None:
    drive = Driver().opened()
    assert not drive(Resumed(), 1).changed
    drive(UpdateArrived(site="A", update=update("A", 1)), 1)
    drive(TimePassed(), 10)
    drive(TimePassed(), 20)
    step = drive(Resumed(), 100)
    assert offers(step) == ["B", "C"] and drive.rounds.state.attempt == 3
    drive(TimePassed(), 110)
    assert drive.phase == "paused"


def test_that_an_update_that_comes_while_paused_is_not_lost() -> None:
    drive = Driver().opened()
    drive(TimePassed(), 10)
    drive(TimePassed(), 20)
    for site in "ABC":
        step = drive(UpdateArrived(site=site, update=update(site, 1)), 30)
        assert step.actions == [Acknowledge(site, 1, update(site, 1).sha256)]
    assert drive.phase == "paused"
    step = drive(Resumed(), 40)
    assert isinstance(step.actions[-1], Combine) and drive.phase == "combining"


def test_that_all_declining_twice_pauses() -> None:
    drive = Driver().opened()
    for site in "ABC":
        step = drive(SiteDeclined(site=site, round=1, code="kept"), 1)
    assert offers(step) == ["A", "B", "C"]
    for site in "ABC":
        drive(SiteDeclined(site=site, round=1, code="kept"), 2)
    assert drive.phase == "paused"


def test_that_an_update_without_the_planned_parts_or_with_foreign_types_is_refused() -> None:
    drive = Driver().opened()
    foreign = Scores.of_entities(TaskScores(strict={"Mrs. Smith": Counts(tp=1)}))
    cases = {
        "update.wrong_parts": [evaluation(1), update("A", 1, kind="evaluate")],
        "update.foreign_type": [update("A", 1, scores_before=foreign), update("A", 1, scores_after=foreign)],
    }
    for code, wrong in cases.items():
        for given in wrong:
            step = drive(UpdateArrived(site="A", update=given), 1)
            assert [action.code for action in step.actions if isinstance(action, Reject)] == [code]
            assert not step.changed


def test_that_a_histogram_counts_the_federations_types_alone() -> None:
    shared = Driver(share=ShareSettings(histogram="types")).opened()
    step = shared(UpdateArrived(site="A", update=update("A", 1, histogram={"drug": 3, "invented": 1})), 1)
    assert [action.code for action in step.actions if isinstance(action, Reject)] == ["update.foreign_type"]
    assert shared(UpdateArrived(site="A", update=update("A", 1, histogram={"drug": 3})), 1).changed
    free = Driver(share=ShareSettings(histogram="specialties")).opened()
    assert free(UpdateArrived(site="A", update=update("A", 1, histogram={"Cardiology": 3})), 1).changed


def test_that_a_plan_to_be_carried_out_falls_to_what_the_site_bears_and_others_stay() -> None:
    drive = Driver().opened()
    before = drive.rounds.state.plans["A"]
    assert drive(SiteJoined(site="A", rank_cap=1), 1).changed
    assert drive.rounds.plan_for("A") == before.model_copy(update={"rank": 1})
    drive(UpdateArrived(site="B", update=update("B", 1)), 1)
    drive(SiteDeclined(site="A", round=1, code="failed"), 1)
    drive(SiteJoined(site="A", rank_cap=None), 1)
    drive(AwaitsApproval(site="C", round=1), 1)
    for site in "BC":  # what was trained is not lost
        drive(SiteJoined(site=site, rank_cap=1), 1)
        assert drive.rounds.state.plans[site].rank == before.rank


def test_that_counts_which_the_federation_does_not_share_are_refused() -> None:
    given = update("A", 1, histogram={"Mrs. Smith": 1})
    step = Driver().opened()(UpdateArrived(site="A", update=given), 1)
    assert [action.code for action in step.actions if isinstance(action, Reject)] == ["update.unshared_histogram"]


def test_that_an_evaluation_fetches_no_control_variate() -> None:
    drive = Driver(rounds=1, method=Scaffold()).opened()
    for site in "ABC":
        given = update(site, 1)
        part = Part(sha256=digest(f"control of {site}"), size=100)
        given = given.model_copy(update={"parts": given.parts | {"control": part}})
        drive(UpdateArrived(site=site, update=given), 1)
    step = drive(combined(1).model_copy(update={"control": digest("c")}), 2)
    plans = [action.plan for action in step.actions if isinstance(action, Offer)]
    assert {(plan.kind, plan.blobs) for plan in plans} == {("evaluate", (digest("global 1"),))}
    assert drive.rounds.state.control == digest("c")


def run_training_rounds(drive: Driver, rounds: int) -> Step:
    step = Step()
    for number in range(1, rounds + 1):
        for site in "ABC":
            drive(UpdateArrived(site=site, update=update(site, number)), number)
        step = drive(combined(number), number)
    return step


def test_that_after_the_last_round_the_sites_evaluate_and_the_federation_finishes() -> None:
    drive = Driver(rounds=2).opened()
    step = run_training_rounds(drive, 2)
    assert drive.phase == "evaluating"
    plans = [action.plan for action in step.actions if isinstance(action, Offer)]
    assert {(plan.kind, plan.round, plan.start) for plan in plans} == {("evaluate", 3, digest("global 2"))}
    wrong = drive(UpdateArrived(site="A", update=update("A", 3)), 5).actions
    assert isinstance(wrong[0], Reject) and wrong[0].code == "update.wrong_parts"
    drive(UpdateArrived(site="A", update=evaluation(3, tp=4)), 5)
    drive(SiteDeclined(site="B", round=3, code="kept"), 5)
    step = drive(UpdateArrived(site="C", update=evaluation(3, tp=6)), 6)
    assert drive.phase == "finished"
    assert any(isinstance(event, events.FederationFinished) for event in step.events)
    assert {site: r.scores_after["entities"].unified.tp for site, r in drive.rounds.state.evaluation.items()} == {
        "A": 4,
        "C": 6,
    }
    again = drive(UpdateArrived(site="A", update=evaluation(3, tp=4)), 7)
    assert not again.changed and isinstance(again.actions[0], Acknowledge)


def test_that_records_of_old_rounds_go_but_not_what_sites_may_ask_for() -> None:
    drive = Driver(rounds=KEPT_ROUNDS + 9).opened()
    run_training_rounds(drive, KEPT_ROUNDS + 3)
    state = drive.rounds.state
    assert [record.round for record in state.history] == list(range(4, KEPT_ROUNDS + 4))
    assert {digest(f"global {number}") for number in range(1, KEPT_ROUNDS + 4)} <= state.published()
    assert state.closed == KEPT_ROUNDS + 3
    every = {part.sha256 for n in range(1, state.round) for s in "ABC" for part in update(s, n).parts.values()}
    assert state.parts() == every and len(state.parts(state.closed - 1)) == len(every) - 3, "for backups and pruning"
    again = drive(UpdateArrived(site="B", update=update("B", 2)), KEPT_ROUNDS + 4)
    assert not again.changed and again.actions == [Acknowledge("B", 2, update("B", 2).sha256)]
    assert drive.rounds.refusal("B", update("B", 2, "another")) == "update.second"
    assert Rounds(drive.rounds.spec, drive.rounds.dump()).state == state


def test_that_an_evaluation_that_nobody_answers_still_finishes() -> None:
    drive = Driver(rounds=1).opened()
    run_training_rounds(drive, 1)
    assert drive.rounds.wake_at == at(11)
    drive(TimePassed(), 11)
    assert drive.phase == "finished" and drive.rounds.state.evaluation == {}


def test_that_two_sites_with_equal_bytes_both_count() -> None:
    drive = Driver().opened()
    for site in "ABC":
        drive(UpdateArrived(site=site, update=update("same", 1)), 1)
    due = drive.rounds.due()
    assert due is not None and sorted(due.updates) == ["A", "B", "C"]


def test_that_no_number_of_a_hostile_site_can_stop_the_rounds() -> None:
    worst = {"notes": 2**53, "supervised_tokens": 2**53, "loss_before": 1e30, "update_norm": 1e30, "start_norm": 0.0}
    least = {"notes": 0, "supervised_tokens": 0, "loss_before": 0.0, "update_norm": 0.0}
    for hostile, rest in ((worst, least), (least | {"loss_before": 1e30, "update_norm": 1e30}, least), (worst, worst)):
        drive = Driver().opened()
        drive(UpdateArrived(site="A", update=update("A", 1, **hostile)), 1)
        for site in "BC":
            drive(UpdateArrived(site=site, update=update(site, 1, **rest)), 1)
        drive(combined(1), 2)
        assert drive.rounds.state.round == 2
        assert Rounds(drive.rounds.spec, drive.rounds.dump()).dump() == drive.rounds.dump()
    for field, value in (("notes", 2**53 + 1), ("loss_before", 1.1e30), ("update_norm", float("inf")), ("notes", -1)):
        with pytest.raises(ValueError, match=field):
            update("A", 1, **{field: value})


def test_that_a_dump_holds_everything() -> None:
    drive = Driver().opened()
    drive(UpdateArrived(site="A", update=update("A", 1)), 1.000_001)
    drive(AwaitsApproval(site="B", round=1), 2)
    copy = Rounds(drive.rounds.spec, drive.rounds.dump())
    assert copy.dump() == drive.rounds.dump()
    assert copy.wake_at == drive.rounds.wake_at
    assert copy.plan_for("B") == drive.rounds.plan_for("B")


def test_that_a_round_that_lost_sites_for_good_goes_on_with_those_that_took_their_places() -> None:
    drive = Driver(quorum=3).opened()
    for site in "AB":
        drive(UpdateArrived(site=site, update=update(site, 1)), 1)
    drive(SiteShutOut(site="B"), 2)  # what it sent counts
    drive(SiteShutOut(site="C"), 2)
    assert drive.phase == "open" and drive.rounds.state.attempt == 2  # nobody is left to ask
    drive(TimePassed(), 12)
    assert drive.phase == "paused" and drive.rounds.state.reason == "quorum"
    drive(SiteJoined(site="C"), 13)  # invited again, with another key
    assert offers(drive(Resumed(), 14)) == ["C"]
    step = drive(UpdateArrived(site="C", update=update("C", 1)), 15)
    assert isinstance(step.actions[-1], Combine) and step.actions[-1].updates.keys() == set("ABC")


def test_that_a_drawn_site_that_is_shut_out_is_replaced_by_one_that_was_not_asked() -> None:
    drive = Driver(round={"sites": 4, "quorum": 2, "clients": 2, "training_minutes": 10})
    for site in "ABCD":
        drive(SiteJoined(site=site), 0)
    one, other = drive.rounds.state.plans
    drive(UpdateArrived(site=one, update=update(one, 1)), 1)
    step = drive(SiteShutOut(site=other), 2)
    assert offers(step) == [min(set("ABCD") - {one, other})] and drive.rounds.state.attempt == 2
    assert len(drive.rounds.state.plans) == 2
    drive(SiteDeclined(site=offers(step)[0], round=1, code="failed"), 3)
    assert offers(drive(Resumed(), 4)) == offers(step)  # as many are left as the quorum needs


def test_that_a_site_whose_changes_count_is_one_of_all_also_once_it_is_shut_out() -> None:
    """SCAFFOLD's c is the mean of what all have sent: it must not grow because one of them has gone."""
    drive = Driver().opened()
    counts = list[int]()
    for number in (1, 2, 3):
        for site in drive.rounds.state.plans:
            step = drive(UpdateArrived(site=site, update=update(site, number)), number)
        (due,) = [one for one in step.actions if isinstance(one, Combine)]
        counts.append(due.sites)
        drive(combined(number), number)
        if number == 1:
            drive(SiteShutOut(site="C"), 1)
            drive(SiteJoined(site="D"), 1)
            drive(SiteJoined(site="E"), 1)
            drive(SiteShutOut(site="E"), 1)
    assert counts == [3, 4, 4]
