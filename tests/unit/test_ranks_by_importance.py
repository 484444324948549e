# SPDX-License-Identifier: Apache-2.0
"""Ranks by importance: how they are allotted, what adaptive_fedlora plans by them, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation import FederationSpec, Plan, Report, Rounds, TrainingSettings, Update, scalars
from fedmed_desktop.federation.actions import Reject
from fedmed_desktop.federation.allotment import allotted, moved_share, pooled_importance, values_of
from fedmed_desktop.federation.combine import Combination
from fedmed_desktop.federation.consent import check_plan
from fedmed_desktop.federation.inputs import SiteJoined, UpdateArrived
from fedmed_desktop.federation.methods.method import MethodState
from fedmed_desktop.federation.plan import PrivacySettings, TransferSettings
from fedmed_desktop.federation.spec import checked_spec
from fedmed_desktop.lora import Adapter, Module
from fedmed_desktop.lora.geometry import products_of_changes
from fedmed_desktop.protocol.messages import Ask, decode
from fedmed_desktop.protocol.wire import longest_offer
from tests.parts.federation import LORA, SHAPES
from tests.parts.method import NOTES, SHARES, SITES, closed, cut, full, near, opening, spec_of
from tests.parts.told import told_as

NOW = datetime(2026, 1, 1, tzinfo=UTC)
UP, Q = sorted(SHAPES)
ON: dict[str, Any] = {
    "ranks_by": "importance", "least_rank": 1, "grid": (4, 8), "weights": (1.0, 0.0, 0.0), "memory": 0.5, "tau": 1e9,
    "raise_above": 1.0, "lower_below": 0.0,  # so that each site's own rank stays
}  # fmt: skip
FIRST = LORA.model_copy(update={"rank": 4, "alpha": 8})

names = st.integers(0, 99).map(lambda number: f"model.layers.{number}.linear")
layouts = st.dictionaries(names, st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=12)


@st.composite
def wanted(draw: st.DrawFn) -> dict[str, Any]:
    modules = draw(layouts)
    rank = draw(st.integers(1, 16))
    worth = {name: draw(st.floats(0, 1)) for name in modules}
    kept = {name: draw(st.integers(0, 20)) for name in modules} if draw(st.booleans()) else {}
    bounds = {"least": draw(st.integers(1, rank)), "most": draw(st.integers(rank, 32))}
    return {"modules": modules, "worth": worth, "rank": rank, "kept": kept, **bounds}


@settings(max_examples=60, deadline=None)
@given(wanted())
def test_that_the_values_are_those_of_one_rank_to_within_a_step_and_ranks_within_bounds(asked: dict[str, Any]) -> None:
    modules, rank = asked["modules"], asked["rank"]
    found = allotted(**asked)
    assert list(found) == sorted(modules)
    highest = {name: min(asked["most"], *shape) for name, shape in modules.items()}
    lowest = {name: min(asked["least"], *shape) for name, shape in modules.items()}
    assert all(lowest[name] <= one <= highest[name] for name, one in found.items())
    missing = values_of(modules, rank) - values_of(modules, found)
    steps = [sum(modules[name]) for name, one in found.items() if one < highest[name]]
    assert 0 <= missing < min(steps) if steps else missing == 0
    # what is kept comes first: whole where it fits, else as far as the one rank has it
    first = {name: min(highest[name], max(lowest[name], asked["kept"].get(name, 0))) for name in modules}
    fits = values_of(modules, first) <= values_of(modules, rank)
    assert all(one >= (first[name] if fits else min(rank, first[name])) for name, one in found.items())


@settings(max_examples=30, deadline=None)
@given(wanted())
def test_that_the_order_in_which_modules_are_named_changes_nothing(asked: dict[str, Any]) -> None:
    turned = {name: dict(reversed(asked[name].items())) for name in ("modules", "worth", "kept")}
    assert allotted(**asked | turned) == allotted(**asked)


@settings(max_examples=30, deadline=None)
@given(layouts, st.integers(1, 12), st.randoms(use_true_random=False))
def test_that_of_modules_of_one_shape_the_more_important_one_never_has_less(
    layout: dict[str, Any], rank: int, random: Any
) -> None:
    modules = dict.fromkeys(layout, (30, 20))
    worth = {name: random.random() for name in modules}
    found = allotted(modules, worth, rank, 1, 20)
    assert all(found[one] >= found[other] for one in modules for other in modules if worth[one] > worth[other])


def test_that_ranks_are_as_the_worth_and_sizes_do_not_count() -> None:
    """By hand: 3 to 1 with 2 * 4 * 10 values of modules of one size; per value, so also where one is twice as large."""
    assert allotted({"a": (5, 5), "b": (5, 5)}, {"a": 0.75, "b": 0.25}, 4, 1, 5) == {"a": 5, "b": 3}
    assert allotted({"a": (9, 9), "b": (9, 9)}, {"a": 0.75, "b": 0.25}, 4, 1, 8) == {"a": 6, "b": 2}
    assert allotted({"a": (20, 20), "b": (10, 10)}, {"a": 1.0, "b": 1.0}, 4, 1, 8) == {"a": 4, "b": 4}
    assert allotted({"a": (9, 9), "b": (9, 9)}, {}, 4, 1, 8) == {"a": 4, "b": 4}, "nothing is known"
    with pytest.raises(ValueError, match="between"):
        allotted({"a": (9, 9)}, {}, 4, 5, 8)
    assert moved_share({"a": (9, 9), "b": (9, 9)}, 4, {"a": 6, "b": 2}) == 0.25
    assert moved_share({"a": (9, 9), "b": (9, 9)}, 4, 4) == 0


def test_that_importance_is_pooled_by_weight_after_each_site_s_own_sums_to_one() -> None:
    told = {"A": {"x": 0.5, "y": 0.5}, "B": {"x": 0.1, "y": 0.3}, "C": {"x": 0.0, "y": 0.0}}
    found = pooled_importance(told, {"A": 0.5, "B": 0.4, "C": 0.1})
    assert found == pytest.approx({"x": 0.25 + 0.1 + 0.05, "y": 0.25 + 0.3 + 0.05})


# -- what is planned ---------------------------------------------------------------------------------------------------


def adapter(seed: int, ranks: Mapping[str, int]) -> Adapter:
    rng = np.random.default_rng(seed)
    return Adapter(
        {
            name: Module(rng.normal(size=(d, ranks[name])), rng.normal(size=(ranks[name], k)), FIRST.scale)
            for name, (d, k) in SHAPES.items()
        }
    )


def reports(share: float) -> dict[str, Report]:
    told = {Q: share, UP: 1 - share}
    return {site: Report(notes=NOTES[site], loss_before=1.0, update_norm=1.0, importance=told) for site in SITES}


def spec(parameters: Mapping[str, object] | None = None, **changes: Any) -> FederationSpec:
    return spec_of("adaptive_fedlora", ON | dict(parameters or {}), lora=FIRST, **changes)


def after(share: float, number: int = 1, state: MethodState | None = None, **changes: Any) -> Combination:
    """The end of a round in which all sites report this share for one of the two modules."""
    ranks = dict.fromkeys(SITES, 4)
    adapters = {site: adapter(at, dict.fromkeys(SHAPES, 4)) for at, site in enumerate(SITES)}
    given = {"number": number, "method_state": state, "ranks": ranks, "start": adapter(9, dict.fromkeys(SHAPES, 4))}
    return closed(spec(**changes), adapters, reports(share), **given)


def planned(state: MethodState, caps: dict[str, int] | None = None, number: int = 2, **changes: Any) -> dict[str, Plan]:
    asked = spec(**changes)
    given = {"state": state, "modules": SHAPES, "caps": caps or {}, "rounds": 3, "rank": 4, "training": asked.training}
    return asked.method.plan(opening(number, **given))


def test_that_the_next_round_s_ranks_follow_what_sites_have_reported() -> None:
    """(12 + 8) and (16 + 8) values for each rank, 176 in all; by hand with the divisors of d'Hondt."""
    assert planned({})["A"].ranks == {} and planned({})["A"].importance, "in round one nothing is known"
    found = planned(after(0.8).state)["A"]
    assert found.ranks == {Q: 7, UP: 1} and found.rank == 4
    assert values_of(SHAPES, found.ranks) == 164 > 176 - 20
    assert planned(after(0.5).state)["A"].ranks == {Q: 4, UP: 4}
    again = after(0.2, 2, after(0.8).state)
    assert again.state["importance"] == pytest.approx({Q: 0.5, UP: 0.5}), "smoothed by memory"
    assert planned(again.state)["A"].ranks == {Q: 4, UP: 4}


