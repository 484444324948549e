# SPDX-License-Identifier: Apache-2.0
"""AdamW's moments that a site keeps between rounds, against AdamW itself in numpy over all of their steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fedmed_desktop.clinical.tasks import Entities
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation import Control, Given, LocalResult, TrainingSettings
from fedmed_desktop.federation.accounting import Budget, SpendingInMemory
from fedmed_desktop.federation.objectives import Orthogonal
from fedmed_desktop.federation.plan import PrivacySettings
from fedmed_desktop.federation.spec import checked_spec
from fedmed_desktop.federation.work import MOMENTS, Stopped
from fedmed_desktop.lora import Adapter, Module
from fedmed_desktop.storage.own import OwnStore
from fedmed_desktop.wording import told
from tests.parts.method import spec_of
from tests.parts.training import NOTES, SETTINGS, TYPES, StopAtLook, plan_of, random_adapter, silent, train

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    from torch.optim.optimizer import register_optimizer_step_pre_hook

    from fedmed_desktop.training.base import BaseModel
    from fedmed_desktop.training.moments import begun
    from fedmed_desktop.training.trainer import SiteTrainer

KEEPING = SETTINGS.model_copy(
    update={"keep_moments": True, "schedule": "constant", "warmup_share": 0.0, "weight_decay": 0.1}
)
RATE = SETTINGS.learning_rate
Factors = dict[str, np.ndarray]


@pytest.fixture
def trainer(base: BaseModel) -> SiteTrainer:
    return SiteTrainer(base, "Riverside", NOTES, [Entities(TYPES)], score_on="loss")


@pytest.fixture(scope="module")
def start(shapes: dict[str, tuple[int, int]]) -> Adapter:
    return random_adapter(shapes, 4, 1)


@contextmanager
def gradients(base: BaseModel) -> Iterator[list[Factors]]:
    """What AdamW is given, by step and parameter."""
    steps: list[Factors] = []

    def keep(*_: object) -> None:
        trained = base.lora.parameters().items()
        steps.append({name: p.grad.double().numpy().copy() for name, p in trained if p.grad is not None})

    handle = register_optimizer_step_pre_hook(keep)
    try:
        yield steps
    finally:
        handle.remove()


def adamw(begins: Factors, steps: list[Factors], before: list[Factors]) -> Factors:
    """Loshchilov and Hutter 2019, algorithm 2, after all `steps`; its means go on from the steps `before`."""
    found = {}
    for name, value in begins.items():
        theta, m, v = value.astype(np.float64), np.zeros(value.shape), np.zeros(value.shape)
        for number, step in enumerate([*before, *steps], 1):
            m = 0.9 * m + 0.1 * step[name]
            v = 0.999 * v + 0.001 * step[name] ** 2
            if number > len(before):
                theta = theta - RATE * 0.1 * theta
                theta = theta - RATE * (m / (1 - 0.9**number)) / (np.sqrt(v / (1 - 0.999**number)) + 1e-8)
        found[name] = theta
    return found


def factors(adapter: Adapter) -> Factors:
    pairs = ((f"{name}.lora_{factor}", getattr(m, factor)) for name, m in adapter.items() for factor in "AB")
    return {name: np.asarray(values) for name, values in pairs}


def apart(left: Factors, right: Factors) -> float:
    return max(float(np.abs(left[name] - right[name]).max()) for name in left)


def two_rounds(base: BaseModel, trainer: SiteTrainer, first: Adapter, second: Adapter, folder: Path) -> LocalResult:
    """Of the second round, which begins with another adapter and the moments of the first."""
    earlier = train(trainer, first, folder / "1", plan_of(first, KEEPING, round=1, rounds=2))
    plan = plan_of(second, KEEPING, round=2, rounds=2, seed=12)
    return train(trainer, second, folder / "2", plan, own=earlier.own)


def test_that_a_round_goes_on_as_adamw_would(
    base: BaseModel, trainer: SiteTrainer, start: Adapter, shapes: dict[str, tuple[int, int]], tmp_path: Path
) -> None:
    combined = random_adapter(shapes, 4, 2)
    with gradients(base) as steps:
        result = two_rounds(base, trainer, start, combined, tmp_path)
    assert len(steps) == 12
    found = factors(Adapter.from_blob(result.blobs["adapter"]))
    moved = apart(found, factors(combined))
    assert apart(found, adamw(factors(combined), steps[6:], steps[:6])) < 1e-3 * moved
    assert apart(found, adamw(factors(combined), steps[6:], [])) > 0.1 * moved, "it began without moments"
    means = result.own[MOMENTS[0]]
    assert {module.scale for module in means.values()} == {12.0}
    for name, module in means.items():
        m = np.zeros(module.A.shape)
        for step in steps:
            m = 0.9 * m + 0.1 * step[f"{name}.lora_A"]
        assert np.allclose(module.A, m, atol=1e-5 * np.abs(m).max())


def test_that_a_stop_in_a_round_with_moments_changes_no_bit(
    base: BaseModel, trainer: SiteTrainer, start: Adapter, tmp_path: Path
) -> None:
    whole = two_rounds(base, trainer, start, start, tmp_path / "whole")
    earlier = train(trainer, start, tmp_path / "1", plan_of(start, KEEPING, round=1, rounds=2))
    plan, given = plan_of(start, KEEPING, round=2, rounds=2, seed=12), Given(start, own=earlier.own)
    with pytest.raises(Stopped):
        trainer.train_round(plan, given, tmp_path / "2", silent, StopAtLook(16))
    again = trainer.train_round(plan, given, tmp_path / "2", silent, Control())
    assert again.blobs == whole.blobs and again.own == whole.own


def test_that_a_module_of_another_rank_begins_without_moments_and_the_others_go_on(
    base: BaseModel, trainer: SiteTrainer, start: Adapter, tmp_path: Path
) -> None:
    own = train(trainer, start, tmp_path, plan_of(start, KEEPING, rounds=3)).own
    changed = min(start)
    smaller = Adapter({n: Module(m.B[:, :2], m.A[:2], m.scale) if n == changed else m for n, m in start.items()})
    base.lora.attach(smaller)
    found = begun(base.lora, own, base.lora.trained())
    assert {name.rpartition(".")[0] for name in found} == set(start) - {changed}
    base.lora.attach(start)
    assert begun(base.lora, own, base.lora.trained()).keys() == base.lora.trained().keys()
    plan = plan_of(start, KEEPING, rank=3, rounds=3)
    alone, along = (train(trainer, start, tmp_path / str(n), plan, own=o) for n, o in enumerate(({}, own)))
    assert alone.blobs == along.blobs, "nothing of another rank counts"


def test_that_frozen_factors_have_none_and_a_plan_without_the_setting_neither_takes_nor_keeps_any(
    base: BaseModel, trainer: SiteTrainer, start: Adapter, tmp_path: Path
) -> None:
    own = train(trainer, start, tmp_path / "a", plan_of(start, KEEPING, rounds=3, freeze=("A",))).own
    assert set(own) == set(MOMENTS[:2])
    assert not any(module.A.any() for name in own for module in own[name].values())
    base.lora.attach(start)
    assert {name.rpartition(".")[2] for name in begun(base.lora, own, base.lora.trained())} == {"lora_B"}
    usual = train(trainer, start, tmp_path / "b")
    assert usual.own == {} and train(trainer, start, tmp_path / "c", own=own).blobs == usual.blobs


def test_that_a_personal_adapter_s_moments_are_kept_too_and_nothing_of_any_leaves(
    base: BaseModel, trainer: SiteTrainer, start: Adapter, tmp_path: Path
) -> None:
    plan = plan_of(start, KEEPING, rounds=3, objective=(Orthogonal(weight=0.1, rank=2),))
    result = train(trainer, start, tmp_path, plan)
    assert set(result.own) == {"personal", *MOMENTS}
    assert result.own["personal_means"].ranks == result.own["personal"].ranks
    assert set(result.blobs) == {"adapter"}
    base.lora.attach(start, personal=result.own["personal"])
    assert begun(base.lora, result.own, base.lora.trained()).keys() == base.lora.trained().keys()


def test_that_with_privacy_moments_are_those_of_the_noised_gradients(
    base: BaseModel, trainer: SiteTrainer, start: Adapter, tmp_path: Path
) -> None:
    """What the optimiser is given has its noise already: whatever is made of it afterwards tells no more."""
    privacy = PrivacySettings(epsilon=50, delta=1e-3, unit="note")
    settings = KEEPING.model_copy(update={"privacy": privacy, "steps": 2})
    plan, budget = plan_of(start, settings, rounds=3), Budget(privacy, SpendingInMemory())
    with gradients(base) as steps:
        result = train(trainer, start, tmp_path, plan, budget=budget)
    for name, module in result.own[MOMENTS[1]].items():
        v = 0.001 * (0.999 * steps[0][f"{name}.lora_B"] ** 2 + steps[1][f"{name}.lora_B"] ** 2)
        assert np.allclose(module.B, v, rtol=1e-4, atol=1e-9)


def test_that_moments_are_kept_on_disk_for_updates_that_counted_and_no_model_is_read_from_them(
    start: Adapter, tmp_path: Path
) -> None:
    means = start.map(lambda m: Module(m.B, m.A, 33.0))
    OwnStore(tmp_path).keep(1, {"means": means, "squares": start})
    again = OwnStore(tmp_path)  # after a restart
    assert again.before(2, {1}) == {"means": means, "squares": start}
    assert again.before(2, {1})["means"][min(means)].scale == 33.0
    assert again.before(2, ()) == {} and again.paths_before(2) == {}


@pytest.mark.parametrize(
    ("method", "combine", "words"),
    [
        ("fedavg", "product", "basis"),
        ("fedavg", "stack", "basis"),
        ("flexlora", "product", "basis"),
        ("adaptive_fedlora", "product", "basis"),
        ("fedrot", "factors", "turns its factors"),
        ("rolora", "factors", "every other round"),
    ],
)
def test_that_what_changes_the_basis_is_refused_in_words(method: str, combine: str, words: str) -> None:
    spec = spec_of(method, combine=combine).model_dump()
    assert checked_spec(spec, "federation.toml")
    with pytest.raises(UserFacingError) as caught:
        checked_spec(spec | {"training": {"steps": 4, "keep_moments": True}}, "federation.toml")
    assert words in told(caught.value) and "keep_moments" in told(caught.value)


@pytest.mark.parametrize("method", ["fedavg", "fedsa", "ffa", "fedex", "scaffold", "sa_fedlora", "fedopal", "fednova"])
def test_that_what_keeps_the_basis_is_not(method: str) -> None:
    spec = spec_of(method, combine="factors").model_dump()
    assert checked_spec(spec | {"training": {"steps": 4, "keep_moments": True}}, "federation.toml")


def test_that_sgd_has_no_moments_to_keep() -> None:
    with pytest.raises(ValueError, match="keep_moments"):
        TrainingSettings(steps=1, keep_moments=True, optimizer="sgd")
    assert "keep_moments" not in TrainingSettings(steps=1).model_dump_json()
