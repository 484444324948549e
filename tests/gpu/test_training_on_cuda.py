# SPDX-License-Identifier: Apache-2.0
"""A round on a CUDA device: bfloat16, and a base held in 4 bits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fedmed_desktop.clinical import SiteNotes, apply_types, read_notes_folder, read_types_map
from fedmed_desktop.federation.plan import Plan, TrainingSettings
from fedmed_desktop.federation.work import Control, Given
from fedmed_desktop.lora import Adapter
from fedmed_desktop.lora.base_model import decoder_linears
from fedmed_desktop.resources import resource

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    import torch

    from fedmed_desktop.training.base import BaseModel
    from fedmed_desktop.training.device import Quantization, choose_device
    from fedmed_desktop.training.trainer import SiteTrainer


pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_that_a_round_on_cuda_lowers_the_loss(quantization: Quantization, tmp_path: Path) -> None:
    device = choose_device(quantization)
    assert (device.name, device.dtype) == ("cuda", torch.bfloat16)
    model, folder = resource("demo_model"), resource("demo_notes") / "Riverside"
    types_map = read_types_map(folder / "types.toml")
    types = sorted(set(types_map.values()))
    notes = read_notes_folder(folder)
    train, _ = apply_types(notes.train[:200], types, types_map)
    validation, _ = apply_types(notes.validation[:20], types, types_map)
    base = BaseModel.load(model, device)
    start = Adapter.initial(decoder_linears(model), rank=16, scale=2.0, seed=0)
    settings = TrainingSettings(steps=20, batch_size=8, learning_rate=2e-3, max_new_tokens=128)
    plan = Plan(round=1, start=start.sha256, rank=16, training=settings, seed=0)
    trainer = SiteTrainer(base, "Riverside", SiteNotes(train, validation, None), types)
    report = trainer.train_round(plan, Given(start), tmp_path, lambda event: None, Control()).update.report
    assert report.loss_before is not None and report.loss_after is not None
    assert report.loss_after < report.loss_before / 2