def test_that_without_the_setting_plans_states_and_measures_are_as_they_were() -> None:
    off = {"parameters": {"ranks_by": "site"}}
    outcome = after(0.8, **off)
    assert outcome.state.keys() == {"recent", "sites"} and "moved_rank" not in outcome.measures
    plan = planned(outcome.state, **off)["A"]
    assert not {"ranks", "importance"} & plan.model_dump().keys()
    assert not {"ranks_by", "least_rank"} & spec(**off).method.model_copy(update={"least_rank": 2}).model_dump().keys()
    assert "importance" not in Report(notes=1).model_dump()


def test_that_no_module_is_above_a_site_s_cap_or_below_the_least_rank() -> None:
    state = after(0.95).state
    plans = planned(state, caps={"A": 5})
    assert plans["A"].ranks == {Q: 5, UP: 3} and plans["B"].ranks == {Q: 7, UP: 1}
    assert planned(state, caps={"A": 4})["A"].ranks == {Q: 4, UP: 4}
    assert planned(state, parameters={"least_rank": 3})["B"].ranks == {Q: 5, UP: 3}
    assert planned(state, parameters={"least_rank": 64})["B"].ranks == {Q: 4, UP: 4}


def test_that_no_module_s_rank_changes_in_the_last_rounds() -> None:
    first = after(0.8, parameters={"final": 0.4}).state
    late = after(0.2, 2, first, parameters={"final": 0.4}).state  # of three rounds, the last one
    assert late["importance"] == first["importance"]
    assert planned(late, number=3)["A"].ranks == planned(first)["A"].ranks == {Q: 7, UP: 1}


