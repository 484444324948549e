# SPDX-License-Identifier: Apache-2.0
"""The terms of a plan's objective against dense references, and a training with them on a tiny real model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_pre_hook

from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation.plan import ControlVariate, Orthogonal, Plan, Proximal, TrainingSettings
from fedmed_desktop.federation.work import Control, Stopped
from fedmed_desktop.lora import Adapter, algebra
from fedmed_desktop.lora.base_model import decoder_linears
from fedmed_desktop.training.base import BaseModel
from fedmed_desktop.training.batches import Encoder, Examples, collate
from fedmed_desktop.training.checkpoints import Checkpoint
from fedmed_desktop.training.device import choose_device
from fedmed_desktop.training.loop import StepDone, Training, label_losses
from fedmed_desktop.training.objectives import (
    Penalties,
    Variate,
    row_overlap,
    squared_cosines,
    squared_product_distance,
)
from tests.training_parts import NOTES, TYPES, plan_of, random_adapter

SGD = TrainingSettings(
    steps=4, batch_size=4, micro_batch_size=2, learning_rate=0.5, optimizer="sgd", clip_norm=None, warmup_share=0.0,
    checkpoint_steps=100,
)  # fmt: skip
ADAMW = SGD.model_copy(update={"optimizer": "adamw", "learning_rate": 5e-3, "clip_norm": 1.0})
TERMS = {
    "proximal": Proximal(mu=0.1),
    "product": Proximal(mu=0.1, on="product"),
    "sgd": ControlVariate(form="sgd"),
    "gradient": ControlVariate(form="gradient"),
    "weights": Orthogonal(weight=0.5, on="weights", rank=2),
    "outputs": Orthogonal(weight=0.5, on="outputs", rank=2),
}
seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def base(tiny_model: Path) -> BaseModel:
    return BaseModel.load(tiny_model, choose_device(prefer="cpu"), threads=1)


@pytest.fixture(scope="module")
def shapes(tiny_model: Path) -> dict[str, tuple[int, int]]:
    return decoder_linears(tiny_model)


@pytest.fixture(scope="module")
def start(shapes: dict[str, tuple[int, int]]) -> Adapter:
    return random_adapter(shapes, 4, 1)


@pytest.fixture(scope="module")
def personal(shapes: dict[str, tuple[int, int]]) -> Adapter:
    return random_adapter(shapes, 2, 2)


@pytest.fixture(scope="module")
def examples(base: BaseModel) -> Examples:
    return Encoder(base.tokenizer, TYPES, "html").encode(NOTES.train, 200)


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
    penalties, before = Penalties(base.lora, (TERMS["outputs"],), {}), hooks_of(base)
    with pytest.raises(Stopped), penalties.watching():
        assert hooks_of(base) == before + 2 * len(start)
        raise Stopped
    assert hooks_of(base) == before


def test_that_an_orthogonal_term_without_a_personal_adapter_is_a_fault(base: BaseModel, start: Adapter) -> None:
    base.lora.attach(start)
    with pytest.raises(LookupError, match="personal"):
        Penalties(base.lora, (TERMS["weights"],), {}).of_factors()


# training


class Site:
    """Trainings on one base from the same start; each `begin` attaches anew."""

    def __init__(self, base: BaseModel, examples: Examples, start: Adapter, personal: Adapter, folder: Path) -> None:
        self.base, self.examples, self.start, self.personal, self.folder = base, examples, start, personal, folder

    def begin(self, name: str, plan: Plan, variate: Variate | None = None) -> Training:
        self.base.lora.attach(self.start, personal=self.personal if plan.orthogonal else None)
        checkpoint = Checkpoint(self.folder / name, "training", "key")
        return Training(self.base, self.examples, plan, self.start, checkpoint, variate)

    def train(self, name: str, plan: Plan, variate: Variate | None = None) -> tuple[Training, list[StepDone]]:
        steps: list[StepDone] = []
        training = self.begin(name, plan, variate)
        training.run(steps.append, Control())
        return training, steps

    def state(self) -> dict[str, Tensor]:
        return {name: parameter.detach().clone() for name, parameter in self.base.lora.parameters().items()}

    def planned(self, settings: TrainingSettings, *terms: Any, **changes: object) -> Plan:
        return plan_of(self.start, settings, objective=terms, **changes)


@pytest.fixture
def site(base: BaseModel, examples: Examples, start: Adapter, personal: Adapter, tmp_path: Path) -> Site:
    return Site(base, examples, start, personal, tmp_path)


@contextmanager
def seen_gradients(parameters: dict[str, Tensor]) -> Iterator[list[tuple[float, dict[str, Tensor]]]]:
    """Rate and gradients that the optimiser was given, by step."""
    steps: list[tuple[float, dict[str, Tensor]]] = []

    def keep(optimizer: torch.optim.Optimizer, args: object, kwargs: object) -> None:
        grads = {name: p.grad.clone() for name, p in parameters.items() if p.grad is not None}
        steps.append((optimizer.param_groups[0]["lr"], grads))

    handle = register_optimizer_step_pre_hook(keep)
    try:
        yield steps
    finally:
        handle.remove()


def equal(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def task_gradient(site: Site) -> dict[str, Tensor]:
    """Mean over labels of all the site's examples in one batch, at what is attached."""
    parameters = {n: p for n, p in site.base.lora.parameters().items() if p.requires_grad}
    batch = collate(site.examples.items, "answer", torch.device("cpu"))
    loss = label_losses(site.base, batch) / len(batch.labels)
    return dict(zip(parameters, torch.autograd.grad(loss, list(parameters.values())), strict=True))


