# SPDX-License-Identifier: Apache-2.0
"""Each method equals a dense float64 reference written out here, through the seam that the coordinator and lab use."""

from __future__ import annotations

import itertools
import math
from datetime import UTC, datetime
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation import FederationSpec, Report, Rounds
from fedmed_desktop.federation.combine import Combining
from fedmed_desktop.federation.inputs import SiteJoined
from fedmed_desktop.federation.methods import (
    METHODS,
    REFUSED,
    FedAvg,
    FedMedLora,
    FedMedLoraPlus,
    FedNova,
    FedRot,
    FedSa,
    Ffa,
    RoLora,
    refusal_of,
    usual,
)
from fedmed_desktop.federation.methods.method import drawn
from fedmed_desktop.federation.plan import Plan, TrainingSettings
from fedmed_desktop.federation.spec import ShareSettings, checked_spec
from fedmed_desktop.lora import Adapter, Module, algebra
from fedmed_desktop.wording import told
from tests.parts.federation import INITIAL, LORA, SHAPES, small_spec
from tests.parts.method import (
    MIXED,
    NOTES,
    SHARES,
    SITES,
    START,
    adapter,
    closed,
    cut,
    full,
    near,
    opening,
    spec_of,
    trained,
)

# -- what each gives ------------------------------------------------------------------------------


@pytest.mark.parametrize("adapters", [trained(), MIXED], ids=["one rank", "mixed ranks"])
def test_that_flexlora_is_the_truncated_dense_sum(adapters: dict[str, Adapter]) -> None:
    outcome = closed(spec_of("flexlora"), adapters)
    for name in SHAPES:
        expected = sum(SHARES[site] * full(adapters[site][name]) for site in SITES)
        assert near(full(outcome.adapter[name]), cut(np.asarray(expected), LORA.rank))
    assert outcome.frozen is None and set(outcome.adapter.ranks.values()) == {LORA.rank}


@pytest.mark.parametrize("adapters", [trained(), MIXED], ids=["one rank", "mixed ranks"])
@pytest.mark.parametrize("before", [None, adapter(7, 3)], ids=["first", "later"])
def test_that_flora_adds_the_dense_sum_beside_the_base_and_starts_afresh(
    adapters: dict[str, Adapter], before: Adapter | None
) -> None:
    outcome = closed(spec_of("flora"), adapters, frozen=before)
    assert outcome.frozen is not None and outcome.residual < 1e-6
    for name in SHAPES:
        expected = sum(SHARES[site] * full(adapters[site][name]) for site in SITES)
        assert near(full(outcome.frozen[name]), expected + (0 if before is None else full(before[name])))
        assert not outcome.adapter[name].B.any() and outcome.adapter[name].A.any()
    assert outcome.adapter.ranks == INITIAL.ranks


@pytest.mark.parametrize("adapters", [trained(), MIXED], ids=["one rank", "mixed ranks"])
@pytest.mark.parametrize("before", [None, adapter(7, 3)], ids=["first", "later"])
def test_that_fedex_is_the_dense_sum_though_it_averages_factors(
    adapters: dict[str, Adapter], before: Adapter | None
) -> None:
    outcome = closed(spec_of("fedex"), adapters, frozen=before)
    averaged = closed(spec_of("fedavg"), adapters)
    assert outcome.adapter == averaged.adapter and outcome.frozen is not None
    assert outcome.residual < 1e-6 < averaged.residual
    for name in SHAPES:
        expected = sum(SHARES[site] * full(adapters[site][name]) for site in SITES)
        beside = full(outcome.frozen[name]) - (0 if before is None else full(before[name]))
        assert near(full(outcome.adapter[name]) + beside, expected)


def padded(factor: np.ndarray, rank: int, axis: int) -> np.ndarray:
    missing = [(0, 0), (0, 0)]
    missing[axis] = (0, rank - factor.shape[axis])
    return np.pad(factor.astype(np.float64), missing)


