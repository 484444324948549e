# SPDX-License-Identifier: Apache-2.0
"""A site's policy: what each key and rule says, that the strictest file counts, and that no policy loosens anything."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from fedmed_desktop.federation.gate import RULE, Assent, assent
from fedmed_desktop.federation.hours import DAYS, Window, opening
from fedmed_desktop.federation.methods import METHODS
from fedmed_desktop.federation.policy import (
    SCALARS,
    STRICTNESS,
    Decision,
    Facts,
    InForce,
    Layer,
    Policy,
    decide,
    refusal,
    stripped,
)
from fedmed_desktop.federation.probes import ProbeLimits, Probing
from fedmed_desktop.federation.update import Report
from tests.parts.method import spec_of

FACTS = Facts("Riverside", "production", "fedavg", "train", 8, 1000, 50, 1.5, 0.02, light="amber")
MONDAY = datetime(2026, 6, 1, tzinfo=UTC)


def in_force(*policies: dict[str, Any]) -> InForce:
    layers = (Layer(Policy.model_validate(one), f"/{n}.toml", f"{n}" * 64) for n, one in enumerate(policies))
    return InForce(tuple(layers), UTC)


def rules(*found: dict[str, Any], **keys: object) -> dict[str, Any]:
    return {"rule": [{"name": f"{n}", **one} for n, one in enumerate(found, 1)], **keys}


@pytest.mark.parametrize(
    ("policy", "action", "rule"),
    [
        ({}, "ask", "default"),
        ({"default": "allow"}, "allow", "default"),
        ({"default": "deny"}, "deny", "default"),
        ({"most_rank": 8, "default": "allow"}, "allow", "default"),
        ({"most_rank": 7, "default": "allow"}, "deny", "most_rank"),
        ({"most_bytes": 999}, "deny", "most_bytes"),
        ({"least_notes": 50}, "ask", "default"),
        ({"least_notes": 51}, "deny", "least_notes"),
        ({"four_eyes": True, "default": "allow"}, "ask", "four_eyes"),
        ({"approvers": ["ann"], "default": "allow"}, "ask", "approvers"),
        (rules({"action": "allow"}), "allow", "1"),
        (rules({"action": "allow"}, {"action": "deny"}), "allow", "1"),
        (rules({"action": "allow"}, most_rank=7), "deny", "most_rank"),
        (rules({"action": "deny", "federation": ["Elsewhere"]}), "ask", "default"),
        (rules({"action": "deny", "federation": ["Riverside"]}), "deny", "1"),
        (rules({"action": "deny", "method": ["fedavg", "ffa"]}), "deny", "1"),
        (rules({"action": "deny", "environment": "test"}), "ask", "default"),
        (rules({"action": "deny", "environment": "production"}), "deny", "1"),
        (rules({"action": "allow", "kind": "evaluate"}), "ask", "default"),
        (rules({"action": "allow", "most_rank": 8}), "allow", "1"),
        (rules({"action": "deny", "over_rank": 8}), "ask", "default"),
        (rules({"action": "deny", "over_rank": 7}), "deny", "1"),
        (rules({"action": "allow", "most_norm_ratio": 1.4}), "ask", "default"),
        (rules({"action": "allow", "most_norm_ratio": 1.5}), "allow", "1"),
        (rules({"action": "deny", "over_norm_ratio": 1.4}), "deny", "1"),
        (rules({"action": "allow", "least_f1_gain": 0.02}), "allow", "1"),
        (rules({"action": "deny", "under_f1_gain": 0.0}), "ask", "default"),
        (rules({"action": "deny", "under_f1_gain": 0.03}, {"action": "allow"}), "deny", "1"),
        (rules({"action": "allow", "most_rank": 8, "method": ["ffa"]}), "ask", "default"),
        (rules({"action": "deny", "light": "red"}), "ask", "default"),
        (rules({"action": "deny", "light": "amber"}), "deny", "1"),
        ({"worst_light": "amber", "default": "allow"}, "allow", "default"),
        ({"worst_light": "green", "default": "allow"}, "deny", "worst_light"),
    ],
)
def test_that_each_key_and_condition_says_what_it_says(policy: dict[str, Any], action: str, rule: str) -> None:
    found = decide(in_force(policy), FACTS)
    assert (found.action, found.rule) == (action, rule)
    assert found.source == "0" * 64 and found.code.startswith("policy.")


def test_that_what_could_not_be_probed_is_asked_about_and_that_no_plan_is_refused_for_it() -> None:
    policy = in_force({"worst_light": "amber", "default": "allow"})
    unknown = replace(FACTS, light=None)
    assert (decide(policy, unknown).action, decide(policy, unknown).code) == ("ask", "policy.not_probed")
    assert refusal(policy, unknown) is None
    assert decide(policy, replace(unknown, kind="evaluate")).action == "allow"


@pytest.mark.parametrize("given", [st.none() | st.floats(0, 40)])
@settings(deadline=None)
@given(data=st.data())
def test_that_limits_of_probes_can_only_be_lowered(given: st.SearchStrategy[float | None], data: st.DataObject) -> None:
    names = [name for name in ProbeLimits.model_fields if "recall" not in name]
    tables = [{name: value for name in names if (value := data.draw(given)) is not None} for _ in range(2)]
    found = in_force(*({"probes": table} for table in tables)).probing.limits
    for name, usual in ProbeLimits():
        assert getattr(found, name) == min([usual, *(table[name] for table in tables if name in table)])


def test_that_an_administrator_may_bound_the_probes_and_ask_for_planted_records() -> None:
    assert InForce().probing == Probing()
    found = in_force({"probes": {"share": 0.02, "most_seconds": 15.0}}, {"probes": {"canaries": True}}).probing
    assert (found.share, found.most_seconds, found.canaries) == (0.02, 15.0, True)
    assert found.seconds(10_000) == 15.0 and found.seconds(600) == 12.0 and found.seconds(1) == 10.0
    with pytest.raises(ValidationError, match="ask or deny"):
        in_force(rules({"action": "allow", "light": "red"}))


def test_that_without_a_policy_nothing_is_asked_for() -> None:
    assert decide(InForce(), FACTS) == Decision("allow")
    assert refusal(InForce(), FACTS) is None


FIRST = Facts("Riverside", "production", "fedavg", "train", 8, 1000, 50, None, None)


@pytest.mark.parametrize(
    ("policy", "action", "rule"),
    [
        (rules({"action": "allow", "most_norm_ratio": 3.0}), "ask", "default"),
        (rules({"action": "deny", "over_norm_ratio": 3.0}, {"action": "allow"}), "ask", "1"),
        (rules({"action": "ask", "over_norm_ratio": 3.0}, default="allow"), "ask", "1"),
        (rules({"action": "deny", "over_norm_ratio": 3.0}, default="deny"), "deny", "default"),
    ],
)
def test_that_a_rule_about_a_number_that_is_not_known_yet_asks_a_person(
    policy: dict[str, Any], action: str, rule: str
) -> None:
    found = decide(in_force(policy), FIRST)
    assert (found.action, found.rule) == (action, rule)


def test_that_the_strictest_of_several_files_counts_and_is_named_with_its_file() -> None:
    found = decide(in_force({"default": "allow"}, {"most_rank": 4}), FACTS)
    assert (found.action, found.rule, found.source) == ("deny", "most_rank", "1" * 64)
    both = in_force(
        {"scalars": ["notes", "seconds"], "approvers": ["ann", "bob"]}, {"scalars": ["notes"], "approvers": ["bob"]}
    )
    assert both.scalars == {"notes"} and both.approvers == {"bob"} and both.people == 1
    assert in_force({}, {"four_eyes": True}).people == 2


def test_that_a_file_with_a_fault_lets_nothing_leave() -> None:
    broken = InForce((Layer(Policy(), "/p", "", ("policy.unreadable", {"path": "/p", "reason": "no"})),))
    found = decide(broken, FACTS)
    assert (found.action, found.rule, found.code) == ("deny", "unreadable", "policy.unreadable")
    assert refusal(broken, FACTS) == found


@pytest.mark.parametrize(
    "wrong",
    [
        {"most_rnk": 3},
        {"most_rank": 0},
        {"most_rank": True},
        {"scalars": ["kind"]},
        {"scalars": ["notes", "patient"]},
        {"default": "maybe"},
        {"rule": [{"name": "x", "action": "allow"}, {"name": "x", "action": "deny"}]},
        {"rule": [{"name": "most_rank", "action": "deny"}]},
        {"rule": [{"action": "deny"}]},
        {"rule": [{"name": "x", "action": "deny", "over_norm_ratio": float("nan")}]},
        {"hours": [{"opens": "25:00", "closes": "26:00"}]},
        {"hours": [{"opens": "08:00+02:00", "closes": "09:00"}]},
        {"hours": [{"days": [], "opens": "08:00", "closes": "09:00"}]},
    ],
)
def test_that_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Policy.model_validate(wrong)


# -- hours -------------------------------------------------------------------------------------------------------------

OFFICE = Window(days=("mon", "tue", "wed", "thu", "fri"), opens=time(8), closes=time(18))
NIGHT = Window(opens=time(22), closes=time(6))


@pytest.mark.parametrize(
    ("windows", "after", "opens"),
    [
        ([], timedelta(0), timedelta(0)),
        ([OFFICE], timedelta(hours=7), timedelta(hours=8)),
        ([OFFICE], timedelta(hours=8), timedelta(hours=8)),
        ([OFFICE], timedelta(hours=17.99), timedelta(hours=17.99)),
        ([OFFICE], timedelta(hours=18), timedelta(hours=32)),
        ([OFFICE], timedelta(days=4, hours=19), timedelta(days=7, hours=8)),
        ([NIGHT], timedelta(hours=5), timedelta(hours=5)),
        ([NIGHT], timedelta(hours=6), timedelta(hours=22)),
        ([NIGHT, OFFICE], timedelta(hours=6), timedelta(hours=8)),
    ],
)
def test_that_a_window_opens_when_it_says(windows: list[Window], after: timedelta, opens: timedelta) -> None:
    assert opening([windows], MONDAY + after, UTC) == MONDAY + opens


def test_that_several_files_are_open_together_or_never() -> None:
    late = Window(opens=time(17), closes=time(23))
    assert opening([[OFFICE], [late]], MONDAY, UTC) == MONDAY + timedelta(hours=17)
    weekend = Window(days=("sat",), opens=time(8), closes=time(18))
    assert opening([[OFFICE], [weekend]], MONDAY, UTC) is None
    never = in_force({"hours": [OFFICE.model_dump()]}, {"hours": [weekend.model_dump()]})
    assert decide(never, FACTS).code == "policy.never_open" and refusal(never, FACTS) is not None


def test_that_hours_are_those_of_the_sites_own_clock_on_both_sides_of_a_change() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    friday = datetime(2026, 3, 27, 20, tzinfo=UTC)  # the clocks go forward on Sunday
    assert opening([[OFFICE]], friday, berlin) == datetime(2026, 3, 30, 6, tzinfo=UTC)
    assert opening([[OFFICE]], datetime(2026, 3, 27, 6, tzinfo=UTC), berlin) == datetime(2026, 3, 27, 7, tzinfo=UTC)


# -- what may leave ----------------------------------------------------------------------------------------------------

WHOLE = Report(
    notes=9, supervised_tokens=70, steps=4, train_loss=1.0, loss_before=2.0, loss_after=1.5, shared_loss=0.5,
    histogram={"Cardiology": 9}, start_norm=1.0, update_norm=2.0, effective_rank=3.0, seconds=4.0,
)  # fmt: skip


def test_that_only_the_scalars_named_are_left_and_what_kind_of_report_it_is() -> None:
    assert stripped(InForce(), WHOLE) == WHOLE
    left = stripped(in_force({"scalars": ["notes", "update_norm"]}), WHOLE)
    assert left == Report(notes=9, update_norm=2.0)
    evaluation = WHOLE.model_copy(update={"kind": "evaluate"})
    assert stripped(in_force({"scalars": []}), evaluation) == Report(kind="evaluate", notes=0)


@pytest.mark.parametrize("name", METHODS)
def test_that_a_method_says_every_scalar_that_its_weights_depend_on(name: str) -> None:
    method = spec_of(name).method
    reports = {
        site: WHOLE.model_copy(update={"notes": n, "supervised_tokens": 5 * n, "steps": n})
        for site, n in zip("AB", (3, 8), strict=True)
    }
    bare = in_force({"scalars": sorted(method.needs)})
    less = {site: stripped(bare, report) for site, report in reports.items()}
    assert method.needs <= set(SCALARS) and "update_norm" in method.needs
    assert method.weigh(less) == method.weigh(reports)
    assert all(method.refusal(report) is None for report in less.values())


# -- whose word counts -------------------------------------------------------------------------------------------------

ASK, ALLOW, DENY = Decision("ask", "r"), Decision("allow", "r"), Decision("deny", "r", code="policy.denies")
TWO, NAMED = in_force({"four_eyes": True}), in_force({"approvers": ["Ann", "bob"]})


@pytest.mark.parametrize(
    ("policy", "word", "by", "first_by", "decision", "code"),
    [
        (InForce(), ALLOW, RULE, "", "approved", ""),
        (in_force({}), ASK, "ann", "", "approved", ""),
        (in_force({}), DENY, "ann", "", None, "policy.denies"),
        (in_force({}), DENY, RULE, "", "kept", "policy.denies"),
        (NAMED, ASK, "ANN", "", "approved", ""),
        (NAMED, ASK, "eve", "", None, "policy.not_approver"),
        (TWO, ASK, "ann", "", "first_approved", ""),
        (TWO, ASK, "bob", "ann", "approved", ""),
        (TWO, ASK, " Ann", "ann", None, "policy.same_person"),
    ],
)
def test_whose_approval_counts(
    policy: InForce, word: Decision, by: str, first_by: str, decision: str | None, code: str
) -> None:
    found = assent(policy, word, by, first_by)
    assert (found.decision, found.code, found.holds) == (decision, code, False)


def test_that_a_rule_cannot_speak_for_a_person() -> None:
    assert assent(TWO, decide(TWO, FACTS), RULE, "ann") == Assent(
        None, "policy.two_people", {"rule": "four_eyes"}, holds=True
    )


# -- it only ever tightens ---------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["ann", "bob", "eve"])
WINDOWS = st.builds(
    Window,
    days=st.lists(st.sampled_from(DAYS), min_size=1, unique=True).map(tuple),
    opens=st.times().map(lambda t: t.replace(second=0, microsecond=0)),
    closes=st.times().map(lambda t: t.replace(second=0, microsecond=0)),
)
NUMBERS = st.none() | st.floats(0, 4)
RULES = st.fixed_dictionaries(
    {
        "action": st.sampled_from(list(STRICTNESS)),
        "method": st.sampled_from([(), ("fedavg",), ("ffa",)]),
        "environment": st.sampled_from([None, "test", "production"]),
        "kind": st.sampled_from([None, "train", "evaluate"]),
        "most_rank": st.none() | st.integers(1, 16),
        "over_rank": st.none() | st.integers(1, 16),
        "most_norm_ratio": NUMBERS,
        "over_norm_ratio": NUMBERS,
        "least_f1_gain": NUMBERS,
        "under_f1_gain": NUMBERS,
        "light": st.sampled_from([None, "amber", "red"]),
    }
).map(lambda rule: {**rule, "light": None} if rule["action"] == "allow" else rule)
POLICIES = st.fixed_dictionaries(
    {
        "most_rank": st.none() | st.integers(1, 16),
        "most_bytes": st.none() | st.integers(1, 2000),
        "least_notes": st.none() | st.integers(0, 99),
        "scalars": st.none() | st.lists(st.sampled_from(SCALARS), unique=True).map(tuple),
        "hours": st.lists(WINDOWS, max_size=2).map(tuple),
        "approvers": st.none() | st.lists(NAMES, unique=True).map(tuple),
        "four_eyes": st.booleans(),
        "worst_light": st.sampled_from([None, "green", "amber"]),
        "default": st.sampled_from(list(STRICTNESS)),
        "rule": st.lists(RULES, max_size=3).map(lambda some: rules(*some)["rule"]),
    }
)  # fmt: skip
SOME_FACTS = st.builds(
    Facts,
    federation=st.just("Riverside"),
    environment=st.sampled_from(["test", "production"]),
    method=st.sampled_from(["fedavg", "ffa"]),
    kind=st.sampled_from(["train", "evaluate"]),
    rank=st.integers(1, 16),
    bytes=st.none() | st.integers(1, 2000),
    notes=st.none() | st.integers(0, 99),
    norm_ratio=NUMBERS,
    f1_gain=NUMBERS,
    light=st.sampled_from([None, "green", "amber", "red"]),
)


@settings(deadline=None)
@given(
    policies=st.lists(POLICIES, max_size=2), one=POLICIES, facts=SOME_FACTS, by=NAMES | st.just(RULE),
    first_by=NAMES | st.just(""), hour=st.integers(0, 200),
)  # fmt: skip
def test_that_no_policy_lets_more_leave_than_there_would_without_it(
    policies: list[dict[str, Any]], one: dict[str, Any], facts: Facts, by: str, first_by: str, hour: int
) -> None:
    without, with_it = in_force(*policies), in_force(*policies, one)
    before, after = decide(without, facts), decide(with_it, facts)
    assert STRICTNESS[after.action] >= STRICTNESS[before.action]
    assert after.rule, "every decision under a policy names its rule"
    rank = {"kept": 0, None: 0, "first_approved": 1, "approved": 2}
    assert rank[assent(with_it, after, by, first_by).decision] <= rank[assent(without, before, by, first_by).decision]
    if by == RULE and assent(with_it, after, by, first_by).decision == "approved":
        assert after.action == before.action == "allow"
    now = MONDAY + timedelta(hours=hour)
    soonest, later = without.opening(now), with_it.opening(now)
    assert later is None or (soonest is not None and later >= soonest >= now)
    told = stripped(with_it, stripped(without, WHOLE))
    assert told == stripped(with_it, WHOLE)
    assert not (refusal(without, facts) and not refusal(with_it, facts))


@settings(deadline=None)
@given(policies=st.lists(POLICIES, min_size=1, max_size=2), facts=SOME_FACTS)
def test_that_a_plan_is_refused_only_where_no_update_of_it_could_leave(
    policies: list[dict[str, Any]], facts: Facts
) -> None:
    policy = in_force(*policies)
    plan = Facts(facts.federation, facts.environment, facts.method, facts.kind, facts.rank)
    if refusal(policy, plan):
        assert decide(policy, facts).action == "deny"
