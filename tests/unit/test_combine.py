# SPDX-License-Identifier: Apache-2.0
"""Every way of combining equals dense formulas in float64, whatever the order of arrival; weights of the methods."""

from __future__ import annotations

import itertools
import math
import tracemalloc
import weakref
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmed_desktop.federation import Report
from fedmed_desktop.federation.combine import (
    COMBINERS,
    Combiner,
    Goal,
    Term,
    combine_factors,
    combine_factors_exactly,
    combine_product,
    combine_product_by_level,
    combine_stack,
)
from fedmed_desktop.federation.methods import METHODS, FedAvg, FedMedLora
from fedmed_desktop.lora import Adapter, BlobReader, Module, algebra
from tests.parts.federation import moved
from tests.parts.told import told_as

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


@settings(max_examples=40)
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


def padded(module: Module, rank: int) -> tuple[np.ndarray, np.ndarray]:
    more = rank - module.rank
    b, a = module.B.astype(np.float64), module.A.astype(np.float64)
    return np.pad(b, ((0, 0), (0, more))), np.pad(a, ((0, more), (0, 0)))


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(0, 10**6), st.integers(1, 4), st.floats(-0.5, 1)),
        min_size=1,
        max_size=5,
        unique_by=lambda t: t[0],
    )
)
def test_that_factors_are_the_plain_sums_to_the_last_bit(drawn: list[tuple[int, int, float]]) -> None:
    """And FedEx's missed part is made of the plain deviations: memory that is used again changes nothing."""
    terms = sorted(terms_of(*((weight, adapter(seed, rank)) for seed, rank, weight in drawn)), key=lambda t: t.order)
    result, exactly = combine_factors(terms), combine_factors_exactly(terms)
    for name in SHAPES:
        parts = [term.source.module(name) for term in terms]
        rank = max(part.rank for part in parts)
        b, a = (sum(t.weight * padded(p, rank)[i] for t, p in zip(terms, parts, strict=True)) for i in (0, 1))
        for factor, mean in (("B", b), ("A", a)):
            assert np.array_equal(getattr(result.adapter[name], factor), np.asarray(mean).astype(np.float32))
        missed = Module(
            np.hstack([padded(p, rank)[0] - b for p in parts]),
            np.vstack([t.weight * (padded(p, rank)[1] - a) for t, p in zip(terms, parts, strict=True)]),
            SCALE,
        )
        plain, *_ = algebra.module_truncated_sum([(1.0, missed)], 256)
        assert exactly.frozen is not None
        assert algebra.module_distance(exactly.frozen[name], plain) == 0.0


LARGE = {f"layers.{at}.q_proj": (2048, 2048) for at in range(10)}
MODULE = 2 * 2048 * 4 * 4  # bytes


def peak(combine: Combiner, count: int, folder: Path) -> int:
    """Bytes at most for so many updates of LARGE from disk."""
    terms = []
    for at in range(count):
        path = folder / f"{count}.{at}"
        path.write_bytes(Adapter.initial(LARGE, 4, SCALE, seed=at % 40).to_blob())
        terms.append(Term(str(at), 1 / count, BlobReader(path)))
    tracemalloc.start()
    try:
        combine(terms, Goal(rank=4))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("combine", "most", "few"), [(combine_factors, 4, 16), (combine_product, 12, 32)])
def test_that_another_update_costs_memory_for_one_module_of_it(
    combine: Combiner, most: int, few: int, tmp_path: Path
) -> None:
    """In float64 and in float32, but never for all that the update has."""
    peak(combine, 1, tmp_path)  # what is imported on the way
    assert (peak(combine, few, tmp_path) - peak(combine, 4, tmp_path)) / (few - 4) < most * MODULE


def test_that_the_average_of_many_updates_takes_as_much_memory_as_that_of_more(tmp_path: Path) -> None:
    peak(combine_factors, 1, tmp_path)
    assert peak(combine_factors, 60, tmp_path) < peak(combine_factors, 20, tmp_path) + MODULE