@settings(max_examples=15)
@given(
    st.lists(st.integers(0, 10**6), min_size=3, max_size=3).filter(any),
    st.lists(st.integers(1, 7), min_size=3, max_size=3),
    st.lists(st.sampled_from([0.5, 2.0]), min_size=3, max_size=3),
    st.permutations(SITES),
)
@pytest.mark.parametrize("method", ["fedavg", "fedprox", "fedopal", "fed_medlora", "fed_medlora_plus"])
def test_that_an_average_is_the_dense_one_in_each_way(
    method: str, notes: list[int], ranks: list[int], scales: list[float], order: list[str]
) -> None:
    """`notes` are tokens where those weigh; Fed-MedLoRA+ as its paper describes it, so that both of its parts count."""
    reports = {site: Report(notes=n) for site, n in zip(SITES, notes, strict=True)}
    shares = {site: n / sum(notes) for site, n in zip(SITES, notes, strict=True)}
    parameters: dict[str, object] = {}
    if method.startswith("fed_medlora"):
        reports = {site: Report(notes=1, supervised_tokens=n) for site, n in zip(SITES, notes, strict=True)}
    if method == "fed_medlora_plus":
        parameters = {"preset": "described", "measured_by": "coordinator"}
        reports = {site: one.model_copy(update={"shared_loss": LOSSES[site]}) for site, one in reports.items()}
        worth = {site: n * math.exp(-LOSSES[site]) for site, n in zip(SITES, notes, strict=True)}
        shares = {site: one / sum(worth.values()) for site, one in worth.items()}
    given = {site: adapter(ord(site), rank, scale) for site, rank, scale in zip(SITES, ranks, scales, strict=True)}
    arrived, asked = {site: given[site] for site in order}, {site: reports[site] for site in order}
    product = closed(spec_of(method, parameters, combine="product"), arrived, asked)
    stack = closed(spec_of(method, parameters, combine="stack"), arrived, asked)
    level = {site: adapter(ord(site), rank) for site, rank in zip(SITES, ranks, strict=True)}
    factors = closed(spec_of(method, parameters, combine="factors"), {site: level[site] for site in order}, asked)
    assert stack.frozen is not None
    for name in SHAPES:
        expected = np.asarray(sum(shares[site] * full(given[site][name]) for site in SITES))
        assert near(full(product.adapter[name]), cut(expected, LORA.rank))
        assert near(full(stack.frozen[name]), expected)
        b = sum(shares[site] * padded(level[site][name].B, max(ranks), 1) for site in SITES)
        a = sum(shares[site] * padded(level[site][name].A, max(ranks), 0) for site in SITES)
        assert near(factors.adapter[name].B, np.asarray(b)) and near(factors.adapter[name].A, np.asarray(a))


def test_that_fedrot_averages_the_turned_factors_by_notes() -> None:
    outcome = closed(spec_of("fedrot"), trained())
    for name in SHAPES:
        for factor in "AB":
            expected = sum(SHARES[site] * getattr(trained()[site][name], factor).astype(np.float64) for site in SITES)
            assert near(getattr(outcome.adapter[name], factor), np.asarray(expected))


def dense_by_level(adapters: dict[str, Adapter], name: str, shares: dict[str, float]) -> np.ndarray:
    """raFLoRA's guard: components r_(h-1) + 1 .. r_h of each delta W, weighed among those whose rank reaches r_h."""
    reach = {site: min(one[name].rank, *one[name].shape) for site, one in adapters.items()}
    total, below = np.zeros(SHAPES[name]), 0
    for level in sorted(set(reach.values())):
        there = [site for site in adapters if reach[site] >= level]
        for site in there:
            dense = full(adapters[site][name])
            part = cut(dense, level) - (cut(dense, below) if below else 0)
            total += shares[site] / sum(shares[one] for one in there) * part
        below = level
    return total


HISTOGRAMS = {"A": {"heart": 8, "lung": 1}, "B": {"lung": 9}, "C": {"heart": 3, "lung": 3, "skin": 3}}