def test_that_a_module_keeps_the_share_of_its_energy() -> None:
    """Three of the modules' directions keep 99 % of their energy; with 1 % of importance a module would get rank 1."""

    def with_energies(seed: int) -> Adapter:
        rng, energies = np.random.default_rng(seed), np.array([50.0, 30.0, 19.5, 0.5])
        modules = {}
        for name, (d, k) in SHAPES.items():
            b, a = (np.linalg.qr(rng.normal(size=(one, 4)))[0] for one in (d, k))
            modules[name] = Module(b * np.sqrt(energies), a.T, FIRST.scale)
        return Adapter(modules)

    same = with_energies(3)
    ended = closed(
        spec({"keep_energy": 0.99}),
        dict.fromkeys(SITES, same),
        reports(0.99),
        start=same,
        ranks=dict.fromkeys(SITES, 4),
    )
    assert ended.state["energy_ranks"] == {Q: 3, UP: 3}
    assert planned(ended.state, parameters={"keep_energy": 0.99})["A"].ranks == {Q: 5, UP: 3}


# -- combining ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("guard", [True, False])
def test_that_products_of_modules_of_other_ranks_are_averaged_and_nothing_of_the_start_is_lost(guard: bool) -> None:
    own = {"A": {Q: 7, UP: 1}, "B": {Q: 7, UP: 1}, "C": {Q: 7, UP: 1}}
    adapters = {site: adapter(at, own[site]) for at, site in enumerate(SITES)}
    asked, start = spec({"guard": guard}), adapter(9, {Q: 4, UP: 4})
    plans = {site: planned(after(0.8).state)[site if site in "AB" else "A"] for site in SITES}
    assert plans["A"].ranks == own["A"]
    outcome = closed(asked, adapters, reports(0.8), start=start, plans=plans)
    for name in SHAPES:
        mean = np.asarray(sum(SHARES[site] * full(adapters[site][name]) for site in SITES))
        expected = cut(mean, own["A"][name])
        if guard and name == UP:  # the start's other three directions, which nobody could train
            expected = cut(expected + full(start[UP]) - cut(full(start[UP]), 1), 4)
        assert near(full(outcome.adapter[name]), expected)
        assert outcome.adapter[name].scale == FIRST.scale
    assert outcome.adapter.ranks == ({Q: 7, UP: 4} if guard else {Q: 7, UP: 1})
    assert outcome.measures["moved_rank"] == pytest.approx(60 / 176)