def test_that_readers_of_the_same_layout_share_their_header_and_hold_no_module(tmp_path: Path) -> None:
    readers = []
    for at in range(2):
        path = tmp_path / str(at)
        path.write_bytes(Adapter.initial(LARGE, 4, SCALE, seed=at).to_blob())
        readers.append(BlobReader(path))
    assert readers[0].header is readers[1].header
    module = readers[0].module("layers.0.q_proj")
    assert readers[0].module("layers.0.q_proj") is module, "read once while it is in use"
    held = weakref.ref(module)
    del module
    assert held() is None


@pytest.mark.parametrize("count", [16, 17, 40])
def test_that_an_average_of_many_has_the_bits_of_the_plain_sum_at_mixed_ranks(count: int) -> None:
    terms = terms_of(*((1 / (seed + 3), adapter(seed, 1 + seed % 4)) for seed in range(count)))
    results = [combine_factors(order) for order in (terms, terms[::-1])]
    assert results[0].adapter == results[1].adapter and results[0].residual == results[1].residual
    for name in SHAPES:
        parts = [(t.weight, t.source.module(name)) for t in sorted(terms, key=lambda term: term.order)]
        for i, factor in enumerate("BA"):
            mean = sum(weight * padded(part, 4)[i] for weight, part in parts)
            assert np.array_equal(getattr(results[0].adapter[name], factor), np.asarray(mean).astype(np.float32))


@pytest.mark.parametrize("alike", [0.0, 0.9])
def test_that_the_residual_of_many_large_updates_is_estimated_closely(alike: float) -> None:
    shapes, common = {f"layers.{at:02}": (130, 150) for at in range(16)}, np.random.default_rng(99)
    shared = {name: (common.normal(size=(d, 3)), common.normal(size=(3, k))) for name, (d, k) in shapes.items()}
    weighted = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        modules = {}
        for name in shapes:
            b, a = (alike * one + (1 - alike) * rng.normal(size=one.shape) for one in shared[name])
            modules[name] = Module(b, a, SCALE)
        weighted.append((1 / 20, Adapter(modules)))
    missed = ideal = 0.0
    for name in shapes:
        best = sum(w * dense(one[name].B, one[name].A) for w, one in weighted)
        b, a = (sum(w * getattr(one[name], f).astype(np.float64) for w, one in weighted) for f in "BA")
        missed, ideal = missed + float(np.sum((best - SCALE * b @ a) ** 2)), ideal + float(np.sum(best**2))
    found = [combine_factors(terms_of(*weighted), Goal(seed=seed)).residual for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2]
    assert found == pytest.approx([math.sqrt(missed / ideal)] * 3, rel=0.03)


def test_that_many_updates_with_the_same_a_leave_no_residual() -> None:
    shapes, rng = {"layers.0": (130, 150)}, np.random.default_rng(1)
    a = rng.normal(size=(3, 150))
    same = [Adapter({name: Module(rng.normal(size=(130, 3)), a, SCALE) for name in shapes}) for _ in range(20)]
    assert combine_factors(terms_of(*((1 / 20, one) for one in same))).residual < 1e-7


def test_that_hundreds_of_sites_cost_no_memory_for_each_pair_of_them() -> None:
    weighted = [(1 / 300, adapter(seed)) for seed in range(300)]
    terms = terms_of(*weighted)
    tracemalloc.start()
    try:
        result = combine_factors(terms)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**20, "all pairs of 300 times 3 columns would be 6 MiB"
    assert result.residual == pytest.approx(dense_residual(weighted), rel=1e-9)


def test_that_the_order_of_arrival_changes_no_bit() -> None:
    terms = terms_of(*((w, adapter(seed)) for seed, w in enumerate([0.1, 0.2, 0.3, 0.4])))
    results = [combine_factors(order) for order in itertools.permutations(terms)]
    assert len({result.adapter.sha256 for result in results}) == 1
    assert len({result.residual for result in results}) == 1


def test_that_equal_bytes_with_different_weights_do_not_depend_on_arrival() -> None:
    same = adapter(1)
    terms = [Term(order=same.sha256, weight=w, source=same) for w in (0.1, 0.7, 1 / 3, 1e-9)]
    terms += terms_of((0.2, adapter(2)))
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
    with told_as(r"layers\.0\.q_proj") as caught:
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


