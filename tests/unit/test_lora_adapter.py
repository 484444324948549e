# SPDX-License-Identifier: Apache-2.0
"""Adapters are immutable, validated values."""

from __future__ import annotations

import hashlib
import pickle

import numpy as np
import pytest

from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.lora import Adapter, Module
from fedmed_desktop.wording import told
from tests.parts.told import told_as

Q = "model.layers.0.self_attn.q_proj"
V = "model.layers.0.self_attn.v_proj"


def module(d: int = 6, k: int = 5, r: int = 2, scale: float = 2.0, seed: int = 0) -> Module:
    rng = np.random.default_rng(seed)
    return Module(rng.normal(size=(d, r)), rng.normal(size=(r, k)), scale)


def test_that_a_module_cannot_be_changed_through_itself_or_through_the_array_it_was_made_from() -> None:
    b = np.ones((4, 2), np.float32)
    made = Module(b[:, :], np.ones((2, 3), np.float32), 1.0)
    b[0, 0] = 7
    assert made.B[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        made.B[0, 0] = 7
    with pytest.raises(AttributeError):
        made.scale = 3.0  # type: ignore[misc]


def test_that_a_read_only_view_of_a_writable_array_is_copied() -> None:
    mine = np.ones((4, 2), np.float32)
    view = mine[:]
    view.flags.writeable = False
    made = Module(view, np.ones((2, 3)), 1.0)
    mine[:] = 9
    assert made.B.max() == 1


def test_that_factors_become_contiguous_float32() -> None:
    made = Module(np.ones((2, 4)).T, np.asfortranarray(np.ones((2, 3))), 1)
    assert made.B.dtype == made.A.dtype == np.float32
    assert made.B.flags.c_contiguous and made.A.flags.c_contiguous
    assert (made.rank, made.shape, made.scale) == (2, (4, 3), 1.0)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_that_a_scale_must_be_finite_and_above_zero(scale: float) -> None:
    with pytest.raises(UserFacingError) as caught:
        module(scale=scale)
    assert caught.value.code == "lora.scale"


@pytest.mark.parametrize(
    ("b", "a", "code", "tensor"),
    [
        (np.ones((4, 2)), np.ones((3, 5)), "lora.factor_shape", "lora_A"),
        (np.ones((4, 0)), np.ones((0, 5)), "lora.factor_shape", "lora_B"),
        (np.ones(4), np.ones((1, 5)), "lora.factor_shape", "lora_B"),
        (np.ones((4, 2)), np.full((2, 5), np.nan), "lora.tensor_not_finite", "lora_A"),
        (np.full((4, 2), 1e300), np.ones((2, 5)), "lora.tensor_not_finite", "lora_B"),
        (np.ones((4, 2), complex), np.ones((2, 5)), "lora.tensor_dtype", "lora_B"),
    ],
)
def test_that_unusable_factors_are_refused_by_name(b: np.ndarray, a: np.ndarray, code: str, tensor: str) -> None:
    with pytest.raises(UserFacingError) as caught:
        Module(b, a, 1.0)
    assert caught.value.code == code
    assert tensor in told(caught.value)


@pytest.mark.parametrize("name", ["", "a..b", ".a", "a b", "a\n", "é", "base_model.model.layers.0.q", "x" * 600])
def test_that_malformed_module_names_are_refused(name: str) -> None:
    with pytest.raises(UserFacingError) as caught:
        Adapter({name: module()})
    assert caught.value.code == "lora.module_name"
    assert len(told(caught.value)) < 400 and told(caught.value).isprintable()


def test_that_an_adapter_without_modules_is_refused() -> None:
    with told_as("no modules"):
        Adapter({})


def test_that_modules_are_sorted_and_read_only() -> None:
    adapter = Adapter({V: module(r=3), Q: module()})
    assert list(adapter) == [Q, V]
    assert adapter.ranks == {Q: 2, V: 3}
    assert adapter.shapes == {Q: (6, 5), V: (6, 5)}
    assert adapter.names == (Q, V)
    assert adapter.module(V) is adapter[V]
    with told_as("no module other"):
        adapter.module("other")
    with pytest.raises(TypeError):
        adapter[Q] = module()  # type: ignore[index]


def test_that_equality_hash_and_sha256_follow_the_blob() -> None:
    one, same = Adapter({Q: module(), V: module(seed=1)}), Adapter({V: module(seed=1), Q: module()})
    other = Adapter({Q: module(scale=1.0), V: module(seed=1)})
    assert one == same and hash(one) == hash(same)
    assert one != other
    assert one.sha256 == hashlib.sha256(one.to_blob()).hexdigest()
    assert one != "not an adapter"


def test_that_a_pickled_adapter_comes_back_equal_and_still_read_only() -> None:
    adapter = Adapter({Q: module()})
    back = pickle.loads(pickle.dumps(adapter))
    assert back == adapter
    assert not back[Q].B.flags.writeable


def test_that_the_initial_adapter_changes_nothing_and_follows_its_seed_alone() -> None:
    shapes = {V: (8, 16), Q: (32, 16)}
    first = Adapter.initial(shapes, rank=4, scale=2.0, seed=5)
    again = Adapter.initial(dict(reversed(shapes.items())), rank=4, scale=2.0, seed=5)
    assert first == again != Adapter.initial(shapes, rank=4, scale=2.0, seed=6)
    assert all(not m.B.any() and m.A.all() and m.scale == 2.0 for m in first.values())
    assert not np.array_equal(first[Q].A, first[V].A)
    assert first.shapes == shapes


def test_that_initial_rows_are_drawn_as_peft_draws_them() -> None:
    k = 400
    a = Adapter.initial({Q: (500, k)}, rank=200, scale=1.0, seed=0)[Q].A
    assert np.abs(a).max() <= 1 / np.sqrt(k) * (1 + 1e-6)
    assert np.abs(a).max() > 0.99 / np.sqrt(k)
    assert a.std() == pytest.approx(1 / np.sqrt(3 * k), rel=0.02)
    assert abs(a.mean()) < 1e-3


def test_that_initial_ranks_are_capped_by_the_layer_and_at_least_one() -> None:
    assert Adapter.initial({Q: (3, 9)}, rank=8, scale=1.0, seed=0).ranks == {Q: 3}
    with told_as("rank 0"):
        Adapter.initial({Q: (3, 9)}, rank=0, scale=1.0, seed=0)