def test_that_sgd_steps_are_the_rate_times_the_gradient(site: Site) -> None:
    one = SGD.model_copy(update={"steps": 1, "batch_size": len(site.examples.items)})
    site.begin("reference", site.planned(one))
    gradient, start = task_gradient(site), site.state()
    site.train("one", site.planned(one))
    now = site.state()
    assert all(torch.allclose(now[n], start[n] - 0.5 * gradient[n], atol=1e-6) for n in now)


@pytest.mark.parametrize("zeros", [True, False])
def test_that_the_variate_of_the_way_is_the_mean_of_the_gradients_seen(
    site: Site, shapes: dict[str, tuple[int, int]], zeros: bool
) -> None:
    c, own = (None, None) if zeros else (random_adapter(shapes, 4, 7, 0.01), random_adapter(shapes, 4, 8, 0.01))
    training = site.begin("way", site.planned(SGD, TERMS["sgd"]), Variate(c, own))
    correction = {n: torch.zeros_like(p) for n, p in site.base.lora.parameters().items()}
    was = dict(correction)
    if c is not None and own is not None:
        placed, was = site.base.lora.placed(c), site.base.lora.placed(own)
        correction = {n: placed[n] - was[n] for n in placed}
    with seen_gradients(site.base.lora.parameters()) as steps:  # type: ignore[arg-type]
        training.run(lambda done: None, Control())
    assert len(steps) == 4 and len({rate for rate, _ in steps}) == 4  # the rate is not constant
    rates = sum(rate for rate, _ in steps)
    kept, change = (site.base.lora.placed(adapter) for adapter in training.kept_control())
    for name in kept:
        mean = sum(rate * grads[name] for rate, grads in steps) / rates - correction[name]
        assert torch.allclose(kept[name], mean, atol=1e-5)
        assert torch.allclose(change[name], kept[name] - was[name], atol=1e-7)
    assert max(value.abs().max().item() for value in kept.values()) > 1e-3


def test_that_equal_variates_leave_every_bit_of_plain_sgd(site: Site, shapes: dict[str, tuple[int, int]]) -> None:
    site.train("plain", site.planned(SGD))
    plain, c = site.state(), random_adapter(shapes, 4, 7)
    for name, variate in (("equal", Variate(c, c)), ("none", None)):
        site.train(name, site.planned(SGD, TERMS["sgd"]), variate)
        assert equal(site.state(), plain)
    site.train("other", site.planned(SGD, TERMS["sgd"]), Variate(c, None))
    assert not equal(site.state(), plain)


def test_that_the_correction_is_added_after_clipping(site: Site, shapes: dict[str, tuple[int, int]]) -> None:
    clipped = SGD.model_copy(update={"clip_norm": 1e-3, "steps": 1})
    c = random_adapter(shapes, 4, 7)
    training = site.begin("clipped", site.planned(clipped, TERMS["sgd"]), Variate(c, None))
    placed = site.base.lora.placed(c)
    with seen_gradients(site.base.lora.parameters()) as steps:  # type: ignore[arg-type]
        training.run(lambda done: None, Control())
    left = torch.cat([(steps[0][1][name] - placed[name]).flatten() for name in placed])
    assert left.norm().item() == pytest.approx(1e-3, rel=1e-2)


