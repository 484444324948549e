# SPDX-License-Identifier: Apache-2.0
"""Federations that begin with an adapter of an earlier one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fedmed_desktop.cli import main
from fedmed_desktop.coordinator.founding import found_federation
from fedmed_desktop.federation.spec import LoraSettings, load_spec
from fedmed_desktop.lab.cell import BaseFacts
from fedmed_desktop.lab.experiment import Experiment
from fedmed_desktop.lab.run import identity
from fedmed_desktop.lora import Adapter, Module, algebra
from fedmed_desktop.lora.base_model import linears_in_files
from fedmed_desktop.lora.first import first_adapter
from tests.parts.told import told_as

FOUND = ["--new-federation", "--notes-types", "drug", "--alpha", "8"]


def earlier(model: Path, rank: int = 4) -> Adapter:
    """An adapter that changes the base, at a scale of its own."""
    fresh = Adapter.initial(linears_in_files(model), rank, 1.0, seed=3)
    rng = np.random.default_rng(5)
    return fresh.map(lambda one: Module(rng.standard_normal(one.B.shape).astype(np.float32), one.A, 0.5))


@pytest.mark.parametrize("form", ["peft", "blob"])
def test_that_an_earlier_adapter_is_begun_with_as_it_was(form: str, tiny_model: Path, tmp_path: Path) -> None:
    given = earlier(tiny_model)
    path = tmp_path / "adapter"
    if form == "peft":
        given.save_peft(path)
    else:
        path = path.with_suffix(".safetensors")
        path.write_bytes(given.to_blob())
    out = tmp_path / "out"
    asked = ["--model", str(tiny_model), "--rank", "6", "--begin-with", str(path), "--out", str(out)]
    assert main([*FOUND, *asked]) == 0
    spec = load_spec(out / "federation.toml")
    first = Adapter.from_blob((out / f"{spec.base.initial}.safetensors").read_bytes())
    assert set(first.ranks.values()) == {6} and first.sha256 == spec.base.initial
    assert {module.scale for module in first.values()} == {spec.lora.scale}
    assert algebra.distance(first, given) < 1e-5 * algebra.norm(given)


def test_that_an_adapter_that_does_not_fit_is_refused_by_its_fault(tiny_model: Path) -> None:
    given = earlier(tiny_model)
    name = min(given)
    fewer = Adapter({one: module for one, module in given.items() if one != name})
    with told_as("rank 4, but the federation allows at most 2. Give the federation rank 4"):
        found_federation(
            tiny_model, {"rank": 2, "alpha": 4}, 0, begin_with=given, name="n", types=("drug",), training={"epochs": 1}
        )
    with told_as(f"{name} is in only one"):
        found_federation(
            tiny_model, {"rank": 4, "alpha": 4}, 0, begin_with=fewer, name="n", types=("drug",), training={"epochs": 1}
        )


def test_that_a_lab_begins_with_an_adapter_cut_to_each_rank(tiny_model: Path, tmp_path: Path) -> None:
    given = earlier(tiny_model)
    given.save_peft(tmp_path / "adapter")
    facts = BaseFacts.of(tiny_model, tmp_path / "adapter")
    grown, cut = (facts.first(LoraSettings(rank=rank, alpha=8), seed=1) for rank in (6, 2))
    assert algebra.distance(grown, given) < 1e-5 * algebra.norm(given)
    assert set(cut.ranks.values()) == {2}
    best, _ = algebra.shrink(given, 2)
    assert algebra.distance(cut, best) < 1e-5 * algebra.norm(given)


def test_that_a_lab_s_first_adapter_decides_its_results(tiny_model: Path, tmp_path: Path) -> None:
    earlier(tiny_model).save_peft(tmp_path / "adapter")
    experiment = Experiment(name="e", types=("drug",), baselines=("base",), begin_with=str(tmp_path / "adapter"))
    with_it, without = BaseFacts.of(tiny_model, experiment.adapter_folder), BaseFacts.of(tiny_model)
    assert identity(experiment, with_it, False) != identity(experiment, without, False)


def test_that_a_lab_s_adapter_of_another_model_is_refused_before_any_cell_runs(
    tiny_model: Path, tmp_path: Path
) -> None:
    given = earlier(tiny_model)
    Adapter({name: module for name, module in given.items() if name != min(given)}).save_peft(tmp_path / "adapter")
    with told_as(f"{min(given)} is in only one"):
        BaseFacts.of(tiny_model, tmp_path / "adapter")


def test_that_all_directions_of_an_earlier_adapter_can_learn(tmp_path: Path) -> None:
    """A PEFT folder fills smaller modules up with zeros, and its rank may be more than a small layer has."""
    rng = np.random.default_rng(1)
    ranks = {"h.0.narrow": (6, 20, 3), "h.0.wide": (20, 20, 8), "h.1.untrained": (20, 20, 2)}
    trained = Adapter(
        {
            name: Module(rng.standard_normal((d, r), np.float32), rng.standard_normal((r, k), np.float32), 2.0)
            for name, (d, k, r) in ranks.items()
        }
    )
    trained = Adapter({**trained, "h.1.untrained": Module(np.zeros((20, 2)), np.zeros((2, 20)), 2.0)})
    trained.save_peft(tmp_path)
    given = Adapter.load_peft(tmp_path)
    assert set(given.ranks.values()) == {8}
    first = first_adapter(given.shapes, 8, 2.0, 1, given)
    assert first.ranks == Adapter.initial(given.shapes, 8, 2.0, 1).ranks == {**given.ranks, "h.0.narrow": 6}
    assert algebra.distance(first, trained) < 1e-6 * algebra.norm(trained)
    for name, module in first.items():
        assert (module.B.any(axis=0) | module.A.any(axis=1)).all(), name
        assert np.linalg.matrix_rank(module.A) == module.rank, "no two rows are alike"
