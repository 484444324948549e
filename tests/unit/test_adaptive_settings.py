# SPDX-License-Identifier: Apache-2.0
"""Settings of adaptive_fedlora that are off by default: its split, its model drift, and when ranks may change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmed_desktop.federation import Report
from fedmed_desktop.federation.consent import check_plan
from fedmed_desktop.federation.drift import direction_drift, excess_drift
from fedmed_desktop.federation.methods import AdaptiveFedLora
from fedmed_desktop.federation.methods.method import MethodState
from fedmed_desktop.lora import Adapter, Module, algebra
from tests.parts.federation import LORA, SHAPES
from tests.parts.method import NOTES, SHARES, SITES, START, adapter, closed, cut, full, near, opening, spec_of, trained

# Drift is then the model drift alone, as a share of the largest so far.
PLAIN: dict[str, Any] = {"weights": (1.0, 0.0, 0.0), "quantile": 1.0, "memory": 0.0, "grid": (2, 4, 8), "tau": 1e9}
FRESH = np.sqrt(1 / 3)
ENERGIES = np.array([60.0, 25.0, 11.0, 3.0, 1.0, 0.0, 0.0, 0.0])


def test_that_defaults_say_nothing_in_a_specification() -> None:
    later = {"model_drift", "keep_energy", "final", "split"}
    assert later <= AdaptiveFedLora.model_fields.keys()
    assert not later & AdaptiveFedLora().model_dump().keys()


# -- split -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["adaptive_fedlora", "flexlora"])
@pytest.mark.parametrize("ranks", [{"A": 4, "B": 4, "C": 4}, {"A": 4, "B": 2, "C": 8}])
def test_that_a_fresh_split_does_the_same_with_rows_of_a_as_large_as_at_first(
    method: str, ranks: dict[str, int]
) -> None:
    adapters = {site: adapter(at, rank) for at, (site, rank) in enumerate(ranks.items())}
    even, fresh = (closed(spec_of(method, {"split": split}), adapters, ranks=ranks) for split in ("balanced", "fresh"))
    for name in SHAPES:
        one, other = even.adapter[name], fresh.adapter[name]
        assert near(full(other), full(one)) and other.rank == one.rank
        assert np.allclose(np.linalg.norm(other.A, axis=1), FRESH, rtol=1e-5)
        assert np.allclose(np.linalg.norm(one.A, axis=1), np.linalg.norm(one.B, axis=0), rtol=1e-4), "balanced"
    assert closed(spec_of(method), adapters, ranks=ranks).adapter == even.adapter


def test_that_a_site_of_smaller_rank_begins_from_the_best_cut_in_the_same_split() -> None:
    spec = spec_of("adaptive_fedlora", {"split": "fresh"})
    (plan, _) = spec.method.plan(opening(2, cut=spec.cut, training=spec.training)).values()
    check_plan(plan, spec)
    assert plan.cut == "fresh" and spec_of("adaptive_fedlora").cut == "best"
    for module in adapter(5, 6).values():
        smaller = algebra.module_cut(module, 3, plan.cut)
        assert near(full(smaller), cut(full(module), 3))
        assert np.allclose(np.linalg.norm(smaller.A, axis=1), FRESH, rtol=1e-5)
        assert algebra.module_cut(module, 6, "fresh") is module


def test_that_rows_of_zeros_stay_in_a_fresh_split() -> None:
    module = Module(np.zeros((5, 2)), np.array([[0.0, 0.0, 0.0], [3.0, 0.0, 4.0]]), 2.0)
    found = algebra.module_fresh_split(module)
    assert not found.A[0].any() and np.linalg.norm(found.A[1]) == pytest.approx(FRESH)


# -- model drift -------------------------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 6))
def test_that_the_drift_of_direction_is_that_of_plain_vectors(seed: int, many: int) -> None:
    rng = np.random.default_rng(seed)
    vectors, weights = rng.normal(size=(many, 5)), rng.dirichlet(np.ones(many))
    mean = weights @ vectors
    expected = [1 - float(one @ mean / np.linalg.norm(one) / np.linalg.norm(mean)) for one in vectors]
    assert direction_drift(vectors @ vectors.T, list(weights)) == pytest.approx(expected, abs=1e-6)
    assert direction_drift(np.zeros((many, many)), list(weights)) == [0.0] * many


def test_that_direction_is_measured_on_what_the_updates_do_at_their_ranks() -> None:
    ranks = {"A": 4, "B": 2, "C": 8}
    adapters = {site: adapter(at, rank) for at, (site, rank) in enumerate(ranks.items())}
    outcome = closed(spec_of("adaptive_fedlora", PLAIN | {"model_drift": "direction"}), adapters, ranks=ranks)
    changes = {
        site: np.concatenate([(full(one[name]) - cut(full(START[name]), ranks[site])).ravel() for name in SHAPES])
        for site, one in adapters.items()
    }
    mean = np.asarray(sum(SHARES[site] * changes[site] for site in SITES))
    for site, own in changes.items():
        expected = 1 - own @ mean / np.linalg.norm(own) / np.linalg.norm(mean)
        assert outcome.measures[f"model_drift.{site}"] == pytest.approx(expected, rel=1e-6)


def test_that_by_the_median_only_who_goes_further_drifts_however_large_the_common_adapter_is() -> None:
    norms = {"A": 1.0, "B": 2.0, "C": 5.0}
    reports = {
        site: Report(notes=NOTES[site], supervised_tokens=1, loss_before=1.0, update_norm=norm, start_norm=1e6)
        for site, norm in norms.items()
    }
    outcome = closed(spec_of("adaptive_fedlora", PLAIN | {"model_drift": "median"}), trained(), reports)
    found = {site: outcome.measures[f"model_drift.{site}"] for site in SITES}
    assert found == pytest.approx({"A": 0.0, "B": 0.0, "C": 1.5}, abs=1e-9)
    assert excess_drift(0.0, 0.0) == 0.0
    assert outcome.measures["rank.C"] >= outcome.measures["rank.A"]
    usual = closed(spec_of("adaptive_fedlora", PLAIN), trained(), reports)
    assert not any(name.startswith("model_drift.") for name in usual.measures)


# -- ranks -------------------------------------------------------------------------------------------------------------


def with_energies(energies: np.ndarray) -> Adapter:
    """The same squared singular values, as shares, in every module, and rank 8 with zeros behind them."""
    modules = {}
    for name, (d, k) in SHAPES.items():
        rank = min(8, d, k)
        b = np.linalg.qr(np.random.default_rng(1).normal(size=(d, rank)))[0]
        a = np.linalg.qr(np.random.default_rng(2).normal(size=(k, rank)))[0].T
        modules[name] = Module(b * np.sqrt(energies[:rank]), a, LORA.scale)
    return Adapter(modules)


@pytest.mark.parametrize(
    ("share", "rank"), [(0.5, 1), (0.599, 1), (0.601, 2), (0.95, 3), (0.959, 3), (0.97, 4), (0.995, 5)]
)
def test_that_the_rank_that_keeps_a_share_of_the_energy_is_found(share: float, rank: int) -> None:
    assert algebra.rank_of_energy(with_energies(ENERGIES), share) == rank


def test_that_without_energy_there_is_no_such_rank() -> None:
    assert algebra.rank_of_energy(with_energies(np.zeros(8)), 0.95) == 0


def last_rank(parameters: Mapping[str, object], number: int = 1, rank: int = 8) -> float:
    """The rank planned for a site that does not drift, after a round of rounds in which all have the same adapter."""
    state: MethodState = {
        "sites": {
            site: {"rank": rank, "since": 1, "drift": 0.0, "round": number - 1, "notes": 1, "loss": 1.0}
            for site in SITES
        }
    }
    same = dict.fromkeys(SITES, with_energies(ENERGIES))
    spec = spec_of("adaptive_fedlora", PLAIN | {"hold": 1} | dict(parameters), rounds=10)
    reports = {site: Report(notes=1, loss_before=1.0, update_norm=0.0) for site in SITES}
    outcome = closed(spec, same, reports, number=number, ranks=dict.fromkeys(SITES, rank), method_state=state)
    return outcome.measures["rank.A"]


def test_that_no_rank_falls_below_what_keeps_the_energy_and_none_rises_for_it() -> None:
    assert [last_rank({}, rank=rank) for rank in (8, 4, 2)] == [4, 2, 2]
    # 3 directions keep 95 %: 4 on the grid
    assert [last_rank({"keep_energy": 0.95}, rank=rank) for rank in (8, 4, 2)] == [4, 4, 2]
    assert [last_rank({"keep_energy": 0.995}, rank=rank) for rank in (8, 4, 2)] == [8, 4, 2]
    assert last_rank({"keep_energy": 0.995, "rule": "continuous"}) == 8 > last_rank({"rule": "continuous"})


def test_that_no_rank_changes_in_the_last_rounds() -> None:
    """Of ten rounds, the last two; what is planned at the end of a round is for the next one."""
    assert [last_rank({"final": 0.2}, number) for number in (6, 7, 8, 9, 10)] == [4, 4, 8, 8, 8]
    assert [last_rank({"final": 0.29}, number) for number in (7, 8)] == [4, 8], "whole rounds, rounded down"
    assert [last_rank({}, number) for number in (8, 9)] == [4, 4]


@pytest.mark.parametrize(
    "wrong",
    [{"keep_energy": 1.0}, {"final": 1.1}, {"model_drift": "both"}, {"split": "even"}],
    ids=lambda one: next(iter(one)),
)
def test_that_settings_out_of_bounds_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        AdaptiveFedLora(**wrong)
