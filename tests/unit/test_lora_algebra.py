# SPDX-License-Identifier: Apache-2.0
"""Low-rank algebra agrees with dense float64 algebra."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.lora import Adapter, Module, algebra
from tests.parts.told import told_as

SHAPES = {"layers.0.q_proj": (9, 7), "layers.0.v_proj": (4, 7), "layers.1.down_proj": (5, 12)}
QUICK = settings(max_examples=60)


@st.composite
def adapters(draw: st.DrawFn) -> Adapter:
    """Mixed ranks (also above the layer's own), scales and sizes, sometimes without an update."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    modules = {}
    for name, (d, k) in SHAPES.items():
        rank = draw(st.integers(1, 11))
        size = draw(st.sampled_from([0.0, 1e-3, 1.0, 50.0]))
        scale = draw(st.sampled_from([0.125, 1.0, 2.0, 11.3]))
        modules[name] = Module(size * rng.normal(size=(d, rank)), rng.normal(size=(rank, k)), scale)
    return Adapter(modules)


def dense(module: Module) -> np.ndarray:
    return module.scale * (module.B.astype(np.float64) @ module.A.astype(np.float64))


def flat(adapter: Adapter) -> np.ndarray:
    return np.concatenate([dense(module).ravel() for module in adapter.values()])


def size(adapter: Adapter) -> float:
    return float(np.linalg.norm(flat(adapter)))


@QUICK
@given(adapters(), adapters())
def test_that_norm_and_distance_are_the_dense_ones(x: Adapter, y: Adapter) -> None:
    assert algebra.norm(x) == pytest.approx(size(x), rel=1e-9)
    exact = np.linalg.norm(flat(x) - flat(y))
    assert algebra.distance(x, y) == pytest.approx(exact, abs=1e-12 * (size(x) + size(y)), rel=1e-9)


@QUICK
@given(adapters())
def test_that_an_adapter_is_no_distance_from_itself(x: Adapter) -> None:
    assert algebra.distance(x, x) <= 1e-12 * size(x)


def test_that_a_small_distance_between_large_updates_is_not_lost_to_cancellation() -> None:
    rng = np.random.default_rng(1)
    b, a = rng.normal(size=(40, 4)).astype(np.float32), rng.normal(size=(4, 30)).astype(np.float32)
    moved = b.copy()
    moved[3, 2] *= 1 + 1e-5
    x, y = Adapter({"m": Module(b, a, 2.0)}), Adapter({"m": Module(moved, a, 2.0)})
    expected = np.linalg.norm(flat(x) - flat(y))
    assert expected < 1e-5 * size(x)
    assert algebra.distance(x, y) == pytest.approx(expected, rel=1e-6)


@QUICK
@given(st.lists(st.tuples(st.floats(-3, 3), adapters()), min_size=1, max_size=4))
def test_that_a_weighted_sum_is_the_dense_one(terms: list[tuple[float, Adapter]]) -> None:
    result = algebra.weighted_sum(terms)
    expected = sum(weight * flat(adapter) for weight, adapter in terms)
    bound = sum(abs(weight) * size(adapter) for weight, adapter in terms)
    assert np.linalg.norm(flat(result) - expected) <= 1e-6 * bound + 1e-30  # float32 ends there
    assert result.ranks == {name: sum(a[name].rank for _, a in terms) for name in SHAPES}


def test_that_a_weighted_sum_keeps_the_common_scale() -> None:
    x = Adapter.initial(SHAPES, rank=2, scale=2.0, seed=0)
    result = algebra.weighted_sum([(0.3, x), (-0.1, x)])
    assert {module.scale for module in result.values()} == {2.0}


def test_that_a_weighted_sum_refuses_weights_that_are_not_finite_and_no_terms() -> None:
    x = Adapter.initial(SHAPES, rank=2, scale=2.0, seed=0)
    with pytest.raises(ValueError, match="finite"):
        algebra.weighted_sum([(float("nan"), x)])
    with pytest.raises(ValueError, match="at least one"):
        algebra.weighted_sum([])


@QUICK
@given(adapters(), st.integers(1, 10))
def test_that_truncation_is_the_dense_svd_optimum(x: Adapter, rank: int) -> None:
    smaller, dropped = algebra.truncate(x, rank)
    lost = {name: np.linalg.svd(dense(module), compute_uv=False)[rank:] for name, module in x.items()}
    best = sum(float(np.sum(sigma**2)) for sigma in lost.values())
    assert dropped == pytest.approx(best, abs=1e-12 * size(x) ** 2)
    error = np.linalg.norm(flat(x) - flat(smaller))
    assert error == pytest.approx(np.sqrt(best), abs=1e-6 * size(x))
    for name, (d, k) in SHAPES.items():
        assert smaller[name].rank == min(x[name].rank, max(1, min(rank, d, k)))
        assert smaller[name].scale == x[name].scale


@QUICK
@given(adapters(), st.integers(1, 10))
def test_that_truncated_factors_share_the_energy_equally(x: Adapter, rank: int) -> None:
    smaller, _ = algebra.truncate(x, rank)
    for name, module in smaller.items():
        if module is not x[name] and module.B.any():
            live = module.B.any(axis=0)
            gram_b = (module.B.T @ module.B)[np.ix_(live, live)]
            gram_a = (module.A @ module.A.T)[np.ix_(live, live)]
            np.testing.assert_allclose(gram_b, gram_a, atol=1e-4 * gram_b.max())


@pytest.mark.parametrize("rank", [2, 3])
def test_that_shrinking_leaves_no_direction_that_could_never_learn(rank: int) -> None:
    first = Adapter.initial({"m": (16, 12)}, rank=6, scale=2.0, seed=0)
    b = np.zeros((16, 6), np.float32)
    b[:, 0] = 1
    for adapter in (first, Adapter({"m": Module(b, first["m"].A, 2.0)})):
        smaller, dropped = algebra.shrink(adapter, rank)
        assert dropped <= 1e-12
        assert np.linalg.norm(flat(adapter) - flat(smaller)) <= 1e-6 * size(adapter)
        assert (np.linalg.norm(smaller["m"].A, axis=1) > 0.3).all()


@QUICK
@given(adapters(), st.integers(1, 6))
def test_that_shrink_reports_the_dropped_fraction(x: Adapter, rank: int) -> None:
    smaller, fraction = algebra.shrink(x, rank)
    lost = np.linalg.norm(flat(x) - flat(smaller)) ** 2
    assert 0 <= fraction <= 1
    assert fraction * size(x) ** 2 == pytest.approx(lost, abs=1e-6 * size(x) ** 2)


@QUICK
@given(adapters(), st.integers(1, 12))
def test_that_growth_keeps_the_update_and_the_old_factors_exactly(x: Adapter, rank: int) -> None:
    larger = algebra.grow(x, rank, seed=3)
    for name, module in larger.items():
        old, (d, k) = x[name], SHAPES[name]
        assert module.rank == max(old.rank, min(rank, d, k))
        assert module.scale == old.scale
        np.testing.assert_array_equal(module.A[: old.rank], old.A)
        np.testing.assert_array_equal(module.B[:, : old.rank], old.B)
        assert not module.B[:, old.rank :].any()
        assert (np.abs(module.A[old.rank :]) <= 1 / np.sqrt(k) * (1 + 1e-6)).all()
        assert module.A[old.rank :].any(axis=1).all()
    assert larger == algebra.grow(x, rank, seed=3)


@QUICK
@given(adapters())
def test_that_singular_values_and_effective_rank_are_the_dense_ones(x: Adapter) -> None:
    ranks = []
    for module in x.values():
        sigma = np.linalg.svd(dense(module), compute_uv=False)
        found = algebra.singular_values(module)
        assert found.shape == (min(module.rank, *module.shape),)
        np.testing.assert_allclose(found, sigma[: len(found)], atol=1e-9 * max(1.0, sigma[0]))
        share = sigma[sigma > 1e-12 * sigma[0]] / sigma.sum() if sigma.any() else np.array([])
        ranks.append(np.exp(-np.sum(share * np.log(share))) if share.size else 0.0)
    assert algebra.effective_rank(x) == pytest.approx(np.mean(ranks), rel=1e-6)


def test_that_equal_singular_values_give_the_full_effective_rank_and_no_update_gives_zero() -> None:
    eye = np.eye(8, dtype=np.float32)
    assert algebra.effective_rank(Adapter({"m": Module(eye[:, :5], eye[:5], 3.0)})) == pytest.approx(5)
    assert algebra.effective_rank(Adapter.initial(SHAPES, rank=4, scale=1.0, seed=0)) == 0.0


def test_that_adapters_of_different_modules_are_refused_by_the_first_name() -> None:
    x = Adapter.initial(SHAPES, rank=2, scale=1.0, seed=0)
    y = Adapter.initial({name: SHAPES[name] for name in list(SHAPES)[1:]}, rank=2, scale=1.0, seed=0)
    for call in (algebra.distance, lambda a, b: algebra.weighted_sum([(1.0, a), (1.0, b)])):
        with told_as(r"layers\.0\.q_proj"):
            call(x, y)


def test_that_layers_of_different_shapes_are_refused_by_name() -> None:
    x = Adapter.initial({"m": (4, 5)}, rank=2, scale=1.0, seed=0)
    y = Adapter.initial({"m": (5, 4)}, rank=2, scale=1.0, seed=0)
    for call in (algebra.distance, lambda a, b: algebra.weighted_sum([(1.0, a), (1.0, b)])):
        with pytest.raises(UserFacingError) as caught:
            call(x, y)
        assert caught.value.code == "lora.shapes_differ"
        assert caught.value.params["name"] == "m"


@pytest.mark.parametrize("change", [algebra.truncate, algebra.shrink, lambda x, r: algebra.grow(x, r, seed=0)])
def test_that_a_rank_below_one_is_refused(change: object) -> None:
    with told_as("rank 0"):
        change(Adapter.initial(SHAPES, rank=2, scale=1.0, seed=0), 0)  # type: ignore[operator]


def test_that_the_norm_of_a_product_is_exact_where_its_terms_cancel_too() -> None:
    """With a column that another one takes back: by the trace, three digits would be left."""
    rng = np.random.default_rng(2)
    b, a = rng.normal(size=(40, 6)), rng.normal(size=(6, 30))
    b[:, 3], a[3] = -b[:, 2], a[2] + 1e-9 * rng.normal(size=30)
    b[:, [0, 1, 4, 5]] = 0.0
    exact = np.linalg.norm((b[:, 2:3].astype(np.longdouble) @ (a[2] - a[3])[None].astype(np.longdouble)).astype(float))
    assert algebra.product_norm(b, a) == pytest.approx(exact, rel=1e-6)
    assert math.sqrt(abs(np.sum((b.T @ b) * (a @ a.T)))) != pytest.approx(exact, rel=1e-3)


@QUICK
@given(adapters(), adapters())
def test_that_a_distance_is_that_of_two_thin_qrs(x: Adapter, y: Adapter) -> None:
    """The plain way, which costs ten times as much."""
    for name, module in x.items():
        other = y[name]
        b = np.concatenate([module.B, other.B], axis=1, dtype=np.float64)
        a = np.concatenate([module.scale * module.A.astype(np.float64), -other.scale * other.A.astype(np.float64)])
        plain = np.linalg.norm(np.linalg.qr(b, mode="r") @ np.linalg.qr(a.T, mode="r").T)
        room = 1e-15 * max(algebra.module_norm(module), algebra.module_norm(other))
        assert algebra.module_distance(module, other) == pytest.approx(plain, rel=1e-12, abs=4 * room)


def test_that_an_adapter_is_no_distance_at_all_from_an_equal_one() -> None:
    x = Adapter.initial(SHAPES, rank=3, scale=2.0, seed=0).map(lambda m: Module(m.B + 1, m.A, m.scale))
    assert algebra.distance(x, Adapter.from_blob(x.to_blob())) == 0.0