# -- mixed ranks, and all the ways -----------------------------------------------------------------------------------

MIXED = st.lists(
    st.tuples(st.integers(0, 10**6), st.integers(1, 14), st.sampled_from([0.5, 1.0, 2.5]), st.floats(-0.5, 1)),
    min_size=1,
    max_size=4,
    unique_by=lambda drawn: drawn[0],
).filter(lambda drawn: abs(sum(weight for *_, weight in drawn)) > 0.1)
QUICK = settings(max_examples=40)


def weighted_of(drawn: list[tuple[int, int, float, float]]) -> list[tuple[float, Adapter]]:
    """Adapters of these (seed, rank, scale, weight), the weights made to sum to 1."""
    total = sum(weight for *_, weight in drawn)
    return [(weight / total, adapter(seed, rank, scale)) for seed, rank, scale, weight in drawn]


def full(module: Module) -> np.ndarray:
    return module.scale * (module.B.astype(np.float64) @ module.A.astype(np.float64))


def ideal_of(weighted: list[tuple[float, Adapter]]) -> dict[str, np.ndarray]:
    return {name: sum(weight * full(one[name]) for weight, one in weighted) for name in SHAPES}


def size_of(matrices: dict[str, np.ndarray]) -> float:
    return math.sqrt(sum(float(np.sum(matrix**2)) for matrix in matrices.values()))


def close(found: np.ndarray, expected: np.ndarray, size: float) -> bool:
    return bool(np.linalg.norm(found - expected) <= 1e-6 * size)


@QUICK
@given(MIXED, st.integers(1, 12))
def test_that_the_product_is_the_best_adapter_of_its_rank_for_the_dense_sum(
    drawn: list[tuple[int, int, float, float]], rank: int
) -> None:
    weighted = weighted_of(drawn)
    ideal, scale = ideal_of(weighted), sum(abs(w) * size_of(ideal_of([(1.0, one)])) for w, one in weighted)
    result = combine_product(terms_of(*weighted), Goal(rank=rank))
    missed = {}
    for name, (d, k) in SHAPES.items():
        kept = min(rank, d, k, sum(one[name].rank for _, one in weighted))
        u, sigma, vt = np.linalg.svd(ideal[name])
        best = (u[:, :kept] * sigma[:kept]) @ vt[:kept]
        module = result.adapter[name]
        assert module.rank == kept
        # Singular values that all but tie leave the best approximation open; its distance is not.
        missed[name] = ideal[name] - full(module)
        assert np.linalg.norm(missed[name]) <= np.linalg.norm(ideal[name] - best) + 1e-6 * scale
    assert result.residual == pytest.approx(size_of(missed) / size_of(ideal), abs=1e-6 * scale / size_of(ideal))


@QUICK
@given(MIXED)
def test_that_the_product_splits_evenly(drawn: list[tuple[int, int, float, float]]) -> None:
    for module in combine_product(terms_of(*weighted_of(drawn)), Goal(rank=4)).adapter.values():
        left, right = np.linalg.norm(module.B, axis=0), np.linalg.norm(module.A, axis=1)
        used = left > 0
        assert np.allclose(left[used], right[used], rtol=1e-4)


@QUICK
@given(MIXED)
def test_that_a_stack_loses_nothing_and_sites_go_on_with_a_fresh_adapter(
    drawn: list[tuple[int, int, float, float]],
) -> None:
    weighted = weighted_of(drawn)
    ideal, scale = ideal_of(weighted), sum(abs(w) * size_of(ideal_of([(1.0, one)])) for w, one in weighted)
    first = combine_stack(terms_of(*weighted), Goal(rank=3, seed=5))
    assert first.frozen is not None and first.residual < 1e-6
    second = combine_stack(terms_of(*weighted), Goal(rank=3, frozen=first.frozen, seed=6))
    assert second.frozen is not None
    for name in SHAPES:
        assert close(full(first.frozen[name]), ideal[name], scale)
        assert close(full(second.frozen[name]), 2 * ideal[name], 2 * scale)
        assert not first.adapter[name].B.any()
    scales = {one[name].scale for _, one in weighted for name in SHAPES}
    assert first.adapter == Adapter.initial(SHAPES, 3, max(scales), seed=5)
    assert first.adapter != second.adapter