@pytest.mark.parametrize("ranks", [(2, 2, 2), (4, 2, 7)], ids=["one rank", "mixed ranks"])
@pytest.mark.parametrize("guard", [True, False])
@pytest.mark.parametrize("combine", ["product", "stack"])
def test_that_adaptive_fedlora_is_the_dense_sum_weighed_by_divergence(
    ranks: tuple[int, ...], guard: bool, combine: Combining
) -> None:
    adapters = {site: adapter(ord(site), rank) for site, rank in zip(SITES, ranks, strict=True)}
    reports = {site: Report(notes=NOTES[site], histogram=HISTOGRAMS[site]) for site in SITES}
    keys = ("heart", "lung", "skin")
    smooth = {
        site: np.array([(HISTOGRAMS[site].get(key, 0) + 1) / (sum(HISTOGRAMS[site].values()) + 3) for key in keys])
        for site in SITES
    }
    pooled = np.asarray(sum(SHARES[site] * smooth[site] for site in SITES))
    worth = {}
    for site in SITES:
        middle = (smooth[site] + pooled) / 2
        apart = (smooth[site] @ np.log2(smooth[site] / middle) + pooled @ np.log2(pooled / middle)) / 2
        worth[site] = NOTES[site] * math.exp(-apart / 0.5)
    shares = {site: one / sum(worth.values()) for site, one in worth.items()}
    spec = spec_of("adaptive_fedlora", {"guard": guard}, combine=combine)
    outcome = closed(spec, adapters, reports, start=START, ranks=dict(zip(SITES, ranks, strict=True)))
    for name in SHAPES:
        plain = np.asarray(sum(shares[site] * full(adapters[site][name]) for site in SITES))
        if combine == "stack":
            assert outcome.frozen is not None and near(full(outcome.frozen[name]), plain)
            continue
        summed = dense_by_level(adapters, name, shares) if guard else plain
        assert near(full(outcome.adapter[name]), cut(summed, max(ranks)))


@pytest.mark.parametrize("guard", [True, False])
def test_that_a_round_of_small_sites_alone_forgets_nothing_of_the_large_ones_where_it_is_guarded(guard: bool) -> None:
    """Nobody trains: each small site gives back what it began from, the start cut to rank 1."""
    start = adapter(5, 3)
    begun = algebra.truncate(start, 1)[0]
    reports = {site: Report(notes=5, histogram=HISTOGRAMS[site]) for site in "BC"}
    spec = spec_of("adaptive_fedlora", {"guard": guard})
    outcome = closed(spec, dict.fromkeys("BC", begun), reports, start=start, ranks={"B": 1, "C": 1})
    for name in SHAPES:
        assert near(full(outcome.adapter[name]), full(start[name]) if guard else cut(full(start[name]), 1))
    assert (outcome.measures["energy_above_smallest_rank"] > 0.1) == guard


def halves(live: str) -> dict[str, Adapter]:
    """Updates that hold `live` alone, completed from the start."""
    return {
        site: Adapter(
            {
                name: Module(
                    module.B if live == "B" else START[name].B, module.A if live == "A" else START[name].A, module.scale
                )
                for name, module in one.items()
            }
        )
        for site, one in trained().items()
    }


@pytest.mark.parametrize(("method", "live"), [("ffa", "B"), ("rolora", "A"), ("rolora", "B"), ("fedsa", "A")])
def test_that_averaging_one_factor_is_exact_and_leaves_the_other_to_the_bit(method: str, live: str) -> None:
    adapters = halves(live)
    outcome = closed(spec_of(method), adapters)
    assert outcome.residual < 1e-7
    for name in SHAPES:
        assert near(full(outcome.adapter[name]), sum(SHARES[site] * full(adapters[site][name]) for site in SITES))
        held = "A" if live == "B" else "B"
        assert np.array_equal(getattr(outcome.adapter[name], held), getattr(START[name], held))


