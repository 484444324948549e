# SPDX-License-Identifier: Apache-2.0
"""Number formats of a CUDA device beside float32 on the CPU; the CPU's stand-ins: test_float16, test_families."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fedmed_desktop.federation.plan import TrainingSettings
from tests.parts.cuda import base_on, far, long_examples, round_on, start_on_model

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    import torch

    from fedmed_desktop.training import loop
    from fedmed_desktop.training.batches import collate
    from fedmed_desktop.training.device import Device, choose_device

pytestmark = pytest.mark.gpu

SETTINGS = TrainingSettings(steps=6, batch_size=2, learning_rate=1e-3, checkpoint_steps=100)


def test_that_losses_and_adapter_in_float32_are_those_of_the_cpu(tmp_path: Path) -> None:
    examples = long_examples(8, 60)
    expected, losses = round_on(base_on(choose_device(prefer="cpu")), examples, tmp_path / "cpu", SETTINGS)
    card = base_on(Device("cuda", torch.float32, "none", "as a test asks"))
    found, on_card = round_on(card, examples, tmp_path / "card", SETTINGS)
    assert on_card == pytest.approx(losses, abs=1e-3)
    assert far(found, expected) < far(expected, start_on_model()) / 4


def test_that_products_run_in_the_cards_format_and_factors_stay_float32() -> None:
    device = choose_device()
    half = torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    assert device.dtype == half
    base = base_on(device)
    base.lora.attach(start_on_model())
    assert {p.dtype for p in base.lora.parameters().values()} == {torch.float32}
    seen = set[torch.dtype]()
    layer = next(module for name, module in base.model.named_modules() if name.endswith("q_proj"))
    layer.register_forward_hook(lambda module, inputs, output: seen.add(output.dtype))
    tokens = torch.arange(5, 13, device="cuda")[None]
    with device.autocast():
        logits = base.selected_logits(tokens > 0, input_ids=tokens, use_cache=False)
    assert seen == {half} and logits.dtype == torch.float32


def test_that_scaled_losses_in_float16_go_nearly_the_way_of_float32(tmp_path: Path) -> None:
    examples = long_examples(8, 60)
    expected, losses = round_on(base_on(choose_device(prefer="cpu")), examples, tmp_path / "cpu", SETTINGS)
    card = base_on(Device("cuda", torch.float16, "none", "as a test asks"))
    found, on_card = round_on(card, examples, tmp_path / "card", SETTINGS)
    assert on_card == pytest.approx(losses, rel=2e-2), "told without the scale"
    assert far(found, expected) < far(expected, start_on_model()) / 2


def test_that_a_scale_that_is_too_large_falls_on_the_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = base_on(Device("cuda", torch.float16, "none", "as a test asks"))
    examples = long_examples(8, 60)
    expected, _ = round_on(card, examples, tmp_path / "usual", SETTINGS)
    monkeypatch.setattr(loop, "LOSS_SCALE", 2.0**40)
    found, losses = round_on(card, examples, tmp_path / "large", SETTINGS)
    assert len(losses) == SETTINGS.steps
    assert far(found, expected) < far(expected, start_on_model()) / 2


def test_that_a_base_in_4_bits_is_doubly_quantised_and_does_not_change_in_training(tmp_path: Path) -> None:
    device = choose_device("nf4")
    base = base_on(device)
    layers = [module for module in base.model.modules() if type(module).__name__ == "Linear4bit"]
    assert layers
    for layer in layers:
        assert layer.weight.is_cuda and layer.weight.quant_state.nested
        assert (layer.weight.quant_type, layer.compute_dtype) == ("nf4", device.dtype)
    before = [layer.weight.detach().clone() for layer in layers]
    _, losses = round_on(base, long_examples(2, 60), tmp_path, SETTINGS)
    assert losses[-1] < losses[0], "of the same two examples in each step"
    assert all(torch.equal(layer.weight, kept) for layer, kept in zip(layers, before, strict=True))


def test_that_a_batch_is_the_same_on_the_card(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned = list[bool]()
    whole = torch.Tensor.to

    def watched(self: torch.Tensor, *args: object, **options: object) -> torch.Tensor:
        pinned.append(self.is_pinned())
        return whole(self, *args, **options)  # type: ignore[call-overload,no-any-return]

    batch = collate(long_examples(3, 40).items, "answer", torch.device("cpu"))
    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "to", watched)
        there = batch.on(torch.device("cuda"))
    assert pinned and all(pinned)
    for name in ("tokens", "predicts", "labels"):
        assert getattr(there, name).is_cuda and torch.equal(getattr(there, name).cpu(), getattr(batch, name))
