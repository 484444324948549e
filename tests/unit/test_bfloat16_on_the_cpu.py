# SPDX-License-Identifier: Apache-2.0
"""Large bases are held in bfloat16 on processors that have units for it; what they learn is what float32 teaches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fedmed_desktop.clinical.tasks import Entities
from fedmed_desktop.federation.plan import TrainingSettings
from fedmed_desktop.federation.work import Control
from tests.parts.families import SMALL, Family
from tests.parts.training import NOTES, TYPES, plan_of, random_adapter

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    import torch

    from fedmed_desktop.training import device
    from fedmed_desktop.training.base import BaseModel
    from fedmed_desktop.training.batches import Encoder
    from fedmed_desktop.training.checkpoints import Checkpoint
    from fedmed_desktop.training.device import ENOUGH_FOR_BFLOAT16, Device, choose_device
    from fedmed_desktop.training.generation import folded_if_small
    from fedmed_desktop.training.loading import LoadedBase
    from fedmed_desktop.training.loop import StepDone, Training

STEPS = 50
TOLERANCE = 0.01  # mean share by which a step's loss differs; 0.0034 for the bundled model, see results/notes.md


@pytest.mark.parametrize("has_units", [True, False])
def test_that_only_a_large_base_on_a_processor_with_units_for_it_is_in_bfloat16(
    has_units: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "has_bfloat16", lambda: has_units)
    large, small = (choose_device(prefer="cpu", weights=ENOUGH_FOR_BFLOAT16 - less) for less in (0, 1))
    assert (large.dtype == torch.bfloat16) == has_units
    assert small.dtype == choose_device(prefer="cpu").dtype == torch.float32
    assert choose_device("nf4", prefer="cpu", weights=10**9).dtype == torch.float32


def test_that_a_site_may_ask_for_float32(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "has_bfloat16", lambda: True)
    monkeypatch.setattr(device, "ENOUGH_FOR_BFLOAT16", 1)
    assert LoadedBase(tiny_model, threads=1).get().device.dtype == torch.bfloat16
    assert LoadedBase(tiny_model, threads=1, float32=True).get().device.dtype == torch.float32


def test_that_fifty_steps_in_bfloat16_lose_as_those_in_float32_with_factors_and_optimiser_in_float32(
    tiny_model: Path, shapes: dict[str, tuple[int, int]], tmp_path: Path
) -> None:
    start = random_adapter(shapes, 4, 1)
    settings = TrainingSettings(steps=STEPS, batch_size=4, learning_rate=0.01)
    losses = []
    for dtype in (torch.float32, torch.bfloat16):
        base = BaseModel.load(tiny_model, Device("cpu", dtype, "none", "as a test asks"), threads=1)
        base.lora.attach(start)
        examples = Encoder(base.tokenizer, [Entities(TYPES, "html")]).encode(NOTES.train, 200)
        seen: list[StepDone] = []
        checkpoint = Checkpoint(tmp_path / str(dtype), "training", "key")
        training = Training(base, examples, plan_of(start, settings), start, checkpoint)
        training.run(seen.append, Control())
        losses.append(np.array([step.loss for step in seen]))
        states = training._optimizer.state.values()
        held = [*base.lora.trained().values(), *(one for state in states for one in state.values())]
        assert {one.dtype for one in held} == {torch.float32}
        layer = base.model.get_submodule(next(iter(shapes)))
        weight = layer.base_layer.weight.data_ptr()
        with folded_if_small(base):  # bits of an adapter would be lost in a weight of bfloat16
            assert (layer.base_layer.weight.data_ptr() == weight) == (dtype == torch.bfloat16)
    assert losses[0][-1] < losses[0][0] - 0.2
    apart = np.abs(losses[1] - losses[0]) / losses[0]
    assert apart.mean() < TOLERANCE and apart.max() < 3 * TOLERANCE


@pytest.mark.filterwarnings("ignore")  # that faster kernels are not installed
def test_that_a_model_whose_logits_are_float32_in_any_case_is_loaded_in_bfloat16(tmp_path: Path) -> None:
    """Nemotron H turns them into it itself; a GPU holds every base in 16 bits."""
    own = {"layers_block_type": ["mamba", "attention"], "mamba_num_heads": 8, "mamba_head_dim": 8, "n_groups": 1}
    settings = SMALL | own | {"head_dim": 8, "ssm_state_size": 8}
    folder = Family("NemotronH", settings).folder(tmp_path)
    base = BaseModel.load(folder, Device("cpu", torch.bfloat16, "none", "as a test asks"), threads=1)
    assert base.head_apart
    tokens = torch.tensor([[3, 5, 7]])
    with base.device.autocast(), torch.no_grad():
        logits = base.model(input_ids=tokens, use_cache=False).logits
        assert torch.equal(base.selected_logits(tokens > 0, input_ids=tokens, use_cache=False), logits[0])