def nova(reports: dict[str, Report], adapters: dict[str, Adapter], name: str, factor: str) -> np.ndarray:
    """x - t_eff sum_i p_i d_i with d_i = (x - y_i) / t_i (arXiv 2007.07481; the learning rate cancels)."""
    x = getattr(START[name], factor).astype(np.float64)
    effective = sum(SHARES[site] * reports[site].steps for site in SITES)
    moves = (SHARES[site] * (x - getattr(adapters[site][name], factor)) / reports[site].steps for site in SITES)
    return np.asarray(x - effective * sum(moves))


@settings(max_examples=40)
@given(st.lists(st.integers(1, 500), min_size=3, max_size=3))
def test_that_fednova_with_unequal_steps_is_its_formula(steps: list[int]) -> None:
    adapters = trained()
    reports = {site: Report(notes=NOTES[site], steps=n) for site, n in zip(SITES, steps, strict=True)}
    outcome = closed(spec_of("fednova"), adapters, reports)
    for name in SHAPES:
        for factor in "AB":
            assert near(getattr(outcome.adapter[name], factor), nova(reports, adapters, name, factor))


def test_that_fednova_with_equal_steps_is_fedavg_to_the_bit_and_else_is_not() -> None:
    adapters = trained()
    for combine in ("factors", "product"):
        same = closed(spec_of("fednova", combine=combine), adapters)
        assert same.adapter == closed(spec_of("fedavg", combine=combine), adapters).adapter
    reports = {site: Report(notes=NOTES[site], steps=4 + (site == "A")) for site in SITES}
    averaged = closed(spec_of("fedavg"), adapters, reports)
    assert closed(spec_of("fednova"), adapters, reports).adapter != averaged.adapter


def test_that_fednova_in_product_space_moves_delta_w_by_the_same_formula() -> None:
    adapters = trained()
    reports = {site: Report(notes=NOTES[site], steps=n) for site, n in zip(SITES, (3, 5, 11), strict=True)}
    outcome = closed(spec_of("fednova", combine="product"), adapters, reports)
    effective = sum(SHARES[site] * reports[site].steps for site in SITES)
    for name in SHAPES:
        x = full(START[name])
        moves = sum(SHARES[site] * (full(adapters[site][name]) - x) / reports[site].steps for site in SITES)
        assert near(full(outcome.adapter[name]), cut(x + effective * moves, LORA.rank))


@pytest.mark.parametrize("combine", ["factors", "product"])
def test_that_fednova_at_mixed_ranks_divides_each_sites_own_way(combine: Combining) -> None:
    """By notes as FedAvg's, plus each way from what the site itself began from, times t_eff / t_i - 1."""
    ranks = {"A": LORA.rank, "B": 1, "C": 2}
    adapters = {site: adapter(ord(site), rank) for site, rank in ranks.items()}
    reports = {site: Report(notes=NOTES[site], steps=n) for site, n in zip(SITES, (3, 5, 11), strict=True)}
    outcome = closed(spec_of("fednova", combine=combine), adapters, reports, ranks=ranks)
    effective = sum(SHARES[site] * reports[site].steps for site in SITES)
    more = {site: SHARES[site] * (effective / reports[site].steps - 1) for site in SITES}
    for name in SHAPES:
        if combine == "product":
            average = sum(SHARES[site] * full(adapters[site][name]) for site in SITES)
            ways = sum(
                more[site] * (full(adapters[site][name]) - cut(full(START[name]), ranks[site])) for site in SITES
            )
            assert near(full(outcome.adapter[name]), cut(np.asarray(average + ways), LORA.rank))
            continue
        for factor, axis in (("B", 1), ("A", 0)):
            expected = np.zeros(getattr(START[name], factor).shape)
            for site in SITES:
                own = padded(getattr(adapters[site][name], factor), LORA.rank, axis)
                begun = getattr(algebra.module_cut(START[name], ranks[site], "first"), factor)
                expected += SHARES[site] * own + more[site] * (own - padded(begun, LORA.rank, axis))
            assert near(getattr(outcome.adapter[name], factor), expected)