def test_that_weights_on_both_factors_of_a_stack_would_be_wrong() -> None:
    weighted = [(0.5, adapter(1)), (0.5, adapter(2))]
    twice = {name: sum(w * w * full(one[name]) for w, one in weighted) for name in SHAPES}
    stacked = combine_stack(terms_of(*weighted)).frozen
    assert stacked is not None
    assert all(np.linalg.norm(full(stacked[name]) - twice[name]) > 0.1 for name in SHAPES)


@QUICK
@given(MIXED)
def test_that_factors_of_mixed_ranks_are_padded_with_zeros(drawn: list[tuple[int, int, float, float]]) -> None:
    """As the HeteroLoRA baseline in the repository of FlexLoRA does."""
    weighted = weighted_of([(seed, rank, SCALE, weight) for seed, rank, _, weight in drawn])
    largest = max(rank for _, rank, _, _ in drawn)
    result = combine_factors(terms_of(*weighted))
    scale = sum(abs(w) * size_of(ideal_of([(1.0, one)])) for w, one in weighted)
    ideal, missed = ideal_of(weighted), {}
    for name, (d, k) in SHAPES.items():
        B, A = np.zeros((d, largest)), np.zeros((largest, k))
        for weight, one in weighted:
            B[:, : one[name].rank] += weight * one[name].B
            A[: one[name].rank] += weight * one[name].A
        assert np.allclose(result.adapter[name].B, B, rtol=1e-6, atol=1e-6)
        assert np.allclose(result.adapter[name].A, A, rtol=1e-6, atol=1e-6)
        missed[name] = ideal[name] - SCALE * B @ A
    assert result.residual * size_of(ideal) == pytest.approx(size_of(missed), abs=1e-5 * scale)


@QUICK
@given(MIXED)
def test_that_an_average_with_what_it_misses_beside_the_base_is_the_dense_sum(
    drawn: list[tuple[int, int, float, float]],
) -> None:
    """FedEx: W0 + s B A + residual = W0 + sum of w_k s B_k A_k."""
    weighted = weighted_of([(seed, rank, SCALE, weight) for seed, rank, _, weight in drawn])
    result = combine_factors_exactly(terms_of(*weighted))
    plain = combine_factors(terms_of(*weighted))
    assert result.adapter == plain.adapter and result.frozen is not None and result.residual < 1e-6
    # The mean's own product bounds what rounding to float32 may leave.
    scale = sum(abs(w) * size_of(ideal_of([(1.0, one)])) for w, one in weighted) + size_of(
        ideal_of([(1, plain.adapter)])
    )
    for name in SHAPES:
        assert close(full(result.adapter[name]) + full(result.frozen[name]), ideal_of(weighted)[name], scale)
        assert result.frozen[name].rank <= max(1, (len(weighted) - 1)) * max(one[name].rank for _, one in weighted)


def test_that_what_lies_frozen_is_cut_back_and_the_residual_says_what_that_dropped() -> None:
    weighted = [(0.5, adapter(1)), (0.3, adapter(2)), (0.2, adapter(3))]
    for combiner in (combine_stack, combine_factors_exactly):
        before = combiner(terms_of(*weighted), Goal(frozen_rank=2)).frozen
        result = combiner(terms_of(*weighted), Goal(frozen=before, frozen_rank=2))
        assert before is not None and result.frozen is not None
        added = combiner(terms_of(*weighted), Goal()).frozen
        assert added is not None
        missed = {name: full(before[name]) + full(added[name]) - full(result.frozen[name]) for name in SHAPES}
        for name in SHAPES:
            sigma = np.linalg.svd(full(before[name]) + full(added[name]), compute_uv=False)
            assert result.frozen[name].rank == 2
            assert np.linalg.norm(missed[name]) == pytest.approx(np.linalg.norm(sigma[2:]), rel=1e-5)
        assert result.residual == pytest.approx(size_of(missed) / size_of(ideal_of(weighted)), rel=1e-5)


ALL = [*COMBINERS.values(), combine_factors_exactly, combine_product_by_level]


