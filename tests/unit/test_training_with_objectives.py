# SPDX-License-Identifier: Apache-2.0
"""A training with the terms of a plan's objective, on a tiny real model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fedmed_desktop.clinical.tasks import Entities
from fedmed_desktop.federation.objectives import ControlVariate, Orthogonal, Proximal
from fedmed_desktop.federation.plan import Plan, TrainingSettings
from fedmed_desktop.federation.work import Control, Stopped
from fedmed_desktop.lora import Adapter, algebra
from tests.parts.told import told_as
from tests.parts.training import NOTES, TYPES, StopAtLook, plan_of, random_adapter

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    import torch
    from torch import Tensor
    from torch.optim.optimizer import register_optimizer_step_pre_hook

    from fedmed_desktop.training.base import BaseModel
    from fedmed_desktop.training.batches import Encoder, Examples, collate
    from fedmed_desktop.training.checkpoints import Checkpoint
    from fedmed_desktop.training.label_loss import label_losses
    from fedmed_desktop.training.loop import StepDone, Training
    from fedmed_desktop.training.objectives import Penalties, Variate


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


@pytest.fixture(scope="module")
def start(shapes: dict[str, tuple[int, int]]) -> Adapter:
    return random_adapter(shapes, 4, 1)


@pytest.fixture(scope="module")
def personal(shapes: dict[str, tuple[int, int]]) -> Adapter:
    return random_adapter(shapes, 2, 2)


@pytest.fixture(scope="module")
def examples(base: BaseModel) -> Examples:
    return Encoder(base.tokenizer, [Entities(TYPES, "html")]).encode(NOTES.train, 200)


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


def test_that_a_correction_by_gradients_is_clipped_with_the_gradient_that_it_corrects(
    site: Site, shapes: dict[str, tuple[int, int]]
) -> None:
    c, own = random_adapter(shapes, 4, 7), random_adapter(shapes, 4, 8)
    for name, clip in (("raw", None), ("clipped", 1e-3)):
        settings = SGD.model_copy(update={"clip_norm": clip, "steps": 1})
        training = site.begin(name, site.planned(settings, TERMS["gradient"]), Variate(c, own))
        with seen_gradients(site.base.lora.parameters()) as steps:  # type: ignore[arg-type]
            training.run(lambda done: None, Control())
        whole = torch.cat([steps[0][1][parameter].flatten() for parameter in sorted(steps[0][1])])
        if clip is None:
            raw = whole
    assert whole.norm().item() == pytest.approx(1e-3, rel=1e-2)
    assert torch.cosine_similarity(whole, raw, dim=0).item() == pytest.approx(1.0, abs=1e-5)


def test_that_a_correction_by_the_way_is_added_after_clipping(site: Site, shapes: dict[str, tuple[int, int]]) -> None:
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
    with told_as("modules and ranks"):
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
    control = StopAtLook(looks)
    with pytest.raises(Stopped):
        cut.run(lambda step: None, control)
    resumed, after = site.train("cut", plan, variate)
    assert equal(site.state(), state)
    assert (resumed.kept_control() if plan.variate else None) == kept
    assert resumed.progress.rate_sum == whole.progress.rate_sum > 0
    assert [step.loss for step in after] == [step.loss for step in done[cut.progress.step :]]


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
