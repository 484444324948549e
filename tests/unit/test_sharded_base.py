# SPDX-License-Identifier: Apache-2.0
"""A base that is split over two processes over gloo trains, stops, goes on and answers as a whole one does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fedmed_desktop.cli.site import run
from fedmed_desktop.clinical.tasks import Entities
from fedmed_desktop.federation.objectives import Orthogonal
from fedmed_desktop.federation.work import Control, Given, Stopped
from fedmed_desktop.lora import Adapter
from tests.parts.processes import Team, two_processes
from tests.parts.told import told_as
from tests.parts.training import NOTES, SETTINGS, TYPES, plan_of, random_adapter, train

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    from fedmed_desktop.training import needs
    from fedmed_desktop.training.base import BaseModel
    from fedmed_desktop.training.loading import LoadedBase
    from fedmed_desktop.training.trainer import SiteTrainer

pytestmark = pytest.mark.slow  # the second process loads torch

# Three micro-batches of a step, so that one process has an idle pass.
STEPS = SETTINGS.model_copy(update={"batch_size": 5, "steps": 4, "checkpoint_steps": 1})


@pytest.fixture(scope="module")
def team(tiny_model: Path) -> Iterator[Team]:
    with two_processes(tiny_model) as team:
        yield team


@pytest.fixture(scope="module")
def split(team: Team, tiny_model: Path) -> BaseModel:
    return LoadedBase(tiny_model, threads=1, processes=team.processes, shard=True).get()


def site(base: BaseModel) -> SiteTrainer:
    return SiteTrainer(base, "A", NOTES, [Entities(TYPES, "html")])


def test_that_each_process_holds_half_of_the_layers_and_all_of_an_adapter(
    split: BaseModel, base: BaseModel, shapes: dict[str, tuple[int, int]]
) -> None:
    assert split.sharded
    whole = dict(base.model.named_parameters())
    for name, parameter in split.model.named_parameters():
        held = getattr(parameter, "to_local", lambda own=parameter: own)().numel()
        assert held == whole[name].numel() / (2 if ".layers." in name else 1), name
    split.lora.attach(random_adapter(shapes, 2, 1))
    assert not [name for name, factor in split.lora.trained().items() if hasattr(factor, "to_local")]


@pytest.mark.parametrize("objective", [(), (Orthogonal(weight=0.5, on="outputs", rank=2),)])
def test_that_a_round_over_a_split_base_is_that_over_a_whole_one(
    split: BaseModel, base: BaseModel, shapes: dict[str, tuple[int, int]], tmp_path: Path, objective: tuple[Orthogonal]
) -> None:
    start = random_adapter(shapes, 4, 1)
    plan = plan_of(start, STEPS, objective=objective)
    expected = train(site(base), start, tmp_path / "whole", plan)
    found = train(site(split), start, tmp_path / "split", plan)
    assert_alike(found.blobs["adapter"], expected.blobs["adapter"])
    assert found.update.report.scores_after == expected.update.report.scores_after
    for moment in ("loss_before", "loss_after", "train_loss"):
        assert getattr(found.update.report, moment) == pytest.approx(getattr(expected.update.report, moment), abs=1e-5)


@pytest.mark.parametrize("split_first", [True, False])
def test_that_a_training_which_was_stopped_goes_on_with_a_split_base_or_a_whole_one(
    split: BaseModel, base: BaseModel, shapes: dict[str, tuple[int, int]], tmp_path: Path, split_first: bool
) -> None:
    start = random_adapter(shapes, 4, 1)
    plan = plan_of(start, STEPS)
    expected = train(site(base), start, tmp_path / "whole", plan)
    first, then = (split, base) if split_first else (base, split)
    control, steps = Control(), 0

    def stop_after_two(event: object) -> None:
        nonlocal steps
        steps += getattr(event, "type", "") == "step"
        if steps == 2:
            control.stop()

    with pytest.raises(Stopped):
        site(first).train_round(plan, Given(start), tmp_path / "cut", stop_after_two, control)
    assert_alike(train(site(then), start, tmp_path / "cut", plan).blobs["adapter"], expected.blobs["adapter"])


def test_that_a_base_is_split_where_its_count_says_that_no_gpu_holds_it(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not needs.is_too_large(tiny_model, None), "there is no GPU"
    for total, too_large in ((10**12, False), (10**6, True)):
        monkeypatch.setattr(needs, "gpu_memory", lambda total=total: ("card", total, total))
        assert needs.is_too_large(tiny_model, None) == too_large
        assert not needs.is_too_large(tiny_model, "nf4")


def test_that_a_base_in_4_bits_is_not_split(tiny_model: Path) -> None:
    with told_as("4 bits cannot be split"):
        LoadedBase(tiny_model, "nf4", threads=1, shard=True).get()


def test_that_a_process_which_is_alone_is_told_that_it_cannot_split_a_base() -> None:
    with told_as("only one process is running"):
        run(
            [
                "--join",
                "ws://127.0.0.1:9",
                "--name",
                "A",
                "--model",
                "m",
                "--notes",
                "n",
                "--data-dir",
                "d",
                "--shard-base",
            ]
        )


def assert_alike(found: bytes, expected: bytes) -> None:
    theirs = Adapter.from_blob(expected)
    for name, module in Adapter.from_blob(found).items():
        for factor in ("A", "B"):
            np.testing.assert_allclose(getattr(module, factor), getattr(theirs[name], factor), rtol=0, atol=1e-5)