@pytest.mark.parametrize("combiner", ALL)
def test_that_no_way_of_combining_depends_on_arrival_or_disk(combiner: Combiner, tmp_path: Path) -> None:
    same, frozen = adapter(9, rank=4), adapter(8, rank=6)
    terms = [Term(same.sha256, w, same) for w in (0.1, 1 / 3)]
    terms += terms_of((0.2, adapter(2, rank=2)), (1 - 0.3 - 1 / 3, adapter(3, rank=7)))
    on_disk = []
    for number, term in enumerate(terms):
        path = tmp_path / str(number)
        path.write_bytes(term.source.to_blob())  # type: ignore[attr-defined]
        on_disk.append(Term(term.order, term.weight, BlobReader(path)))
    goal = Goal(rank=3, frozen=frozen, frozen_rank=5, seed=1)
    results = [combiner(order, goal) for order in (*itertools.permutations(terms), on_disk)]
    assert len({(r.adapter.sha256, r.frozen and r.frozen.sha256, r.residual) for r in results}) == 1


@pytest.mark.parametrize("combiner", ALL)
def test_that_updates_without_any_change_combine_to_no_change(combiner: Combiner) -> None:
    zero = [Adapter.initial(SHAPES, 3, SCALE, seed) for seed in (0, 1)]
    result = combiner(terms_of(*((0.5, one) for one in zero)), Goal(rank=3))
    assert result.residual == 0.0
    for made in (result.adapter, result.frozen):
        assert made is None or all(not full(module).any() for module in made.values())
    # with both factors at zero a direction could never learn
    assert all(module.A.any(axis=1).all() for module in result.adapter.values())


def test_that_combining_holds_one_module_of_each_site_at_a_time() -> None:
    class Counting:
        """Counts the modules that are alive at once."""

        alive = most = 0

        def __init__(self, inner: Adapter) -> None:
            self.inner, self.names = inner, inner.names

        def module(self, name: str) -> Module:
            module = self.inner.module(name)
            copy = Module(module.B.copy(), module.A.copy(), module.scale)
            Counting.alive += 1
            Counting.most = max(Counting.most, Counting.alive)
            weakref.finalize(copy, Counting.gone)
            return copy

        @staticmethod
        def gone() -> None:
            Counting.alive -= 1

    shapes = {f"layers.{number}": (6, 5) for number in range(8)}
    sources = [Adapter.initial(shapes, 2, 1.0, seed) for seed in range(3)]
    for combiner in ALL:
        Counting.most = 0
        combiner([Term(s.sha256, 1 / 3, Counting(s)) for s in sources], Goal(rank=2))
        assert Counting.most <= 2 * len(sources)  # the one before goes once the next are there


# -- the guard against rank collapse -----------------------------------------------------------------------------------

