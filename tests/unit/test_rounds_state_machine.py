# SPDX-License-Identifier: Apache-2.0
"""Any order of messages, any drop-outs, any restart: no update counts twice, none is acknowledged and lost."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fedmed_desktop.federation import Part, Report, Rounds, Update
from fedmed_desktop.federation.actions import Acknowledge, Combine, Offer, Reject, Step
from fedmed_desktop.federation.inputs import (
    INPUT,
    AwaitsApproval,
    ClosedByHost,
    HostProof,
    Input,
    PausedByHost,
    Published,
    Resumed,
    RoundCombined,
    SiteDeclined,
    SiteJoined,
    SiteShutOut,
    TimePassed,
    Transfer,
    UpdateArrived,
)
from tests.parts.federation import small_spec

SPEC = small_spec(rounds=2)
SITES = st.sampled_from(["A", "B", "C", "D"])
ROUNDS = st.integers(1, 4)
BY = HostProof(host="H", key="a" * 64, coordinator="b" * 64, nonce="c" * 64, number=1, signature="d" * 128)


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _update(site: str, round_number: int, variant: int, kind: str) -> Update:
    if kind == "evaluate":
        return Update(round=round_number, parts={}, report=Report(kind="evaluate", notes=variant))
    part = Part(sha256=_digest(site, round_number, variant), size=8)
    report = Report(
        notes=variant, supervised_tokens=10 * variant, loss_before=1 / (variant + 1), update_norm=variant / 3
    )
    return Update(round=round_number, parts={"adapter": part}, report=report)


class AnyFederation(RuleBasedStateMachine):
    """`rounds` is restarted whenever hypothesis likes; `steady` gets the same inputs and never is."""

    def __init__(self) -> None:
        super().__init__()
        self.rounds, self.steady = Rounds(SPEC), Rounds(SPEC)
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.saved: str | None = None
        self.since: list[tuple[str, str]] = []  # the ledger's rows after the dump: (time, body)
        self.acknowledged: dict[tuple[str, int], str] = {}
        self.combined: dict[int, Combine] = {}

    def give(self, given: Input) -> Step:
        before = self.rounds.dump()
        step = self.rounds.handle(given, self.now)
        twin = self.steady.handle(given, self.now)
        assert (step.changed, step.actions, step.events) == (twin.changed, twin.actions, twin.events)
        if step.changed:
            self.since.append((self.now.isoformat(), given.model_dump_json()))
        else:
            assert self.rounds.dump() == before
        for action in step.actions:
            self.note(action)
        return step

    def note(self, action: object) -> None:
        state = self.rounds.state
        match action:
            case Acknowledge(site, number, sha256):
                assert self.acknowledged.setdefault((site, number), sha256) == sha256
            case Reject(site, number, sha256):
                assert self.acknowledged.get((site, number)) != sha256
            case Combine(round=number, weights=weights):
                assert number not in self.combined
                self.combined[number] = action
                assert abs(sum(weights.values()) - 1) < 1e-12
                assert {(s, u.sha256) for s, u in action.updates.items()} == {
                    (s, sha) for (s, n), sha in self.acknowledged.items() if n == number
                }
            case Offer(site, plan):
                assert site in state.sites and plan.round == state.round and plan.start == state.start

    # -- what may come ---------------------------------------------------------------------------------------------

    @rule(site=SITES)
    def joins(self, site: str) -> None:
        self.give(SiteJoined(site=site))

    @rule(site=SITES, number=ROUNDS)
    def awaits(self, site: str, number: int) -> None:
        self.give(AwaitsApproval(site=site, round=number))

    @rule(site=SITES)
    def is_shut_out(self, site: str) -> None:
        self.give(SiteShutOut(site=site))
        assert site not in self.rounds.state.sites

    @rule(site=SITES)
    def awaits_now(self, site: str) -> None:
        self.give(AwaitsApproval(site=site, round=self.rounds.state.round))

    @rule(site=SITES, number=ROUNDS, variant=st.integers(0, 3), kind=st.sampled_from(["train", "evaluate"]))
    def sends_anything(self, site: str, number: int, variant: int, kind: str) -> None:
        self.give(UpdateArrived(site=site, update=_update(site, number, variant, kind)))

    @rule(site=SITES, variant=st.integers(0, 3))
    def sends_what_is_asked(self, site: str, variant: int) -> None:
        number = self.rounds.state.round
        kind = "evaluate" if number > SPEC.rounds else "train"
        self.give(UpdateArrived(site=site, update=_update(site, number, variant, kind)))

    @rule(site=SITES)
    def declines(self, site: str) -> None:
        self.give(SiteDeclined(site=site, round=self.rounds.state.round, code="kept"))

    @rule(site=SITES, number=ROUNDS)
    def declines_anything(self, site: str, number: int) -> None:
        self.give(SiteDeclined(site=site, round=number, code="failed"))

    @rule(minutes=st.sampled_from([0.0, 0.001, 3.3, 10.0, 45.0, 61.0, 1440.0]))
    def time_passes(self, minutes: float) -> None:
        self.now += timedelta(minutes=minutes)
        self.give(TimePassed())

    @rule(
        minutes=st.sampled_from([0.0, 3.3, 10.0, 19.0, 61.0]),
        moving=st.frozensets(SITES),
        stalled=st.dictionaries(SITES, st.sampled_from(["download", "upload"])),
    )
    def time_passes_while_transfers_are_watched(
        self, minutes: float, moving: frozenset[str], stalled: dict[str, Transfer]
    ) -> None:
        self.now += timedelta(minutes=minutes)
        sites = tuple(sorted(moving - stalled.keys()))
        self.give(TimePassed(moving=sites, stalled=dict(sorted(stalled.items()))))

    @precondition(lambda self: self.rounds.wake_at is not None)
    @rule()
    def alarm_rings(self) -> None:
        due = self.rounds.wake_at
        assert due is not None
        self.now = max(self.now, due)
        assert self.give(TimePassed()).changed
        assert self.rounds.wake_at is None or self.rounds.wake_at > self.now  # or the alarm would ring without end

    @rule(number=ROUNDS)
    def combination_is_told(self, number: int) -> None:
        adapter = _digest("global", number)
        step = self.give(RoundCombined(round=number, adapter=adapter, residual=0.0, norm=1.0, effective_rank=1.0))
        if step.changed:  # as the coordinator does it: a dump once a round has closed
            self.saved, self.since = self.rounds.dump(), []

    @precondition(lambda self: self.rounds.state.phase == "combining")
    @rule()
    def combination_is_done(self) -> None:
        self.combination_is_told(self.rounds.state.round)

    @rule(by=st.sampled_from([None, BY]))
    def host_resumes(self, by: HostProof | None) -> None:
        stood = self.rounds.state.held is not None or self.rounds.state.phase == "paused"
        step = self.give(Resumed(by=by))
        assert step.changed == stood and (step.objection is None) == stood and self.rounds.state.held is None

    @rule()
    def host_pauses(self) -> None:
        before = self.rounds.state.phase
        step = self.give(PausedByHost(by=BY))
        assert step.changed == (step.objection is None)
        assert before in ("paused", "finished") or self.rounds.state.held

    @rule(number=ROUNDS, attempt=st.integers(1, 2))
    def host_closes_anything(self, number: int, attempt: int) -> None:
        state = self.rounds.state
        phase, sent, sites = state.phase, len(state.updates), len(state.sites)
        here = (number, attempt) == (state.round, state.attempt)
        step = self.give(ClosedByHost(round=number, attempt=attempt, by=BY))
        assert step.changed == (step.objection is None)
        if step.changed:
            assert here and phase in ("gathering", "open", "evaluating", "paused")
            assert (sites if phase == "gathering" else sent) >= SPEC.round.quorum or phase == "evaluating"
            assert state.phase != phase

    @rule()
    def host_closes_the_round(self) -> None:
        self.host_closes_anything(self.rounds.state.round, self.rounds.state.attempt)

    @rule(other=st.booleans())
    def host_publishes(self, other: bool) -> None:
        last = [record.adapter for record in self.rounds.state.history][-1:]
        busy = self.rounds.state.phase in ("combining", "finished")
        adapter = _digest("other") if other or not last else last[0]
        step = self.give(Published(adapter=adapter, by=BY))
        assert step.changed == (bool(last) and not other and not busy)
        if step.changed:
            assert self.rounds.state.phase == "finished" and self.rounds.state.start == adapter

    # -- restarts ----------------------------------------------------------------------------------------------------

    @rule()
    def restarts_from_a_dump(self) -> None:
        self.rounds = Rounds(SPEC, self.rounds.dump())

    @rule()
    def restarts_from_the_ledger(self) -> None:
        due = self.rounds.due()
        self.rounds = Rounds(SPEC, self.saved)
        for time, body in self.since:
            assert self.rounds.handle(INPUT.validate_json(body), datetime.fromisoformat(time)).changed
        assert self.rounds.due() == due
        if due is not None:
            assert due == self.combined[due.round]

    # -- what always holds -------------------------------------------------------------------------------------------

    @invariant()
    def restarts_change_nothing(self) -> None:
        assert self.rounds.dump() == self.steady.dump()
        assert self.rounds.wake_at == self.steady.wake_at

    @invariant()
    def what_was_acknowledged_is_there(self) -> None:
        for (site, number), sha256 in self.acknowledged.items():
            assert self.rounds.receipt_for(site, number) == sha256

    @invariant()
    def nobody_counts_twice(self) -> None:
        state = self.rounds.state
        numbers = [record.round for record in state.history]
        assert numbers == list(range(1, len(numbers) + 1))
        for record in state.history:
            for site, part in record.sites.items():
                assert self.acknowledged[site, record.round] == part.sha256

    @invariant()
    def a_pause_lets_everything_stand(self) -> None:
        state = self.rounds.state
        if state.held or state.phase == "paused":
            assert self.rounds.wake_at is None and state.phase in ("paused", "combining")
            assert not any(self.rounds.plan_for(site) for site in state.plans)
        if state.phase == "paused" and state.reason == "host":
            assert state.held and self.rounds.due() is None

    @invariant()
    def the_federation_can_go_on(self) -> None:
        state, rounds = self.rounds.state, self.rounds
        if state.phase in ("open", "evaluating"):
            assert rounds.wake_at is not None
            assert all(rounds.plan_for(site) for site in state.unanswered())
        if state.phase == "combining":
            assert rounds.due() is not None and len(state.updates) >= SPEC.round.quorum


AnyFederation.TestCase.settings = settings(
    max_examples=120, stateful_step_count=40, suppress_health_check=list(HealthCheck)
)
TestAnyFederation = AnyFederation.TestCase