def test_that_changes_are_measured_from_each_module_s_own_cut_and_clipped_ones_go_back_to_it() -> None:
    """Against dense matrices: the inner products that screening reads, and an update that is cut to half of its way."""
    start, ranks = adapter(9, {Q: 4, UP: 4}), {"A": {Q: 7, UP: 1}, "B": 4, "C": {Q: 2, UP: 5}}
    forms = {site: dict.fromkeys(SHAPES, one) if isinstance(one, int) else one for site, one in ranks.items()}
    adapters = {site: adapter(at, forms[site]) for at, site in enumerate(SITES)}
    began = {site: {name: cut(full(start[name]), forms[site][name]) for name in SHAPES} for site in SITES}
    changes = {
        site: np.concatenate([(full(one[name]) - began[site][name]).ravel() for name in SHAPES])
        for site, one in adapters.items()
    }
    found = products_of_changes(start, [(ranks[site], adapters[site]) for site in SITES], "best")
    expected = [[changes[left] @ changes[right] for right in SITES] for left in SITES]
    assert found == pytest.approx(np.array(expected), rel=1e-6)

    norms = {site: float(np.linalg.norm(change)) for site, change in changes.items()}
    limit = 0.9 * sorted(norms.values())[1]
    asked = spec({"guard": False}, screening={"norm_ratio": 0.9, "action": "clip"})
    plans = {site: planned({})["A"].model_copy(update={"ranks": forms[site]}) for site in SITES}
    outcome = closed(asked, adapters, reports(0.5), start=start, plans=plans)
    for name in SHAPES:
        shares = {site: min(1.0, limit / norms[site]) for site in SITES}
        mean = sum(
            SHARES[site] * (shares[site] * full(adapters[site][name]) + (1 - shares[site]) * began[site][name])
            for site in SITES
        )
        assert near(full(outcome.adapter[name]), cut(np.asarray(mean), outcome.adapter[name].rank))


# -- what is refused ---------------------------------------------------------------------------------------------------


def test_that_a_site_takes_ranks_of_the_federation_s_modules_alone_that_cost_no_more() -> None:
    asked = spec()
    fine = planned(after(0.8).state, training=asked.training)["A"]
    check_plan(fine, asked, 7)
    with told_as("asks for rank 7, but this site's limit is 6"):
        check_plan(fine, asked, 6)
    wrong: list[dict[str, Any]] = [
        {"ranks": {Q: 8, UP: 4}},
        {"ranks": {Q: 4}},
        {"ranks": {Q: 4, "model.layers.7.mlp.up_proj": 4}},
        {"importance": False},
        {"ranks": {}, "importance": False},
    ]
    for changes in wrong:
        with pytest.raises(UserFacingError) as caught:
            check_plan(fine.model_copy(update=changes), asked)
        assert caught.value.code == "plan.not_of_spec"
    with pytest.raises(UserFacingError, match="not_of_spec"):
        check_plan(fine, spec({"ranks_by": "site"}))