POSITIVE = st.lists(
    st.tuples(
        st.integers(0, 10**6), st.integers(1, 14), st.sampled_from([0.5, 1.0, 2.5]), st.sampled_from([0, 0.1, 0.5, 1])
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda drawn: drawn[0],
).filter(lambda drawn: sum(weight for *_, weight in drawn) > 0)


def dense_by_level(weighted: list[tuple[float, Adapter]], name: str) -> np.ndarray:
    """Component i of a site counts with its weight over the sites that reach the level that i lies in."""
    d, k = SHAPES[name]
    reach = [min(one[name].rank, d, k) for _, one in weighted]
    total = np.zeros((d, k))
    for (weight, one), own in zip(weighted, reach, strict=True):
        u, sigma, vt = np.linalg.svd(full(one[name]))
        for i in range(own):
            level = min(rank for rank in reach if rank > i)
            reaching = sum(w for (w, _), rank in zip(weighted, reach, strict=True) if rank >= level)
            if reaching > 0:
                total += weight / reaching * sigma[i] * np.outer(u[:, i], vt[i])
    return total


@QUICK
@given(POSITIVE, st.integers(1, 12))
def test_that_the_guard_weighs_each_level_of_rank_over_the_sites_that_reach_it(
    drawn: list[tuple[int, int, float, float]], rank: int
) -> None:
    weighted = weighted_of(drawn)
    scale = sum(size_of(ideal_of([(1.0, one)])) for _, one in weighted)
    whole = combine_product_by_level(terms_of(*weighted), Goal(rank=100))
    cut = combine_product_by_level(terms_of(*weighted), Goal(rank=rank))
    missed = {}
    for name, shape in SHAPES.items():
        expected = dense_by_level(weighted, name)
        assert close(full(whole.adapter[name]), expected, scale)
        sigma = np.linalg.svd(expected, compute_uv=False)
        assert cut.adapter[name].rank == min(rank, *shape, sum(min(one[name].rank, *shape) for _, one in weighted))
        assert np.linalg.norm(expected - full(cut.adapter[name])) <= np.linalg.norm(sigma[rank:]) + 1e-6 * scale
        missed[name] = ideal_of(weighted)[name] - full(cut.adapter[name])
    ideal = size_of(ideal_of(weighted))
    assert cut.residual == pytest.approx(size_of(missed) / ideal, abs=1e-6 * scale / ideal)


def test_that_the_guard_changes_no_bit_where_all_ranks_are_equal() -> None:
    terms = terms_of((0.2, adapter(1)), (0.3, adapter(2)), (0.5, adapter(3)))
    assert combine_product_by_level(terms, Goal(rank=4)) == combine_product(terms, Goal(rank=4))


def test_that_the_guard_does_not_see_in_which_basis_factors_are() -> None:
    rng = np.random.default_rng(0)
    wide, thin = adapter(1, rank=5), adapter(2, rank=2)
    turn = np.linalg.qr(rng.normal(size=(5, 5)))[0] @ np.diag([1.0, 2.0, 0.5, 1.5, 3.0])
    turned = wide.map(lambda module: Module(module.B @ turn, np.linalg.inv(turn) @ module.A, module.scale))
    results = [combine_product_by_level(terms_of((0.5, one), (0.5, thin)), Goal(rank=5)) for one in (wide, turned)]
    for name in SHAPES:
        assert close(full(results[0].adapter[name]), full(results[1].adapter[name]), size_of(ideal_of([(1.0, wide)])))


def of_singular_values(sigma: list[float]) -> Adapter:
    rng = np.random.default_rng(3)
    modules = {}
    for name, (d, k) in SHAPES.items():
        u, v = (np.linalg.qr(rng.normal(size=(size, len(sigma))))[0] for size in (d, k))
        modules[name] = Module(u * sigma, v.T, 1.0)
    return Adapter(modules)


def shares_above(combiner: Combiner, ranks: list[int], training: float = 0.0) -> list[float]:
    """The share of energy above rank 2 after each of 5 rounds of sites of these ranks, all alike in weight."""
    given, shares = of_singular_values([5.0, 4.0, 3.0, 2.0, 1.0]), []
    for number in range(5):
        starts = [algebra.truncate(given, rank)[0] for rank in ranks]
        after = [moved(start, 10 * number + at, training) for at, start in enumerate(starts)]
        given = combiner(terms_of(*((1 / len(ranks), one) for one in after)), Goal(rank=5)).adapter
        shares.append(algebra.shrink(given, 2)[1])
    return shares


def test_that_what_only_a_large_rank_holds_fades_geometrically_without_the_guard_and_stays_with_it() -> None:
    # Sites of rank 2, 2 and 5 that do not train: a third of the singular values above 2 is left after each round, so
    # 9 + 4 + 1 = 14 of energy becomes 14 / 9, 14 / 81, .., against 25 + 16 = 41 that stays.
    tail = [14 / 9**number for number in range(1, 6)]
    assert shares_above(combine_product, [2, 2, 5]) == pytest.approx([one / (41 + one) for one in tail], rel=1e-4)
    assert shares_above(combine_product_by_level, [2, 2, 5]) == pytest.approx([14 / 55] * 5, rel=1e-5)


def test_that_the_guard_holds_up_what_sites_train_there() -> None:
    plain, guarded = (
        shares_above(one, [2, 2, 5], training=0.05) for one in (combine_product, combine_product_by_level)
    )
    assert plain[-1] < 0.02 and guarded[-1] > 0.2


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
