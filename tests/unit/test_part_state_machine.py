# SPDX-License-Identifier: Apache-2.0
"""Any order of inputs, repeats, faults of the disk and crashes: a site sends what was approved, and nothing else."""

from __future__ import annotations

import tempfile
from datetime import datetime, timedelta
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fedmed_desktop import events
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation import part_actions as do
from fedmed_desktop.federation.policy import Layer, Policy
from tests.parts.federation import small_spec
from tests.parts.site import DELAY, Site, plan

SPEC = small_spec(rounds=3, sites=1, quorum=1, method={"name": "scaffold"})
ROUNDS = st.integers(1, 4)
LAYERS = [
    Layer(Policy.model_validate(keys))
    for keys in (
        {},
        {"default": "allow"},
        {"default": "deny"},
        {"four_eyes": True},
        {"approvers": ["bob"]},
        {"most_bytes": 10},
        {"hours": [{"opens": "08:00", "closes": "18:00"}], "default": "allow"},
        {"hours": [{"opens": "20:00", "closes": "23:00"}], "default": "allow"},
    )
]
FAULTS = st.sampled_from(
    [
        UserFacingError("storage.disk_full", path="/data", retryable=True),
        UserFacingError("training.diverged", step=1, rate=0.1),
    ]
)


class AnySite(RuleBasedStateMachine):
    """The coordinator, the person, the disk and the power do what hypothesis likes."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.site = Site(Path(self._folder.name), SPEC)
        self.offers = self.seen = 0

    def teardown(self) -> None:
        self.site.close()
        self._folder.cleanup()

    # -- the coordinator ---------------------------------------------------------------------------------------------

    @precondition(lambda self: self.site.part.offers.joined)
    @rule(number=ROUNDS, attempt=st.integers(1, 3), seed=st.integers(1, 2))
    def asks(self, number: int, attempt: int, seed: int) -> None:
        self.site.ask(plan(number, SPEC, seed), attempt)

    @rule(number=ROUNDS)
    def does_not_ask(self, number: int) -> None:
        self.site.give(lambda: self.site.part.not_asked(number))

    @rule(data=st.data(), counts=st.booleans())
    def answers(self, data: st.DataObject, counts: bool) -> None:
        sha256 = data.draw(st.sampled_from([*self.site.part.entries, "00" * 32]))
        if counts:
            self.site.give(lambda: self.site.part.receipt(sha256))
        else:
            self.site.give(lambda: self.site.part.refused(sha256, "update.wrong_norm", {}))

    @rule()
    def finishes(self) -> None:
        self.site.give(lambda: self.site.part.finished("ab" * 32))

    @rule()
    def welcomes(self) -> None:
        self.offers = len(self.site.offered)
        self.site.welcome()

    @rule()
    def is_gone(self) -> None:
        self.site.give(self.site.part.line_lost)

    # -- the site ----------------------------------------------------------------------------------------------------

    @precondition(lambda self: isinstance(self.site.under_way, do.Fetch | do.Train))
    @rule()
    def works(self) -> None:
        self.site.work()

    @precondition(lambda self: isinstance(self.site.under_way, do.Fetch | do.Train))
    @rule(fault=FAULTS)
    def fails(self, fault: UserFacingError) -> None:
        is_final = self.site.part.plan is None and not fault.retryable
        try:
            self.site.fail(fault)
        except UserFacingError:
            assert is_final
            self.site.crash()

    @precondition(lambda self: isinstance(self.site.under_way, do.AskPerson))
    @rule(approve=st.booleans(), by=st.sampled_from(["ann", "bob", "rule"]))
    def decides(self, approve: bool, by: str) -> None:
        assert isinstance(self.site.under_way, do.AskPerson)
        entry = self.site.under_way.entry
        word = self.site.part.gate.word(entry, SPEC)
        self.site.decide(approve, by)
        if self.site.entry(entry.sha256).state == "approved":
            assert word.action == "allow" or (word.action == "ask" and by != "rule")
            assert self.site.policy.people == 1 or entry.first_by not in ("", by)

    @precondition(lambda self: "approved" in self.site.states)
    @rule()
    def takes_back(self) -> None:
        self.site.take_back(next(e.sha256 for e in self.site.outbox.in_state("approved")))

    @rule(layers=st.lists(st.sampled_from(LAYERS), max_size=2))
    def has_another_policy(self, layers: list[Layer]) -> None:
        self.site.set_policy(*layers)

    @rule(share=st.floats(0, 1.5))
    def waits(self, share: float) -> None:
        self.site.wait(DELAY * share)

    @rule(paused=st.booleans())
    def pauses(self, paused: bool) -> None:
        self.site.give(lambda: self.site.part.pause(paused))

    @rule()
    def fills_its_disk(self) -> None:
        self.site.fault = UserFacingError("storage.disk_full", path="/data", retryable=True)

    @precondition(lambda self: self.site.fault is not None)
    @rule()
    def frees_its_disk(self) -> None:
        self.site.fault = None

    @precondition(lambda self: self.site.fault is None)
    @rule()
    def crashes(self) -> None:
        self.offers = len(self.site.offered)
        self.site.crash()

    @rule(hours=st.integers(1, 30))
    def waits_for_hours(self, hours: int) -> None:
        self.site.wait(timedelta(hours=hours))

    # -- what always holds -------------------------------------------------------------------------------------------

    @invariant()
    def only_what_was_approved_and_waited_its_time_is_released(self) -> None:
        approved, released = dict[str, datetime](), set[str]()
        for one in self.site.outbox.decisions():
            match one.decision:
                case "approved":
                    approved[one.sha256] = one.time
                case "released":
                    assert approved.pop(one.sha256) + DELAY <= one.time
                    released.add(one.sha256)
                case "taken_back" | "expired" | "kept":
                    approved.pop(one.sha256, None)
        assert set(self.site.offered) <= released

    @invariant()
    def nothing_is_offered_twice_on_one_line(self) -> None:
        on_this_line = self.site.offered[self.offers :]
        assert len(on_this_line) == len(set(on_this_line))

    @invariant()
    def nothing_goes_out_that_the_policy_denies_or_at_another_hour(self) -> None:
        for sha256 in self.site.offered[self.seen :]:
            assert self.site.part.gate.word(self.site.entry(sha256), SPEC).action != "deny"
            assert self.site.policy.opening(self.site.now) == self.site.now
        self.seen = len(self.site.offered)

    @invariant()
    def the_part_and_the_outbox_say_the_same(self) -> None:
        assert self.site.part.entries == {entry.sha256: entry for entry in self.site.outbox.entries()}

    @invariant()
    def what_was_decided_and_what_was_told_are_the_same(self) -> None:
        told = [(e.update, e.decision) for e in self.site.told if isinstance(e, events.DecisionRecorded)]
        silent = ("asked_again", "acknowledged", "refused")
        decided = [(d.sha256, d.decision) for d in self.site.outbox.decisions() if d.decision not in silent]
        assert told == decided

    @invariant()
    def the_site_is_never_stuck(self) -> None:
        """What is due is under way, or waits for the time; under SCAFFOLD a training may wait for the coordinator."""
        part, due = self.site.part, self.site.part.due
        if due is None:
            assert self.site.under_way is None and part.wake_at is None
        elif isinstance(due, do.AskPerson) and self.site.under_way is None:
            assert part.gate.word(due.entry, SPEC).action == "ask", "a rule would approve, and a person must"
        elif self.site.under_way is None and part.wake_at is None:
            assert isinstance(due, do.Train)
            assert any(e.state == "released" and e.plan.round < due.plan.round for e in part.entries.values())
        else:
            assert self.site.under_way in (due, None)

    @invariant()
    def there_is_one_update_for_each_plan(self) -> None:
        plans = [entry.plan for entry in self.site.part.entries.values()]
        assert all(one not in plans[:at] for at, one in enumerate(plans))
        if isinstance(self.site.under_way, do.Train):
            assert self.site.under_way.plan not in plans


AnySite.TestCase.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestAnySite = AnySite.TestCase
