# SPDX-License-Identifier: Apache-2.0
"""Turning factors changes no delta W and brings the averaged ones nearer to what the products say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmed_desktop.federation.combine import Term, combine_factors
from fedmed_desktop.lora import Adapter, Module
from fedmed_desktop.lora.rotation import rotated

NAME = "layers.0.q_proj"
D, K, RANK, SCALE = 12, 9, 4, 2.0


def adapter(seed: int, rank: int = RANK) -> Adapter:
    rng = np.random.default_rng(seed)
    return Adapter({NAME: Module(rng.normal(size=(D, rank)), rng.normal(size=(rank, K)), SCALE)})


def turned_by(start: Adapter, turn: np.ndarray) -> Adapter:
    module = start[NAME]
    return Adapter({NAME: Module(module.B @ turn, turn.T @ module.A, SCALE)})


def rotation(seed: int) -> np.ndarray:
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(RANK, RANK)))
    q[:, 0] *= np.sign(np.linalg.det(q))
    return q


def dense(one: Adapter) -> np.ndarray:
    return SCALE * one[NAME].B.astype(np.float64) @ one[NAME].A.astype(np.float64)


@settings(max_examples=50)
@given(st.integers(0, 1000), st.integers(1, 4), st.floats(0, 1))
def test_that_delta_w_stays_what_it_is(seed: int, number: int, strength: float) -> None:
    one = adapter(seed)
    result = rotated(one, adapter(seed + 1), number, strength)
    assert np.linalg.norm(dense(result) - dense(one)) <= 1e-6 * np.linalg.norm(dense(one))


@pytest.mark.parametrize("number", [1, 2])
def test_that_full_strength_undoes_a_turn_and_none_leaves_the_factors(number: int) -> None:
    start = adapter(0)
    turned = turned_by(start, rotation(1))
    assert np.allclose(rotated(turned, start, number, 1.0)[NAME].A, start[NAME].A, atol=1e-5)
    assert np.allclose(rotated(turned, start, number, 1.0)[NAME].B, start[NAME].B, atol=1e-5)
    assert np.allclose(rotated(turned, start, number, 0.0)[NAME].A, turned[NAME].A, atol=1e-6)


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("seed", range(5))
def test_that_the_full_turn_is_the_best_of_all(number: int, seed: int) -> None:
    one, reference = adapter(seed), adapter(seed + 50)

    def gap(candidate: Adapter) -> float:
        a, b = candidate[NAME].A - reference[NAME].A, candidate[NAME].B - reference[NAME].B
        return float(np.linalg.norm(a if number % 2 else b))

    best = gap(rotated(one, reference, number, 1.0))
    assert best <= gap(one)
    assert all(best <= gap(turned_by(one, rotation(other))) + 1e-5 for other in range(100, 140))


def test_that_the_soft_turn_is_the_formula() -> None:
    one, reference, strength = adapter(3), adapter(4), 0.4
    u, _, vt = np.linalg.svd(reference[NAME].A.astype(np.float64) @ one[NAME].A.T.astype(np.float64))
    full = vt.T @ np.diag([1, 1, 1, np.linalg.det(u @ vt)]) @ u.T
    left, _, right = np.linalg.svd((1 - strength) * np.eye(RANK) + strength * full)
    polar = left @ right
    assert np.linalg.det(polar) > 0, "choose seeds for which the polar factor is a rotation already"
    expected = turned_by(one, polar)
    found = rotated(one, reference, 1, strength)
    assert np.allclose(found[NAME].A, expected[NAME].A, atol=1e-5)
    assert np.allclose(found[NAME].B, expected[NAME].B, atol=1e-5)


def test_that_averages_of_turned_factors_miss_less() -> None:
    start = adapter(0)
    sites = [turned_by(start, rotation(seed)) for seed in (1, 2, 3)]

    def residual(adapters: list[Adapter]) -> float:
        return combine_factors([Term(one.sha256, 1 / 3, one) for one in adapters]).residual

    assert residual(sites) > 0.1
    assert residual([rotated(one, start, 1, 1.0) for one in sites]) < 1e-5


def test_that_a_reference_without_a_say_changes_nothing() -> None:
    one, zero = adapter(1), Adapter.initial({NAME: (D, K)}, RANK, SCALE, seed=0)
    assert rotated(one, zero, 2, 1.0) == one


def test_that_other_ranks_and_strengths_are_refused() -> None:
    with pytest.raises(ValueError, match="same ranks"):
        rotated(adapter(1), adapter(2, rank=3), 1, 0.5)
    with pytest.raises(ValueError, match="between 0 and 1"):
        rotated(adapter(1), adapter(2), 1, 1.5)
