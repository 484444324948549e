# SPDX-License-Identifier: Apache-2.0
"""Training where gradients pass through float16, as on a card without bfloat16; here on the CPU."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fedmed_desktop.clinical.tasks import Entities
from fedmed_desktop.federation.plan import TrainingSettings
from fedmed_desktop.federation.work import Control, Stopped
from fedmed_desktop.lora import Adapter
from tests.parts.training import NOTES, TYPES, plan_of, random_adapter

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    import torch

    from fedmed_desktop.training import loop
    from fedmed_desktop.training.base import BaseModel
    from fedmed_desktop.training.batches import Encoder, Examples
    from fedmed_desktop.training.checkpoints import Checkpoint
    from fedmed_desktop.training.device import Device, choose_device
    from fedmed_desktop.training.loop import Training

STEPS = TrainingSettings(steps=4, batch_size=2, learning_rate=0.01, checkpoint_steps=1)


def base_in(dtype: torch.dtype, folder: Path) -> BaseModel:
    return BaseModel.load(folder, Device("cpu", dtype, "none", "as a test asks"), threads=1)


@pytest.fixture
def half(tiny_model: Path) -> BaseModel:
    return base_in(torch.float16, tiny_model)


@pytest.fixture
def start(shapes: dict[str, tuple[int, int]]) -> Adapter:
    return random_adapter(shapes, 4, 1)


def examples_of(base: BaseModel) -> Examples:
    return Encoder(base.tokenizer, [Entities(TYPES, "html")]).encode(NOTES.train, 200)


def begun(base: BaseModel, start: Adapter, folder: Path) -> Training:
    base.lora.attach(start)
    return Training(base, examples_of(base), plan_of(start, STEPS), start, Checkpoint(folder, "training", "key"))


def trained(base: BaseModel, start: Adapter, folder: Path) -> tuple[Adapter, Training]:
    training = begun(base, start, folder)
    training.run(lambda step: None, Control())
    return base.lora.read(), training


def far(one: Adapter, other: Adapter) -> float:
    """Returns the distance of all B: where a gradient is nearly 0, AdamW may step one way on one processor and the
    other way on another, so that a single entry says little.
    """
    return math.hypot(*(float(np.linalg.norm(module.B - other[name].B)) for name, module in one.items()))


def test_that_it_goes_nearly_the_way_of_float32(
    half: BaseModel, tiny_model: Path, start: Adapter, tmp_path: Path
) -> None:
    expected, plain = trained(base_in(torch.float32, tiny_model), start, tmp_path / "whole")
    found, scaled = trained(half, start, tmp_path / "half")
    assert (plain.progress.loss_scale, scaled.progress.loss_scale) == (1.0, loop.LOSS_SCALE)
    assert scaled.progress.mean_loss == pytest.approx(plain.progress.mean_loss, rel=2e-3), "told without the scale"
    assert far(found, expected) < far(expected, start) / 20


def test_that_a_scale_that_is_too_large_falls_and_no_step_is_lost(
    half: BaseModel, start: Adapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, _ = trained(half, start, tmp_path / "usual")
    monkeypatch.setattr(loop, "LOSS_SCALE", 2.0**40)
    found, training = trained(half, start, tmp_path / "large")
    assert 1.0 < training.progress.loss_scale < 2.0**40
    assert training.progress.step == STEPS.steps
    assert far(found, expected) < far(expected, start) / 20


def test_that_a_resumed_round_goes_on_with_its_scale_to_the_same_bits(
    half: BaseModel, start: Adapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "LOSS_SCALE", 2.0**40)
    expected, _ = trained(half, start, tmp_path / "whole")
    control = Control()
    with pytest.raises(Stopped):
        begun(half, start, tmp_path / "cut").run(lambda done: control.stop() if done.step == 2 else None, control)
    found, training = trained(half, start, tmp_path / "cut")
    assert found == expected and training.progress.loss_scale < 2.0**40


def test_that_a_card_without_bfloat16_computes_in_float16(monkeypatch: pytest.MonkeyPatch) -> None:
    card = SimpleNamespace(
        is_available=lambda: True, get_device_name=lambda: "Old card", is_bf16_supported=lambda **options: False
    )
    monkeypatch.setattr(torch, "cuda", card)
    device = choose_device()
    assert device.dtype == torch.float16 and "in float16, since it has no bfloat16" in device.reason