@pytest.mark.parametrize("settings", [SGD, ADAMW])
def test_that_the_variate_of_the_gradient_is_the_mean_raw_gradient_at_the_start(
    site: Site, shapes: dict[str, tuple[int, int]], settings: TrainingSettings
) -> None:
    whole = settings.model_copy(update={"batch_size": len(site.examples.items), "micro_batch_size": 5})
    own = random_adapter(shapes, 4, 8, 0.01)
    plan = site.planned(whole, TERMS["gradient"], Proximal(mu=3.0), TERMS["weights"])
    site.begin("reference", plan)
    expected = task_gradient(site)
    training, _ = site.train("gradient", plan, Variate(None, own))
    kept, change = training.kept_control()
    placed, was = site.base.lora.placed(kept), site.base.lora.placed(own)
    assert all(torch.allclose(placed[name], expected[name], atol=1e-6) for name in placed)
    moved = site.base.lora.placed(change)
    assert all(torch.allclose(moved[name], expected[name] - was[name], atol=1e-6) for name in moved)
    assert kept.ranks == site.start.ranks


def test_that_the_gradient_at_the_start_is_the_mean_of_the_first_batches_where_a_round_is_shorter_than_a_pass(
    site: Site,
) -> None:
    short = SGD.model_copy(update={"steps": 1})
    training = site.begin("short", site.planned(short, TERMS["gradient"]))
    with seen_gradients(site.base.lora.parameters()) as steps:  # type: ignore[arg-type]
        training.run(lambda done: None, Control())
    kept = site.base.lora.placed(training.kept_control()[0])
    assert all(torch.equal(kept[name], steps[0][1][name]) for name in kept)


@pytest.mark.parametrize("form", ["sgd", "gradient"])
def test_that_the_variate_of_a_frozen_factor_stays(site: Site, shapes: dict[str, tuple[int, int]], form: str) -> None:
    own = random_adapter(shapes, 4, 8, 0.01)
    training, _ = site.train(form, site.planned(SGD, TERMS[form], freeze=("A",)), Variate(None, own))
    kept, change = training.kept_control()
    for name in own:
        assert (kept[name].A == own[name].A).all() and not change[name].A.any()
        assert (kept[name].B != own[name].B).any() and change[name].B.any()
    now = site.base.lora.read()
    assert all((now[n].A == site.start[n].A).all() and (now[n].B != site.start[n].B).any() for n in now)


def test_that_a_variate_of_another_rank_is_refused(site: Site, shapes: dict[str, tuple[int, int]]) -> None:
    with pytest.raises(UserFacingError, match="modules and ranks"):
        site.begin("other", site.planned(SGD, TERMS["sgd"]), Variate(random_adapter(shapes, 3, 7), None))


def test_that_only_a_plan_with_a_variate_keeps_one(site: Site) -> None:
    training, _ = site.train("plain", site.planned(SGD))
    with pytest.raises(LookupError):
        training.kept_control()


@pytest.mark.parametrize(
    ("term", "settings", "looks"),
    [  # two looks a step, and six before the first where the gradient at the start is measured
        ("proximal", ADAMW, 6), ("product", SGD, 7), ("sgd", SGD, 2), ("sgd", SGD, 6), ("gradient", SGD, 3),
        ("gradient", ADAMW, 7), ("gradient", ADAMW, 13), ("weights", SGD, 5), ("outputs", ADAMW, 8),
    ],
)  # fmt: skip
def test_that_a_resumed_training_gives_the_same_bits(
    site: Site, shapes: dict[str, tuple[int, int]], term: str, settings: TrainingSettings, looks: int
) -> None:
    plan = site.planned(settings.model_copy(update={"checkpoint_steps": 2}), TERMS[term])
    variate = Variate(random_adapter(shapes, 4, 7, 0.01), random_adapter(shapes, 4, 8, 0.01))
    variate = variate if plan.variate else None
    whole, done = site.train("whole", plan, variate)
    state, kept = site.state(), whole.kept_control() if plan.variate else None
    cut = site.begin("cut", plan, variate)
    control = StopAt(looks)
    with pytest.raises(Stopped):
        cut.run(lambda step: None, control)
    resumed, after = site.train("cut", plan, variate)
    assert equal(site.state(), state)
    assert (resumed.kept_control() if plan.variate else None) == kept
    assert resumed.progress.rate_sum == whole.progress.rate_sum > 0
    assert [step.loss for step in after] == [step.loss for step in done[cut.progress.step :]]


