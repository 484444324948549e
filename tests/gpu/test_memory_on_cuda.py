# SPDX-License-Identifier: Apache-2.0
"""A CUDA device that is too small, bounded by torch; the CPU's stand-ins: test_little_memory, test_needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fedmed_desktop.clinical.tasks import Entities
from fedmed_desktop.federation.plan import TrainingSettings
from tests.parts.cuda import MODEL, RANK, allow, base_on, far, long_examples, round_on, start_on_model
from tests.parts.training import TYPES

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    import torch

    from fedmed_desktop.training.batches import Encoder
    from fedmed_desktop.training.device import Device, Quantization, choose_device
    from fedmed_desktop.training.evaluation import Evaluator
    from fedmed_desktop.training.generation import Request, generate
    from fedmed_desktop.training.needs import Load, needs

pytestmark = pytest.mark.gpu

ROWS, TOKENS = 16, 400
SETTINGS = TrainingSettings(steps=2, batch_size=ROWS, learning_rate=1e-3, checkpoint_steps=100)


def in_float32() -> Device:
    """So that parts of a batch give the same numbers as the whole, but for the last bits."""
    return Device("cuda", torch.float32, "none", "as a test asks")


def peak_of(folder: Path, anew: bool = False) -> tuple[int, float]:
    """Bytes of a round beyond the base, and its last loss."""
    base = base_on(in_float32())
    if anew:
        base.memory.recompute()
    base.device.begin_peak()
    before = torch.cuda.memory_allocated()
    _, losses = round_on(base, long_examples(ROWS, TOKENS), folder, SETTINGS)
    return torch.cuda.max_memory_allocated() - before, losses[-1]


def test_that_a_micro_batch_is_halved_where_the_card_is_full_and_stays_so_in_the_next_round(tmp_path: Path) -> None:
    peak, _ = peak_of(tmp_path / "peak")
    base, examples = base_on(in_float32()), long_examples(ROWS, TOKENS)
    expected, _ = round_on(base, examples, tmp_path / "whole", SETTINGS)
    assert base.memory.tokens is None
    allow(0.6 * peak)
    found, _ = round_on(base, examples, tmp_path / "less", SETTINGS)
    learned = base.memory.tokens
    assert learned is not None and learned < ROWS * TOKENS and not base.memory.recomputes
    assert far(found, expected) < far(expected, start_on_model()) / 10
    round_on(base, examples, tmp_path / "again", SETTINGS)
    assert base.memory.tokens == learned, "nothing was refused again"


def test_that_layers_computed_anew_take_less_and_lead_to_the_same_loss(tmp_path: Path) -> None:
    peak, loss = peak_of(tmp_path / "kept")
    less, again = peak_of(tmp_path / "anew", anew=True)
    assert less < 0.7 * peak and again == pytest.approx(loss, rel=1e-4)


def test_that_peak_memory_is_that_of_what_came_since_its_beginning() -> None:
    device = choose_device()
    large = torch.empty(2**28, dtype=torch.uint8, device="cuda")
    del large
    assert device.peak_memory_mib() >= 256
    device.begin_peak()
    assert device.peak_memory_mib() == pytest.approx(torch.cuda.memory_allocated() / 2**20)


def test_that_losses_and_answers_are_the_same_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    base, examples = base_on(in_float32()), long_examples(64, TOKENS)
    encoder = Encoder(base.tokenizer, [Entities(TYPES, "html")])
    requests = [Request(example.answer[:300], 16) for example in examples.items]
    given_back: list[None] = []
    empty = torch.cuda.empty_cache

    def all_of_it() -> tuple[float, list[tuple[int, ...]], list[int]]:
        peaks = []
        base.device.begin_peak()
        loss = Evaluator(base, encoder).loss(examples, "answer", lambda: None)
        peaks.append(torch.cuda.max_memory_allocated() - torch.cuda.memory_allocated())
        base.device.begin_peak()
        answers = generate(base, requests, rows=64)
        peaks.append(torch.cuda.max_memory_allocated() - torch.cuda.memory_allocated())
        return loss, answers, peaks

    loss, answers, peaks = all_of_it()
    allow(0.5 * min(peaks))
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: (given_back.append(None), empty()))
    again, same, _ = all_of_it()
    assert len(given_back) >= 2, "each of the two ran out of memory"
    assert again == pytest.approx(loss, rel=1e-5) and same == answers


@pytest.mark.parametrize("quantization", ["none", "nf4"])
@pytest.mark.parametrize("anew", [False, True])
def test_that_what_training_takes_is_counted_within_15_percent(
    quantization: Quantization, anew: bool, tmp_path: Path
) -> None:
    device = choose_device(quantization)
    (counted,) = needs(MODEL, [Load(ROWS, TOKENS, anew)], RANK, device.dtype, quantization)
    before = torch.cuda.memory_allocated()
    base = base_on(device)
    if anew:
        base.memory.recompute()
    device.begin_peak()
    round_on(base, long_examples(2 * ROWS, TOKENS), tmp_path, SETTINGS)
    assert torch.cuda.max_memory_allocated() - before == pytest.approx(counted.total, rel=0.15)
