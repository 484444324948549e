# SPDX-License-Identifier: Apache-2.0
"""Inner products of changes, against dense matrices."""

from __future__ import annotations

import numpy as np
import pytest

from fedmed_desktop.lora import Adapter, Module
from fedmed_desktop.lora.geometry import PartWay, inner_products, path_products
from tests.parts.method import full


def module(seed: int, rank: int, d: int = 9, k: int = 7, scale: float = 2.0, size: float = 1.0) -> Module:
    rng = np.random.default_rng(seed)
    return Module(size * rng.normal(size=(d, rank)), size * rng.normal(size=(rank, k)), scale)


def rotated(one: Module, seed: int) -> Module:
    """The same product in another basis."""
    turn = np.random.default_rng(seed).normal(size=(one.rank, one.rank)) + 2 * np.eye(one.rank)
    return Module(one.B @ turn, np.linalg.inv(turn) @ one.A, one.scale)


def test_that_inner_products_are_those_of_the_dense_changes_at_any_ranks_and_scales() -> None:
    start, other = module(0, 2), module(7, 1, scale=3.0)
    pairs = [(start, module(1, 2)), (start, module(2, 4)), (other, rotated(module(3, 3, scale=0.5), 9))]
    pairs += [(start, module(4, 2)), (other, module(5, 3))]
    dense = [full(after) - full(began) for began, after in pairs]
    found = inner_products(iter(pairs), [after.rank for _, after in pairs])
    expected = np.array([[float(np.sum(x * y)) for y in dense] for x in dense])
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-5 * expected.max())
    assert (found == found.T).all()


def test_that_a_small_change_of_a_large_module_keeps_its_digits() -> None:
    start = module(0, 3, size=1e3)
    step = 1e-3 * np.random.default_rng(1).normal(size=start.B.shape)
    after = Module(start.B + step.astype(np.float32), start.A, start.scale)
    dense = start.scale * (after.B.astype(np.float64) - start.B) @ start.A.astype(np.float64)
    found = float(inner_products([(start, after)], [3])[0, 0])
    assert found == pytest.approx(float(np.sum(dense**2)), rel=1e-12)


def test_that_no_change_is_exactly_none() -> None:
    assert inner_products([(module(0, 3), module(0, 3))], [3])[0, 0] == 0.0
    with pytest.raises(ValueError, match="cut first"):
        inner_products([(module(0, 3), module(1, 2))], [2])


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_that_factors_that_go_part_of_the_way_change_the_product_as_foretold(share: float) -> None:
    start, after = module(0, 2), module(1, 3)
    began, way = Adapter({"m": start}), Adapter({"m": after})
    dense = full(PartWay(way, began, share, "first").module("m")) - full(start)
    straight, mixed, curved = path_products(start, after)
    size = share**2 * straight + 2 * share**3 * mixed + share**4 * curved
    assert size == pytest.approx(float(np.sum(dense**2)), rel=1e-5, abs=1e-9)
