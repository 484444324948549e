# SPDX-License-Identifier: Apache-2.0
"""Three adapters at once on a tiny real model: shared, frozen, personal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fedmed_desktop.lora import Adapter, Module
from tests.parts.told import told_as

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    import torch
    from torch import Tensor

    from fedmed_desktop.training.base import BaseModel
    from fedmed_desktop.training.device import choose_device


TOKENS = np.arange(3, 27).reshape(2, 12)


def filled(shapes: dict[str, tuple[int, int]], rank: int, seed: int, scale: float = 2.0) -> Adapter:
    """No factor is zero; every other module is one rank thinner where there is room, and has another scale."""
    rng = np.random.default_rng(seed)
    modules = {}
    for i, (name, (d, k)) in enumerate(shapes.items()):
        r = max(1, rank - i % 2)
        b, a = rng.normal(0, 0.1, (d, r)), rng.normal(0, 0.1, (r, k))
        modules[name] = Module(b, a, scale + i % 3)
    return Adapter(modules)


def logits(base: BaseModel) -> Tensor:
    with torch.no_grad():
        found: Tensor = base.model(input_ids=torch.from_numpy(TOKENS), use_cache=False).logits
        return found.clone()


def dense_logits(base: BaseModel, *adapters: Adapter) -> Tensor:
    """The bare base with all delta W added to its weights, which are put back."""
    with torch.no_grad():
        base.lora.detach()
        weights = {n: base.model.get_submodule(n).weight for adapter in adapters for n in adapter}
        was = {name: weight.clone() for name, weight in weights.items()}
        for adapter in adapters:
            for name, module in adapter.items():
                weights[name] += torch.from_numpy(
                    module.scale * module.B.astype(float) @ module.A.astype(float)
                ).float()
        found = logits(base)
        for name, weight in weights.items():
            weight.copy_(was[name])
        return found


def test_that_all_attached_adapters_act_as_the_sum_of_their_products(
    base: BaseModel, shapes: dict[str, tuple[int, int]]
) -> None:
    some = dict(list(shapes.items())[1::2])  # the frozen one lacks modules
    shared, frozen, personal = filled(shapes, 4, 1), filled(some, 7, 2, scale=0.5), filled(shapes, 2, 3)
    for more in ((None, None), (frozen, None), (None, personal), (frozen, personal)):
        expected = dense_logits(base, shared, *(adapter for adapter in more if adapter))
        base.lora.attach(shared, *more)
        assert torch.allclose(logits(base), expected, atol=1e-5)
        with base.lora.folded():
            assert torch.allclose(logits(base), expected, atol=1e-5)
        assert base.lora.read() == shared
    assert base.lora.read_personal() == personal


def test_that_a_frozen_adapter_may_have_modules_that_the_shared_one_lacks(
    base: BaseModel, shapes: dict[str, tuple[int, int]]
) -> None:
    halves = [dict(list(shapes.items())[i::2]) for i in range(2)]
    shared, frozen = filled(halves[0], 3, 1), filled(halves[1], 5, 2)
    expected = dense_logits(base, shared, frozen)
    base.lora.attach(shared, frozen)
    assert torch.allclose(logits(base), expected, atol=1e-5)
    assert base.lora.read() == shared
    assert {name.rsplit(".", 1)[0] for name in base.lora.parameters()} == set(halves[0])


def test_that_detaching_leaves_nothing_behind(base: BaseModel, shapes: dict[str, tuple[int, int]]) -> None:
    base.lora.detach()
    bare, layers = logits(base), {name: type(module) for name, module in base.model.named_modules()}
    weights = {name: value.clone() for name, value in base.model.state_dict().items()}
    shared, other, personal = filled(shapes, 4, 1), filled(shapes, 3, 2), filled(shapes, 2, 3)
    for given in ((shared, other, personal), (other, None, shared), (shared, other), (shared,)):
        base.lora.attach(*given)
        assert not torch.equal(logits(base), bare)
    alone = logits(base)
    base.lora.attach(shared, other)
    base.lora.attach(shared)
    assert torch.equal(logits(base), alone)
    base.lora.attach(shared, other, personal)
    base.lora.detach()
    assert torch.equal(logits(base), bare)
    assert {name: type(module) for name, module in base.model.named_modules()} == layers
    now = base.model.state_dict()
    assert now.keys() == weights.keys() and all(torch.equal(now[name], weights[name]) for name in now)
    assert base.lora.parameters() == {} == base.lora.personal()
    with pytest.raises(LookupError):
        base.lora.read_personal()


@pytest.mark.parametrize("freeze", [(), ("A",), ("B",)])
@pytest.mark.parametrize("folded_before", [False, True])
def test_that_the_frozen_adapter_gets_no_gradient_and_the_personal_one_always_does(
    base: BaseModel, shapes: dict[str, tuple[int, int]], freeze: tuple[str, ...], folded_before: bool
) -> None:
    base.lora.detach()  # the factors of an earlier test have gradients
    base.lora.attach(filled(shapes, 4, 1), filled(shapes, 3, 2), filled(shapes, 2, 3))
    base.lora.freeze(freeze)  # type: ignore[arg-type]
    if folded_before:
        with base.lora.folded():
            pass
    base.model(input_ids=torch.from_numpy(TOKENS), use_cache=False).logits.square().mean().backward()
    with_gradient = {name for name, p in base.model.named_parameters() if p.grad is not None}
    expected = {
        f"{name}.lora_{factor}.{slot}.weight"
        for name in shapes
        for slot, factors in (("default", set("AB") - set(freeze)), ("personal", set("AB")))
        for factor in factors
    }
    assert with_gradient == expected
    names = set(base.lora.parameters())
    assert len(names) == 4 * len(shapes) and sum(name.startswith("personal/") for name in names) == 2 * len(shapes)


def test_that_adapters_of_the_same_ranks_only_have_their_numbers_copied(
    base: BaseModel, shapes: dict[str, tuple[int, int]]
) -> None:
    shared, frozen, personal = filled(shapes, 4, 4), filled(shapes, 3, 5), filled(shapes, 2, 6)
    expected = dense_logits(base, shared, frozen, personal)
    base.lora.attach(filled(shapes, 4, 1), filled(shapes, 3, 2), filled(shapes, 2, 3))
    parameters = base.lora.parameters()
    base.lora.attach(shared, frozen, personal)
    assert all(base.lora.parameters()[name] is parameter for name, parameter in parameters.items())
    assert torch.allclose(logits(base), expected, atol=1e-5)
    base.lora.attach(filled(shapes, 4, 1), filled(shapes, 5, 2), filled(shapes, 2, 3))
    assert base.lora.parameters().keys() == parameters.keys()
    assert not any(base.lora.parameters()[name] is parameter for name, parameter in parameters.items())


def test_that_a_frozen_or_personal_adapter_of_another_base_is_refused_and_nothing_is_attached(
    base: BaseModel, shapes: dict[str, tuple[int, int]]
) -> None:
    shared = filled(shapes, 4, 1)
    other = Adapter.initial({"model.layers.9.mlp.up_proj": (8, 8)}, rank=2, scale=1.0, seed=0)
    for given in ({"frozen": other}, {"personal": other}):
        with told_as(r"layers\.9"):
            base.lora.attach(shared, **given)
        assert base.lora.parameters() == {}
    base.lora.attach(shared)
    assert base.lora.read() == shared


def test_that_values_of_the_shared_shape_go_in_and_out(base: BaseModel, shapes: dict[str, tuple[int, int]]) -> None:
    base.lora.attach(filled(shapes, 4, 1), personal=filled(shapes, 2, 3))
    values = filled(shapes, 4, 9)
    assert base.lora.gathered(base.lora.placed(values)) == values
    with told_as("modules and ranks"):
        base.lora.placed(filled(shapes, 3, 9))


def test_that_three_adapters_act_on_a_base_of_four_bits_and_leave_every_bit_of_it(
    tiny_model: Path, shapes: dict[str, tuple[int, int]]
) -> None:
    base = BaseModel.load(tiny_model, choose_device("nf4", prefer="cpu"), threads=1)
    weights = {name: value.clone() for name, value in base.model.state_dict().items()}
    shared, frozen, personal = (filled(shapes, rank, rank, scale=1.0) for rank in (4, 3, 2))
    name = next(iter(shapes))
    x = torch.randn(5, shapes[name][1], generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = base.model.get_submodule(name)(x)
        for adapter in (shared, frozen, personal):
            module = adapter[name]
            expected = expected + module.scale * x @ torch.from_numpy(module.A.T @ module.B.T)
        base.lora.attach(shared, frozen, personal)
        assert torch.allclose(base.model.get_submodule(name)(x), expected, atol=1e-5)
    base.model(input_ids=torch.from_numpy(TOKENS), use_cache=False).logits.square().mean().backward()
    assert all(parameter.grad is not None for parameter in base.lora.parameters().values())
    base.lora.detach()
    now = base.model.state_dict()
    assert now.keys() == weights.keys() and all(torch.equal(now[name], weights[name]) for name in now)
