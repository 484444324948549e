# SPDX-License-Identifier: Apache-2.0
"""Federations that begin with an adapter of an earlier one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fedmed_desktop.cli import main
from fedmed_desktop.coordinator.founding import found_federation
from fedmed_desktop.federation.spec import load_spec
from fedmed_desktop.lora import Adapter, Module, algebra
from fedmed_desktop.lora.base_model import linears_in_files
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
    with told_as("rank 4, and the federation at most 2. Give --rank 4"):
        found_federation(
            tiny_model, {"rank": 2, "alpha": 4}, 0, begin_with=given, name="n", types=("drug",), training={"epochs": 1}
        )
    with told_as(f"{name} is in only one"):
        found_federation(
            tiny_model, {"rank": 4, "alpha": 4}, 0, begin_with=fewer, name="n", types=("drug",), training={"epochs": 1}
        )