def test_that_a_report_of_other_modules_or_without_importance_does_not_count() -> None:
    rounds = Rounds(spec())
    for site in SITES:
        rounds.handle(SiteJoined(site=site), NOW)

    def codes(importance: dict[str, float]) -> list[str]:
        report = Report(notes=3, loss_before=1.0, update_norm=1.0, importance=importance)
        parts = {"adapter": {"sha256": "a" * 64, "size": 1}}
        update = Update.model_validate({"round": 1, "parts": parts, "report": report})
        step = rounds.handle(UpdateArrived(site="A", update=update), NOW)
        return [action.code for action in step.actions if isinstance(action, Reject)]

    for wrong in ({}, {Q: 1.0}, {Q: 0.5, UP: 0.4, "Mrs. Smith": 0.1}):
        assert codes(wrong) == ["update.wrong_importance"]
    assert codes({Q: 0.5, UP: 0.5}) == []
    rounds = Rounds(spec({"ranks_by": "site"}))
    for site in SITES:
        rounds.handle(SiteJoined(site=site), NOW)
    assert codes({Q: 0.5, UP: 0.5}) == ["update.wrong_importance"]
    for value in (1.5, -0.1, float("nan")):
        with pytest.raises(ValueError, match="importance"):
            Report(notes=1, importance={Q: value})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"combine": "stack"}, "shown what it is worth"),
        ({"transfer": TransferSettings(cut=True)}, "not cut to these before it is fetched"),
        ({"training": TrainingSettings(steps=1, privacy=PrivacySettings(epsilon=8.0, unit="note"))}, "without noise"),
    ],
    ids=["stack", "cut", "privacy"],
)
def test_that_what_does_not_go_with_it_is_refused_at_founding_in_words(changes: dict[str, Any], words: str) -> None:
    fine = spec().model_dump(mode="json", exclude_none=True)
    data = fine | {name: one if isinstance(one, str) else one.model_dump(mode="json") for name, one in changes.items()}
    data["share"] = {"histogram": "none"}
    with told_as(words):
        checked_spec(data, "spec.toml")


def test_that_a_smaller_cap_takes_a_plan_s_own_ranks_back() -> None:
    rounds = Rounds(spec())
    for site in SITES:
        rounds.handle(SiteJoined(site=site), NOW)
    rounds.state.plans["A"] = rounds.state.plans["A"].model_copy(update={"ranks": {Q: 7, UP: 1}})
    rounds.handle(SiteJoined(site="A", rank_cap=5), NOW)
    assert (rounds.state.plans["A"].rank, rounds.state.plans["A"].by_module) == (4, 4)


def test_that_plans_and_reports_come_over_the_wire_as_they_were() -> None:
    plan = planned(after(0.8).state)["A"]
    message = decode(Ask(plan=plan).model_dump_json())
    assert isinstance(message, Ask) and message.plan == plan and message.plan.sha256 == plan.sha256
    assert plan.sha256 != plan.model_copy(update={"ranks": {}}).sha256
    assert not plan.evaluation().ranks and not plan.evaluation().importance
    report = reports(0.25)["A"]
    assert Report.model_validate_json(report.model_dump_json(), strict=True) == report
    many = {f"model.layers.{layer}.self_attn.{kind}_proj": 1.234e-05 for layer in range(999) for kind in "qkvo"}
    longest = Update(round=1, parts={}, report=report.model_copy(update={"importance": many}))
    shorter = Update(round=1, parts={}, report=report)
    room = longest_offer((), many) - longest_offer(())
    assert 0 < len(longest.content) - len(shorter.content) < room < 2 * len(longest.content)
    rows = dict(scalars(report))
    told = dict(scalars(longest.report))
    assert told["importance by layer, k_proj 993–999"].split() == ["1.234e-05"] * 7
    assert sum(len(value.split()) for name, value in told.items() if name.startswith("importance")) == len(many)
    assert rows["importance by layer, q_proj"] == "0.25" and rows["importance by layer, up_proj"] == "0.75"
