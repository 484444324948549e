# SPDX-License-Identifier: Apache-2.0
"""A training in two processes over gloo is the training in one: the same adapter, checkpoints and limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fedmed_desktop.clinical.tasks import Entities
from fedmed_desktop.federation.objectives import ControlVariate, Orthogonal, Proximal
from fedmed_desktop.federation.plan import TrainingSettings
from fedmed_desktop.federation.work import Control, Stopped
from fedmed_desktop.lora import Adapter
from tests.parts.processes import PATIENCE, Team, two_processes
from tests.parts.training import NOTES, TYPES, StopAtLook, plan_of, random_adapter

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    import torch

    from fedmed_desktop.training.base import BaseModel
    from fedmed_desktop.training.batches import Encoder, Examples
    from fedmed_desktop.training.checkpoints import Checkpoint
    from fedmed_desktop.training.loading import LoadedBase
    from fedmed_desktop.training.loop import Training
    from fedmed_desktop.training.objectives import Variate
    from fedmed_desktop.training.processes import Lost

pytestmark = pytest.mark.slow  # each second process loads torch

STEPS = TrainingSettings(steps=5, batch_size=5, learning_rate=0.01, weight_decay=0.1, checkpoint_steps=2)
TERMS = {
    "none": (),
    "proximal": (Proximal(mu=0.1),),
    "scaffold with sgd": (ControlVariate(form="sgd"),),
    "scaffold with gradients": (ControlVariate(form="gradient"),),
    "orthogonal outputs": (Orthogonal(weight=0.5, on="outputs", rank=2),),
}


class Both:
    """The same training in one process and in two."""

    def __init__(self, base: BaseModel, team: Team, shapes: dict[str, tuple[int, int]], folder: Path) -> None:
        self.base, self.team, self.folder = base, team, folder
        self.examples: Examples = Encoder(base.tokenizer, [Entities(TYPES, "html")]).encode(NOTES.train, 200)
        self.start, self.personal = random_adapter(shapes, 4, 1), random_adapter(shapes, 2, 2)
        self.controls = random_adapter(shapes, 4, 3, 1e-3), random_adapter(shapes, 4, 4, 1e-3)

    def train(
        self,
        processes: int,
        name: str,
        settings: TrainingSettings = STEPS,
        term: str = "none",
        looks: int = 0,
        own: Mapping[str, Adapter] | None = None,
    ) -> Training:
        """Trains to the end, or to one of its looks at the control; goes on where one of this name was stopped."""
        rounds = None if settings.schedule == "round" else 5
        plan = plan_of(self.start, settings, objective=TERMS[term], rounds=rounds)
        self.base.processes = self.team.processes if processes == 2 else None
        self.base.memory.tokens = None
        self.base.lora.attach(self.start, personal=self.personal if plan.orthogonal else None)
        variate = Variate(*self.controls) if plan.variate else None
        checkpoint = Checkpoint(self.folder / name, "training", "key")
        training = Training(self.base, self.examples, plan, self.start, checkpoint, variate, None, own)
        training.run(lambda done: None, StopAtLook(looks) if looks else Control())
        return training

    def state(self) -> dict[str, torch.Tensor]:
        return {name: parameter.detach().clone() for name, parameter in self.base.lora.parameters().items()}


@pytest.fixture(scope="module")
def team(tiny_model: Path) -> Iterator[Team]:
    with two_processes(tiny_model) as team:
        yield team


@pytest.fixture
def both(base: BaseModel, team: Team, shapes: dict[str, tuple[int, int]], tmp_path: Path) -> Iterator[Both]:
    yield Both(base, team, shapes, tmp_path)
    base.processes = base.memory.tokens = None


def assert_alike(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], start: Adapter) -> None:
    for name, values in expected.items():
        assert torch.allclose(found[name], values, rtol=0, atol=1e-5), name
    module = next(iter(start))
    assert (found[f"{module}.lora_B"] - torch.from_numpy(start[module].B.copy())).abs().max() > 1e-3


@pytest.mark.parametrize("term", TERMS)
def test_that_two_processes_train_the_adapter_that_one_does_under_every_term(both: Both, term: str) -> None:
    alone = both.train(1, "one", term=term)
    expected = both.state()
    together = both.train(2, "two", term=term)
    assert_alike(both.state(), expected, both.start)
    assert together.progress.labels == alone.progress.labels
    assert together.progress.mean_loss == pytest.approx(alone.progress.mean_loss, abs=1e-5)
    if "scaffold" in term:
        for found, control in zip(together.kept_control(), alone.kept_control(), strict=True):
            for name, module in control.items():
                assert pytest.approx(module.A, abs=1e-4) == found[name].A


def test_that_moments_and_a_schedule_over_the_federation_go_on_in_two_processes(both: Both) -> None:
    settings = STEPS.model_copy(update={"keep_moments": True, "schedule": "federation"})
    own = both.train(1, "earlier", settings).kept_moments()
    alone = both.train(1, "one", settings, own=own)
    expected, kept = both.state(), alone.kept_moments()
    together = both.train(2, "two", settings, own=own)
    assert_alike(both.state(), expected, both.start)
    for found, one in zip(together.kept_moments().values(), kept.values(), strict=True):
        for name, module in one.items():
            assert found[name].scale == module.scale == 10.0
            assert np.allclose(found[name].B, module.B, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(("first", "then"), [(2, 1), (1, 2)])
def test_that_a_training_goes_on_in_another_number_of_processes(both: Both, first: int, then: int) -> None:
    both.train(1, "whole")
    expected = both.state()
    with pytest.raises(Stopped):
        both.train(first, "stopped", looks=5)
    went_on = both.train(then, "stopped")
    assert went_on.progress.step == 5
    assert_alike(both.state(), expected, both.start)


def test_that_micro_batches_are_shared_out_as_the_plan_sizes_them_and_a_process_may_have_none(both: Both) -> None:
    for name, changes in {
        "micro": {"micro_batch_size": 1},
        "single": {"batch_size": 1},
        "sgd": {"optimizer": "sgd", "learning_rate": 0.5, "clip_norm": None},
    }.items():
        settings = STEPS.model_copy(update=changes)
        both.train(1, f"one {name}", settings)
        expected = both.state()
        both.train(2, f"two {name}", settings)
        assert_alike(both.state(), expected, both.start)


def test_that_a_step_is_done_again_in_smaller_parts_where_only_the_other_process_ran_out_of_memory(both: Both) -> None:
    settings = STEPS.model_copy(update={"batch_size": 8, "micro_batch_size": 4})
    both.train(1, "one", settings)
    expected = both.state()
    longest = max(map(len, both.examples.items))
    both.team.processes.tell("play", {"tokens": 2 * longest})
    both.train(2, "two", settings)
    both.team.processes.tell("play", {"tokens": 10**9})
    assert_alike(both.state(), expected, both.start)
    assert both.base.memory.tokens is not None and both.base.memory.tokens <= 2 * longest


def test_that_all_load_the_base_with_the_first_process_and_end_when_it_is_gone(tiny_model: Path, both: Both) -> None:
    both.team.end()  # torch knows one line at a time
    with two_processes(tiny_model) as team:
        loaded = LoadedBase(tiny_model, threads=1, processes=team.processes)
        assert loaded.get() is loaded.get() and loaded.get().processes is team.processes
        team.processes.lost = True  # so that the line is taken down without a word to the other one


def test_that_the_first_process_ends_when_another_one_dies(tiny_model: Path, both: Both) -> None:
    both.team.end()
    with two_processes(tiny_model) as both.team:
        both.team.second.kill()
        both.team.second.wait(PATIENCE)
        with pytest.raises(Lost):
            both.train(2, "lost")
        assert both.team.processes.lost