@pytest.mark.parametrize("combine", ["factors", "product"])
def test_that_fednova_grows_nothing_where_small_sites_of_small_rank_learn_nothing(combine: Combining) -> None:
    ranks = {"A": LORA.rank} | dict.fromkeys("BCDEF", 1)
    notes = {"A": 4000} | dict.fromkeys("BCDEF", 40)
    reports = {site: Report(notes=n, steps=n // 4) for site, n in notes.items()}
    spec, start = spec_of("fednova", combine=combine), START
    for _ in range(4):
        begun = {site: start.map(lambda m, r=rank: algebra.module_cut(m, r, spec.cut)) for site, rank in ranks.items()}
        outcome = closed(spec, begun, reports, start=start, ranks=ranks, sites="ABCDEF")
        assert algebra.norm(outcome.adapter) <= algebra.norm(start) * (1 + 1e-6)
        start = outcome.adapter


def test_that_no_hostile_number_of_steps_or_notes_breaks_fednova() -> None:
    for steps, notes in itertools.product((0, 2**53), repeat=2):
        reports = {"A": Report(notes=notes, steps=steps), "B": Report(notes=1, steps=1), "C": Report(notes=0, steps=0)}
        weights = FedNova().weigh(reports)
        of_start = math.fsum(FedNova().start_weights(reports).values())
        assert math.fsum(weights.values()) == pytest.approx(1) and math.isfinite(of_start)
        assert of_start <= 1e-12


# -- Fed-MedLoRA+ ------------------------------------------------------------------------------

LOSSES = {"A": 0.30, "B": 0.35, "C": 0.50}
PLUS = {
    site: Report(notes=1, supervised_tokens=tokens, shared_loss=LOSSES[site])
    for site, tokens in zip(SITES, (100, 300, 600), strict=True)
}


def test_that_the_released_weights_are_the_authors_own_and_size_does_not_count() -> None:
    weights = FedMedLoraPlus().weigh(PLUS)
    assert [round(weights[site], 3) for site in SITES] == [0.361, 0.343, 0.296]
    exact = {site: math.exp(1 - loss) for site, loss in LOSSES.items()}
    assert weights == pytest.approx({site: value / sum(exact.values()) for site, value in exact.items()})


def test_that_the_described_weights_count_both() -> None:
    weights = FedMedLoraPlus(preset="described").weigh(PLUS)
    exact = {site: PLUS[site].supervised_tokens * math.exp(-loss) for site, loss in LOSSES.items()}
    assert weights == pytest.approx({site: value / sum(exact.values()) for site, value in exact.items()})


def test_that_the_loss_of_a_site_that_does_not_weigh_hides_no_other() -> None:
    reports = {
        "A": Report(notes=1, supervised_tokens=0, shared_loss=0.0),
        "B": Report(notes=1, supervised_tokens=100, shared_loss=800.0),
    }
    assert FedMedLoraPlus(preset="described").weigh(reports) == {"A": 0.0, "B": 1.0}


def test_that_parameters_stand_in_for_the_presets_and_without_loss_it_is_fed_medlora() -> None:
    weights = FedMedLoraPlus(a=0.5, tau=0.1).weigh(PLUS)
    exact = {site: PLUS[site].supervised_tokens ** 0.5 * math.exp(-loss / 0.1) for site, loss in LOSSES.items()}
    assert weights == pytest.approx({site: value / sum(exact.values()) for site, value in exact.items()})
    assert FedMedLoraPlus(a=1, tau=1e30).weigh(PLUS) == pytest.approx(FedMedLora().weigh(PLUS))


@given(
    st.dictionaries(st.sampled_from("ABCDE"), st.floats(0, 1e30), min_size=1), st.sampled_from([1e-300, 0.1, 1, 1e30])
)
def test_that_weights_fall_with_the_loss_whatever_a_site_says(losses: dict[str, float], tau: float) -> None:
    reports = {site: Report(notes=1, supervised_tokens=2**53, shared_loss=loss) for site, loss in losses.items()}
    weights = FedMedLoraPlus(a=4, tau=tau).weigh(reports)
    assert math.fsum(weights.values()) == pytest.approx(1)
    ordered = sorted(losses, key=lambda site: losses[site])
    assert all(weights[x] >= weights[y] for x, y in itertools.pairwise(ordered))


def test_that_an_update_without_the_loss_it_is_weighed_by_is_refused() -> None:
    report = Report(notes=1)
    assert FedMedLoraPlus().refusal(report) == "methods.no_shared_loss"
    assert FedMedLoraPlus().refusal(PLUS["A"]) is None and FedAvg().refusal(report) is None


# -- what sites are asked ------------------------------------------------------------------------------


def plan(method: str, number: int) -> Plan:
    plans = METHODS[method](name=method).plan(opening(number))
    assert sorted(plans) == ["A", "B"] and plans["A"].model_copy(update={"seed": 2}) == plans["B"]
    return plans["A"]


def test_that_each_method_asks_for_the_factors_that_its_average_is_about() -> None:
    for number in (1, 2, 3):
        assert plan("ffa", number).freeze == ("A",) and plan("ffa", number).shared == ("B",)
        held, live = ("A", "B") if number % 2 else ("B", "A")
        assert plan("rolora", number).freeze == (held,) and plan("rolora", number).shared == (live,)
        own = plan("fedsa", number)
        assert (own.freeze, own.own, own.shared) == ((), ("B",), ("A",))
        assert plan("fedrot", number).rotation == 0.5 and plan("fedrot", number).shared == ("A", "B")
        for method in sorted(METHODS.keys() - {"ffa", "rolora", "fedsa", "fedrot"}):
            assert plan(method, number).shared == ("A", "B") and plan(method, number).rotation is None


def test_that_each_method_adds_its_own_terms_to_the_loss_and_no_other() -> None:
    asked = {method: {term.term for term in plan(method, 1).objective} for method in METHODS}
    assert {method: terms for method, terms in asked.items() if terms} == {
        "fedprox": {"proximal"},
        "sa_fedlora": {"proximal"},
        "scaffold": {"control"},
        "fedopal": {"orthogonal"},
    }


def test_that_sites_are_drawn_by_the_seed_alone_and_all_take_part_where_there_are_no_more() -> None:
    names = dict.fromkeys("ABCDEFG", 0)
    for clients in (None, 7, 8):
        assert drawn(opening(seeds=names, clients=clients)) == sorted(names)
    chosen = [drawn(opening(seeds=names, clients=3, seed=seed)) for seed in range(50)]
    backwards = dict(reversed(names.items()))
    assert chosen == [drawn(opening(seeds=backwards, clients=3, seed=seed)) for seed in range(50)]
    assert all(one == sorted(set(one)) and len(one) == 3 for one in chosen)
    often = [sum(site in one for one in chosen) for site in names]
    assert min(often) > 10 and len({tuple(one) for one in chosen}) > 20


def test_that_a_plan_that_shares_nothing_is_none() -> None:
    with pytest.raises(ValueError, match="at least one of the factors"):
        Plan(round=1, start="a" * 64, rank=1, training=TrainingSettings(steps=1), freeze=("A",), own=("B",), seed=0)


# -- what is combined how ------------------------------------------------------------------------------

WAYS: tuple[Combining, ...] = get_args(Combining)


@pytest.mark.parametrize("combine", WAYS)
@pytest.mark.parametrize("method", sorted(METHODS))
def test_that_a_way_that_does_not_fit_is_refused_with_its_reason_and_any_other_runs(
    method: str, combine: Combining
) -> None:
    data = spec_of(method).model_dump(mode="json") | {"combine": combine}
    if code := refusal_of(method, combine):
        with pytest.raises(UserFacingError) as caught:
            checked_spec(data, "federation.toml")
        assert caught.value.code == code
        text = told(caught.value)
        assert text.startswith("federation.toml: ") and method in text and f'combine = "{usual(method)}"' in text
        with pytest.raises(ValueError, match=code):
            FederationSpec.model_validate(data)
        return
    spec = checked_spec(data, "federation.toml")
    adapters = halves("B") if method in ("ffa", "rolora", "fedsa") else trained()
    outcomes = [closed(spec, dict(order)) for order in itertools.permutations(adapters.items())]
    assert len({(one.adapter, one.frozen, one.residual) for one in outcomes}) == 1


@pytest.mark.parametrize(
    ("method", "combine"), [(m, w) for m in sorted(METHODS) for w in WAYS if refusal_of(m, w) is None]
)
def test_that_a_site_that_bears_less_takes_part_at_its_rank_or_is_told_that_it_cannot(
    method: str, combine: Combining
) -> None:
    spec = spec_of(method, combine=combine)
    rounds = Rounds(spec)
    assert rounds.join_refusal(None) is rounds.join_refusal(spec.lora.rank) is None
    if not spec.method.mixes_ranks:
        assert rounds.join_refusal(1) == "join.rank_cap"
        assert method in {"fedadam", "fedavgm", "fedrot", "fedsa", "ffa", "rolora", "sa_fedlora", "scaffold"}
        return
    assert rounds.join_refusal(1) is None
    for site, cap in {"A": None, "B": 1, "C": 5}.items():
        rounds.handle(SiteJoined(site=site, rank_cap=cap), datetime(2026, 1, 1, tzinfo=UTC))
    ranks = {site: one.rank for site, one in rounds.state.plans.items()}
    assert ranks["B"] == 1 < ranks["A"] and ranks["C"] <= 5
    adapters = {site: adapter(ord(site), rank) for site, rank in ranks.items()}
    results = [closed(spec, dict(order)) for order in itertools.permutations(adapters.items())]
    assert len({(one.adapter, one.frozen, one.residual) for one in results}) == 1


def test_that_a_specification_that_says_nothing_combines_as_the_method_does() -> None:
    share = ShareSettings(histogram="specialties")
    ways = {method: small_spec(method={"name": method}, share=share).combine for method in METHODS}
    others = {"flexlora": "product", "adaptive_fedlora": "product", "flora": "stack"}
    assert {method: way for method, way in ways.items() if way != "factors"} == others
    assert REFUSED.keys() <= METHODS.keys()
    assert small_spec().combine == "factors" and small_spec(combine="stack").combine == "stack"


def test_that_a_wrong_method_is_named_where_the_specification_says_nothing_of_combining() -> None:
    data = small_spec().model_dump(mode="json", exclude={"combine"})
    with pytest.raises(UserFacingError) as caught:
        checked_spec(data | {"method": {"name": "fedavgg"}}, "federation.toml")
    assert caught.value.params["key"] == "method" and "'fedavg'" in told(caught.value)
    with pytest.raises(UserFacingError) as caught:
        checked_spec(data | {"combine": "sum"}, "federation.toml")
    assert caught.value.params["key"] == "combine" and "'product'" in told(caught.value)


def test_that_flexlora_and_flora_are_fedavg_in_another_space() -> None:
    for method, way in (("flexlora", "product"), ("flora", "stack")):
        named = closed(spec_of(method), MIXED)
        plain = closed(spec_of("fedavg", combine=way), MIXED)
        assert (named.adapter, named.frozen) == (plain.adapter, plain.frozen)


def test_that_parameters_are_checked() -> None:
    for wrong in ({"strength": 1.5}, {"strength": -0.1}):
        with pytest.raises(ValueError, match="strength"):
            FedRot.model_validate(wrong)
    for wrong in ({"tau": 0}, {"a": -1}, {"preset": "paper"}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            FedMedLoraPlus.model_validate(wrong)
    for method in (Ffa, FedSa, RoLora, FedNova):
        with pytest.raises(ValueError, match="strength"):
            method.model_validate({"strength": 0.5})