class StopAt(Control):
    """Is told to stop just before its n-th look."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.looks = looks

    def check(self) -> None:
        self.looks -= 1
        if self.looks == 0:
            self.stop()
        super().check()


@pytest.mark.parametrize("freeze", [(), ("A",), ("B",)])
def test_that_both_factors_of_the_personal_adapter_are_trained_whatever_is_frozen(
    site: Site, freeze: tuple[str, ...]
) -> None:
    site.train("frozen", site.planned(ADAMW, TERMS["weights"], freeze=freeze))
    shared, own = site.base.lora.read(), site.base.lora.read_personal()
    for name in shared:
        for factor in ("A", "B"):
            assert (getattr(own[name], factor) != getattr(site.personal[name], factor)).any()
            stays = (getattr(shared[name], factor) == getattr(site.start[name], factor)).all()
            assert stays == (factor in freeze)


@pytest.mark.parametrize("on", ["weights", "outputs"])
def test_that_an_orthogonal_term_keeps_the_adapters_apart(site: Site, on: str) -> None:
    def overlap() -> float:
        penalties = Penalties(site.base.lora, (Orthogonal(weight=1.0, on=on, rank=2),), {})  # type: ignore[arg-type]
        rows = site.examples.items
        with torch.no_grad(), penalties.watching() as seen:
            label_losses(site.base, collate(rows, "answer", torch.device("cpu")))
            found = penalties.of_outputs(seen, [len(e) for e in rows])
            total = sum(map(len, rows))
            return (found / total if found is not None else penalties.of_factors()).item()  # type: ignore[union-attr]

    left = {}
    for weight in (0.0, 5.0):
        term = Orthogonal(weight=weight, on=on, rank=2)  # type: ignore[arg-type]
        site.train(f"{on}{weight}", site.planned(ADAMW.model_copy(update={"steps": 12}), term))
        left[weight] = overlap()
    assert left[5.0] < 0.7 * left[0.0]


def test_that_training_from_an_empty_personal_adapter_stays_finite(site: Site, shapes: dict[str, Any]) -> None:
    site.personal = Adapter.initial(shapes, rank=2, scale=2.0, seed=3)
    site.train("empty", site.planned(ADAMW, TERMS["outputs"]))
    assert any(site.base.lora.read_personal()[name].B.any() for name in shapes)


@pytest.mark.parametrize("on", ["factors", "product"])
def test_that_a_proximal_term_keeps_the_adapter_near_its_start(site: Site, on: str) -> None:
    way = []
    for mu in (0.01, 10.0):
        term = Proximal(mu=mu, on=on)  # type: ignore[arg-type]
        site.train(f"{on}{mu}", site.planned(SGD.model_copy(update={"steps": 12, "learning_rate": 0.02}), term))
        way.append(algebra.distance(site.base.lora.read(), site.start))
    assert way[1] < 0.9 * way[0]


def test_that_the_loss_told_is_the_tasks_alone(site: Site) -> None:
    for optional in (None, TERMS["weights"]):  # the second attaches a personal adapter, which changes the model
        beside = () if optional is None else (optional.model_copy(update={"weight": 0.0}),)
        heavy = Proximal(mu=1e-6), *((optional.model_copy(update={"weight": 9.0}),) if optional else ())
        _, plain = site.train(f"plain{optional is None}", site.planned(SGD, *beside))
        _, terms = site.train(f"terms{optional is None}", site.planned(SGD, *heavy))
        assert terms[0].loss == plain[0].loss


@pytest.mark.parametrize("term", ["outputs", "weights", "product"])
def test_that_the_micro_batch_does_not_change_the_objective(site: Site, term: str) -> None:
    states = []
    for size in (1, 4):
        settings = SGD.model_copy(update={"micro_batch_size": size, "steps": 2})
        site.train(f"{term}{size}", site.planned(settings, TERMS[term]))
        states.append(site.state())
    assert all(torch.allclose(states[0][name], states[1][name], atol=1e-5) for name in states[0])
