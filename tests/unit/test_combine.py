# SPDX-License-Identifier: Apache-2.0
"""Averaging factors equals the dense formulas of methods 4.1, whatever the order of arrival; weights of the methods."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation import Report
from fedmed_desktop.federation.combine import Term, combine_factors
from fedmed_desktop.federation.methods import METHODS, FedAvg, FedMedLora
from fedmed_desktop.lora import Adapter, BlobReader, Module

SHAPES = {"layers.0.q_proj": (9, 7), "layers.1.up_proj": (12, 5)}
SCALE = 2.5


def adapter(seed: int, rank: int = 3, scale: float = SCALE) -> Adapter:
    rng = np.random.default_rng(seed)
    return Adapter(
        {name: Module(rng.normal(size=(d, rank)), rng.normal(size=(rank, k)), scale) for name, (d, k) in SHAPES.items()}
    )


def terms_of(*weighted: tuple[float, Adapter]) -> list[Term]:
    return [Term(order=source.sha256, weight=weight, source=source) for weight, source in weighted]


def dense(B: np.ndarray, A: np.ndarray) -> np.ndarray:
    return SCALE * (B.astype(np.float64) @ A.astype(np.float64))


def dense_residual(weighted: list[tuple[float, Adapter]]) -> float:
    """|sum p_k s B_k A_k - s Bbar Abar| / |sum p_k s B_k A_k| over all modules."""
    missed = ideal = 0.0
    for name in SHAPES:
        B = sum(p * a[name].B.astype(np.float64) for p, a in weighted)
        A = sum(p * a[name].A.astype(np.float64) for p, a in weighted)
        best = sum(p * dense(a[name].B, a[name].A) for p, a in weighted)
        missed += float(np.sum((best - dense(B, A)) ** 2))
        ideal += float(np.sum(best**2))
    return math.sqrt(missed / ideal)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.floats(0.01, 1)), min_size=1, max_size=5, unique_by=lambda t: t[0]))
def test_that_factors_and_residual_are_the_dense_ones(drawn: list[tuple[int, float]]) -> None:
    total = sum(weight for _, weight in drawn)
    weighted = [(weight / total, adapter(seed)) for seed, weight in drawn]
    result = combine_factors(terms_of(*weighted))
    for name in SHAPES:
        B = sum(p * a[name].B.astype(np.float64) for p, a in weighted)
        A = sum(p * a[name].A.astype(np.float64) for p, a in weighted)
        assert np.allclose(result.adapter[name].B, B, rtol=0, atol=1e-6)
        assert np.allclose(result.adapter[name].A, A, rtol=0, atol=1e-6)
        assert result.adapter[name].scale == SCALE
    assert result.residual == pytest.approx(dense_residual(weighted), abs=1e-9, rel=1e-9)


def test_that_the_order_of_arrival_changes_no_bit() -> None:
    terms = terms_of(*((w, adapter(seed)) for seed, w in enumerate([0.1, 0.2, 0.3, 0.4])))
    results = [combine_factors(order) for order in itertools.permutations(terms)]
    assert len({result.adapter.sha256 for result in results}) == 1
    assert len({result.residual for result in results}) == 1


def test_that_equal_bytes_with_different_weights_do_not_depend_on_arrival() -> None:
    same = adapter(1)
    terms = [Term(order=same.sha256, weight=w, source=same) for w in (0.1, 0.7, 1 / 3, 1e-9)]
    terms += terms_of((0.2, adapter(2)), (0.3, adapter(3)))
    results = [combine_factors(order) for order in itertools.permutations(terms)]
    assert len({(result.adapter.sha256, result.residual) for result in results}) == 1


def test_that_averaging_is_exact_where_all_share_a() -> None:
    shared = adapter(0)
    others = [
        Adapter({name: Module(adapter(seed)[name].B, shared[name].A, SCALE) for name in SHAPES}) for seed in (1, 2, 3)
    ]
    assert combine_factors(terms_of(*((1 / 3, a) for a in others))).residual < 1e-7


def test_that_one_update_and_updates_without_any_change_leave_no_residual() -> None:
    assert combine_factors(terms_of((1.0, adapter(0)))).residual == 0.0
    zero = [Adapter.initial(SHAPES, 3, SCALE, seed) for seed in (0, 1)]
    assert combine_factors(terms_of(*((0.5, a) for a in zero))).residual == 0.0


def test_that_mixed_scales_are_refused_by_the_name_of_the_module() -> None:
    with pytest.raises(UserFacingError, match=r"layers\.0\.q_proj") as caught:
        combine_factors(terms_of((0.5, adapter(0)), (0.5, adapter(1, scale=1.0))))
    assert caught.value.code == "combine.mixed_scales"


def test_that_blobs_on_disk_combine_to_the_same_bits(tmp_path: Path) -> None:
    weighted = [(0.25, adapter(0)), (0.75, adapter(1))]
    terms = []
    for weight, source in weighted:
        path = tmp_path / source.sha256
        path.write_bytes(source.to_blob())
        terms.append(Term(order=source.sha256, weight=weight, source=BlobReader(path)))
    assert combine_factors(terms).adapter.sha256 == combine_factors(terms_of(*weighted)).adapter.sha256


REPORTS = {
    "B": Report(notes=30, supervised_tokens=100),
    "A": Report(notes=10, supervised_tokens=300),
    "C": Report(notes=0, supervised_tokens=0),
}


def test_that_fedavg_weighs_by_notes_and_fed_medlora_by_supervised_tokens() -> None:
    assert FedAvg().weigh(REPORTS) == {"A": 0.25, "B": 0.75, "C": 0.0}
    assert FedMedLora().weigh(REPORTS) == {"A": 0.75, "B": 0.25, "C": 0.0}


@pytest.mark.parametrize("name", sorted(METHODS))
def test_that_weights_are_equal_where_nobody_has_anything_to_count(name: str) -> None:
    empty = {site: Report(notes=0) for site in "ABC"}
    assert METHODS[name](name=name).weigh(empty) == {"A": 1 / 3, "B": 1 / 3, "C": 1 / 3}


@pytest.mark.parametrize("name", sorted(METHODS))
@given(st.dictionaries(st.sampled_from("ABCDE"), st.tuples(st.integers(0, 2**53), st.integers(0, 2**53)), min_size=1))
def test_that_weights_are_shares_that_do_not_depend_on_the_order_of_arrival(
    name: str, drawn: dict[str, tuple[int, int]]
) -> None:
    reports = {site: Report(notes=n, supervised_tokens=t) for site, (n, t) in drawn.items()}
    weights = METHODS[name](name=name).weigh(reports)
    assert weights.keys() == reports.keys() and all(weight >= 0 for weight in weights.values())
    assert math.fsum(weights.values()) == pytest.approx(1)
    assert METHODS[name](name=name).weigh(dict(reversed(list(reports.items())))) == weights


def test_that_a_mean_is_rounded_once_from_float64() -> None:
    weighted = [(1 / 7, adapter(1)), (2 / 7, adapter(2)), (4 / 7, adapter(3))]
    result = combine_factors(terms_of(*weighted))
    ordered = sorted(weighted, key=lambda pair: pair[1].sha256)
    for name in SHAPES:
        mean = np.zeros((*SHAPES[name][:1], 3))
        for weight, one in ordered:
            mean += weight * one[name].B.astype(np.float64)
        assert np.array_equal(result.adapter[name].B, mean.astype(np.float32))
