# SPDX-License-Identifier: Apache-2.0
"""The terms of a plan's objective against dense references."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmed_desktop.clinical.tasks import Entities
from fedmed_desktop.federation.objectives import Orthogonal, Proximal
from fedmed_desktop.federation.work import Stopped
from fedmed_desktop.lora import Adapter, algebra
from tests.parts.training import NOTES, TYPES, random_adapter

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    import torch
    from torch import Tensor

    from fedmed_desktop.training.base import BaseModel
    from fedmed_desktop.training.batches import Encoder, Examples, collate
    from fedmed_desktop.training.label_loss import label_losses
    from fedmed_desktop.training.objectives import (
        Penalties,
        row_overlap,
        squared_cosines,
        squared_product_distance,
    )


seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def start(shapes: dict[str, tuple[int, int]]) -> Adapter:
    return random_adapter(shapes, 4, 1)


@pytest.fixture(scope="module")
def personal(shapes: dict[str, tuple[int, int]]) -> Adapter:
    return random_adapter(shapes, 2, 2)


@pytest.fixture(scope="module")
def examples(base: BaseModel) -> Examples:
    return Encoder(base.tokenizer, [Entities(TYPES, "html")]).encode(NOTES.train, 200)


def normal(seed: int, *shapes: tuple[int, ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in shapes]


def gradients(value: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    return list(torch.autograd.grad(value, inputs, retain_graph=True))


def alike(found: list[Tensor], expected: list[Tensor]) -> bool:
    return all(torch.allclose(x, y, rtol=1e-6, atol=1e-6) for x, y in zip(found, expected, strict=True))


def orthonormal(seed: int, rows: int, k: int) -> Tensor:
    return torch.linalg.qr(normal(seed, (k, rows))[0].detach()).Q.T


# terms


@given(seeds, st.integers(1, 5), st.integers(1, 9), st.integers(1, 9))
def test_that_the_product_distance_and_its_gradients_are_those_of_the_dense_matrices(
    seed: int, rank: int, d: int, k: int
) -> None:
    factors = normal(seed, (d, rank), (rank, k), (d, rank), (rank, k))
    b, a, b_start, a_start = factors
    found, dense = squared_product_distance(*factors), (b @ a - b_start @ a_start).square().sum()
    assert found.item() == pytest.approx(dense.item(), rel=1e-9, abs=1e-9)
    assert alike(gradients(found, factors[:2]), gradients(dense, factors[:2]))


def test_that_the_product_distance_is_exactly_nothing_at_the_start() -> None:
    b, a = (x.detach().float().requires_grad_() for x in normal(1, (300, 8), (8, 200)))
    distance = squared_product_distance(b, a, b.detach().clone(), a.detach().clone())
    assert distance.item() == 0
    assert not any(gradient.any() for gradient in gradients(distance, [b, a]))


def dense_row_overlap(a_g: Tensor, a_p: Tensor) -> Tensor:
    total = torch.zeros((), dtype=a_g.dtype)
    for g in a_g:
        for p in a_p:
            total = total + (g @ p) ** 2 / ((g @ g) * (p @ p))
    return total / min(len(a_g), len(a_p))


@given(seeds, st.integers(1, 5), st.integers(1, 5), st.integers(1, 9))
def test_that_the_overlap_of_rows_and_its_gradients_are_those_of_the_sum_over_pairs(
    seed: int, r_g: int, r_p: int, k: int
) -> None:
    factors = normal(seed, (r_g, k), (r_p, k))
    found, dense = row_overlap(*factors, rank=min(r_g, r_p)), dense_row_overlap(*factors)
    assert found.item() == pytest.approx(dense.item(), rel=1e-9)
    assert alike(gradients(found, factors), gradients(dense, factors))
    assert 0 <= found.item() <= max(r_g, r_p) + 1e-9


@given(seeds, st.integers(1, 4), st.integers(1, 4))
def test_that_the_overlap_of_orthonormal_rows_is_a_share(seed: int, r_g: int, r_p: int) -> None:
    a_g, a_p = orthonormal(seed, r_g, 9), orthonormal(seed + 1, r_p, 9)
    rank = min(r_g, r_p)
    assert -1e-9 <= row_overlap(3 * a_g, 0.1 * a_p, rank).item() <= 1 + 1e-9
    assert row_overlap(a_g, 7 * a_g, r_g).item() == pytest.approx(1)
    both = orthonormal(seed, r_g + r_p, 9)
    assert row_overlap(both[:r_g], both[r_g:], rank).item() == pytest.approx(0, abs=1e-12)


def test_that_rows_of_zeros_overlap_nothing_and_get_no_gradient() -> None:
    a_g, a_p = normal(1, (3, 6), (2, 6))
    padded = torch.cat([a_p.detach(), torch.zeros(2, 6, dtype=torch.float64)]).requires_grad_()
    overlap = row_overlap(a_g, padded, 2)
    assert overlap.item() == pytest.approx(row_overlap(a_g, a_p, 2).item())
    (gradient,) = gradients(overlap, [padded])
    assert gradient.isfinite().all() and not gradient[2:].any() and gradient[:2].any()


@given(seeds, st.integers(1, 4), st.integers(1, 4), st.integers(2, 9))
def test_that_cosines_of_outputs_and_their_gradients_are_those_of_the_outputs_themselves(
    seed: int, r_u: int, r_v: int, d: int
) -> None:
    factors = normal(seed, (5, r_u), (5, r_v), (d, r_u), (d, r_v))
    u, v, b_u, b_v = factors
    found = squared_cosines(*factors)
    dense = torch.nn.functional.cosine_similarity(u @ b_u.T, v @ b_v.T, dim=-1).square()
    assert torch.allclose(found, dense, rtol=1e-6, atol=1e-6)
    assert (found >= 0).all() and (found <= 1 + 1e-9).all()
    for x, y in zip(gradients(found.sum(), factors), gradients(dense.sum(), factors), strict=True):
        assert torch.allclose(x, y, rtol=1e-5, atol=1e-5 * (1 + y.abs().max().item()))


def test_that_alike_outputs_have_cosine_one_and_orthogonal_ones_none() -> None:
    u, b = normal(1, (5, 3), (8, 3))
    assert torch.allclose(squared_cosines(u, 2 * u, b, -3 * b), torch.ones(5, dtype=torch.float64))
    both = orthonormal(2, 6, 8).T
    assert squared_cosines(u, u, both[:, :3], both[:, 3:]).max() < 1e-12


@pytest.mark.parametrize("zero", ["u", "v", "both"])
def test_that_the_cosine_of_an_adapter_that_gives_nothing_yet_is_none_with_finite_gradients(zero: str) -> None:
    factors = [x.detach().float().requires_grad_() for x in normal(1, (5, 3), (5, 2), (8, 3), (8, 2))]
    with torch.no_grad():
        if zero in ("u", "both"):
            factors[2].zero_()
        if zero in ("v", "both"):
            factors[3].zero_()
    found = squared_cosines(*factors)
    assert not found.any()
    assert all(gradient.isfinite().all() for gradient in gradients(found.sum(), factors))


# terms on a model


def test_that_the_proximal_gradient_is_mu_times_the_way_gone_of_trained_shared_factors(
    base: BaseModel, shapes: dict[str, tuple[int, int]], start: Adapter, personal: Adapter
) -> None:
    now = random_adapter(shapes, 4, 5)
    base.lora.detach()
    base.lora.attach(now, personal=personal)
    base.lora.freeze(("A",))
    placed = base.lora.placed(start)
    penalty = Penalties(base.lora, (Proximal(mu=0.3),), placed).of_factors()
    assert penalty is not None
    way = sum(((now[n].B - start[n].B) ** 2).sum() for n in now)
    assert penalty.item() == pytest.approx(0.15 * way, rel=1e-5)
    penalty.backward()  # type: ignore[no-untyped-call]
    for name, parameter in base.lora.parameters().items():
        if name.startswith("personal/") or name.endswith("lora_A"):
            assert parameter.grad is None
        else:
            assert parameter.grad is not None
            assert torch.allclose(parameter.grad, 0.3 * (parameter.detach() - placed[name]), atol=1e-6)


def test_that_the_product_term_is_the_distance_of_the_adapters(
    base: BaseModel, shapes: dict[str, tuple[int, int]], start: Adapter
) -> None:
    now = random_adapter(shapes, 4, 5)
    base.lora.attach(now)
    penalty = Penalties(base.lora, (Proximal(mu=0.3, on="product"),), base.lora.placed(start)).of_factors()
    assert penalty is not None
    assert penalty.item() == pytest.approx(0.15 * algebra.distance(now, start) ** 2, rel=1e-5)


def test_that_the_overlap_of_outputs_is_the_mean_over_real_tokens_and_modules(
    base: BaseModel, start: Adapter, personal: Adapter, examples: Examples
) -> None:
    base.lora.attach(start, personal=personal)
    rows = examples.items[:3]
    lengths = [len(e) for e in rows]
    assert len(set(lengths)) > 1  # so that there is padding
    penalties = Penalties(base.lora, (Orthogonal(weight=0.5, on="outputs", rank=2),), {})
    inputs: dict[str, Tensor] = {}
    hooks = [
        base.model.get_submodule(name).register_forward_hook(
            lambda module, args, out, name=name: inputs.__setitem__(name, args[0])
        )
        for name in start
    ]
    with torch.no_grad(), penalties.watching() as seen:
        label_losses(base, collate(rows, "answer", torch.device("cpu")))
    for hook in hooks:
        hook.remove()
    found = penalties.of_outputs(seen, lengths)
    assert found is not None
    total = 0.0
    for name in start:
        for row, length in enumerate(lengths):
            x = inputs[name][row, :length]
            shared, own = (x @ torch.from_numpy(m.A.T @ m.B.T) for m in (start[name], personal[name]))
            total += torch.nn.functional.cosine_similarity(shared, own, dim=-1).square().sum().item()
    assert found.item() == pytest.approx(0.5 * total / len(start), rel=1e-4)


def hooks_of(base: BaseModel) -> int:
    return sum(len(module._forward_hooks) for module in base.model.modules())


def test_that_no_hook_is_left_also_after_a_fault(base: BaseModel, start: Adapter, personal: Adapter) -> None:
    base.lora.attach(start, personal=personal)
    penalties, before = Penalties(base.lora, (Orthogonal(weight=0.5, on="outputs", rank=2),), {}), hooks_of(base)
    with pytest.raises(Stopped), penalties.watching():
        assert hooks_of(base) == before + 2 * len(start)
        raise Stopped
    assert hooks_of(base) == before


def test_that_an_orthogonal_term_without_a_personal_adapter_is_a_fault(base: BaseModel, start: Adapter) -> None:
    base.lora.attach(start)
    with pytest.raises(LookupError, match="personal"):
        Penalties(base.lora, (Orthogonal(weight=0.5, on="weights", rank=2),), {}).of_factors()
