# SPDX-License-Identifier: Apache-2.0
"""Memory that training takes, counted beforehand, beside what torch allocates in a real step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fedmed_desktop.cli import main
from fedmed_desktop.clinical.tasks import Asked
from fedmed_desktop.federation.plan import TrainingSettings
from fedmed_desktop.federation.work import Control
from fedmed_desktop.lora import Adapter
from fedmed_desktop.resources import resource
from tests.parts.families import FAMILIES, SMALL, Family
from tests.parts.told import told_as
from tests.parts.training import NOTES, plan_of

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    import torch
    from torch.profiler import ProfilerActivity, profile

    from fedmed_desktop.training.base import BaseModel
    from fedmed_desktop.training.batches import Example, Examples
    from fedmed_desktop.training.checkpoints import Checkpoint
    from fedmed_desktop.training.device import choose_device
    from fedmed_desktop.training.loop import Training
    from fedmed_desktop.training.needs import Load, needs, takes
    from fedmed_desktop.training.outline import adaptable_linears

MODEL = resource("demo_model")
RANK = 4


def allocated(load: Load, folder: Path) -> int:
    """The most that torch held at one time in two steps, beyond the base and the adapter on it; bytes."""
    base = BaseModel.load(MODEL, choose_device(prefer="cpu"), threads=1)
    if load.anew:
        base.memory.ran_out(1, load.tokens)
    start = Adapter.initial(adaptable_linears(MODEL), RANK, 2.0, 0)
    base.lora.attach(start)
    row = Example(Asked(NOTES.train[0], ""), (5,), tuple(range(6, 5 + load.tokens)))
    examples = Examples((row,) * (2 * load.rows))
    settings = TrainingSettings(steps=2, batch_size=load.rows, micro_batch_size=load.rows, checkpoint_steps=100)
    training = Training(base, examples, plan_of(start, settings), start, Checkpoint(folder, "training", "key"))
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        training.run(lambda step: None, Control())
    held = most = 0
    events = [event for event in found.profiler.kineto_results.events() if event.name() == "[memory]"]
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most


@pytest.mark.parametrize("anew", [pytest.param(False, marks=pytest.mark.slow), True])
def test_that_what_a_step_takes_is_counted_within_15_percent(anew: bool, tmp_path: Path) -> None:
    load = Load(3, 250, anew)
    (counted,) = needs(MODEL, [load], RANK, torch.float32)
    beyond = counted.total - counted.weights - counted.factors // 4  # the factors themselves are on the base
    assert allocated(load, tmp_path) == pytest.approx(beyond, rel=0.15)


def test_that_weights_in_4_bits_and_half_precision_are_counted_as_they_are_held() -> None:
    loads = [Load(1, 64)]
    (whole,), (half,) = (needs(MODEL, loads, RANK, dtype) for dtype in (torch.float32, torch.bfloat16))
    assert half.weights * 2 == whole.weights and half.kept < whole.kept
    (four,) = needs(MODEL, loads, RANK, torch.bfloat16, "nf4")
    linear = sum(rows * columns for rows, columns in adaptable_linears(MODEL).values())
    assert half.weights - four.weights == pytest.approx(linear * (2 - 0.516), rel=1e-3)


@pytest.mark.slow
def test_that_more_rows_keep_more_and_layers_computed_anew_less() -> None:
    loads = [Load(1, 100), Load(3, 100, anew=True), Load(3, 100)]
    one, anew, three = needs(MODEL, loads, RANK, torch.float32)
    assert three.kept == pytest.approx(3 * one.kept, rel=0.02) and three.passing == 3 * one.passing
    assert anew.kept < three.kept / 2
    usual, least = takes(MODEL, choose_device(prefer="cpu"), 4, 800, RANK)
    assert 10**9 < least < usual < 2 * 10**9


def test_that_counting_changes_nothing_by_which_other_threads_train(monkeypatch: pytest.MonkeyPatch) -> None:
    set_for_all: list[object] = []
    for name in ("set_default_dtype", "set_default_device", "set_num_threads", "manual_seed"):
        monkeypatch.setattr(torch, name, set_for_all.append)
    random = torch.get_rng_state()
    assert takes(MODEL, choose_device(prefer="cpu"), 4, 800, RANK)
    assert set_for_all == [] and torch.equal(torch.get_rng_state(), random)


def test_that_the_check_tells_what_the_bundled_model_takes(capsys: pytest.CaptureFixture[str]) -> None:
    told = {}
    for words in ([], ["--nf4", "--max-tokens", "4000"]):
        assert main(["--check", "--model", str(MODEL), "--json", *words]) == 0
        (memory,) = [one for one in json.loads(capsys.readouterr().out) if one["subject"] == "memory"]
        told[bool(words)] = memory["params"]["needed"] / 1e9
    assert 1.0 <= told[False] < told[True] < 2.5


def test_that_a_folder_without_a_model_is_told_by_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check", "--model", str(tmp_path)]) == 1
    assert "config.json" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore")  # that faster kernels are not installed
def test_that_a_model_of_experts_is_judged_by_the_number_of_its_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = FAMILIES["Mixtral"].folder(tmp_path)
    capsys.readouterr()
    assert main(["--check", "--model", str(folder), "--json"]) == 0
    assert "memory" in [one["subject"] for one in json.loads(capsys.readouterr().out)]


def test_that_a_model_which_founding_refuses_is_refused_by_the_check_in_the_same_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Family("Lfm2", SMALL | {"layer_types": ["conv", "conv"]}).folder(tmp_path)
    capsys.readouterr()
    assert main(["--check", "--model", str(folder), "--json"]) == 1
    told_of = {one["subject"]: one for one in json.loads(capsys.readouterr().out)}
    assert "lfm2 models keep what they have read" in json.dumps(told_of["memory"])
    with told_as("lfm2 models keep what they have read"):
        adaptable_linears(folder)


def test_that_a_layer_of_which_nothing_can_be_counted_does_not_end_the_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_args: object) -> None:
        raise RuntimeError("played by a test")

    monkeypatch.setattr("fedmed_desktop.training.needs.takes", refused)
    assert main(["--check", "--model", str(MODEL), "--json"]) == 0
    assert "memory" in [one["subject"] for one in json.loads(capsys.readouterr().out)]
