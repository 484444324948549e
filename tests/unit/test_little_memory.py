# SPDX-License-Identifier: Apache-2.0
"""The same results where memory is too small for all at once. A GPU that is full is played by a model that refuses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fedmed_desktop.clinical.tasks import Entities
from fedmed_desktop.federation.plan import TrainingSettings
from fedmed_desktop.federation.work import Control
from fedmed_desktop.lora import Adapter
from tests.parts.told import told_as
from tests.parts.training import NOTES, TYPES, plan_of, random_adapter

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    import torch

    from fedmed_desktop.training import label_loss
    from fedmed_desktop.training.base import BaseModel
    from fedmed_desktop.training.batches import Encoder, Examples, collate
    from fedmed_desktop.training.checkpoints import Checkpoint
    from fedmed_desktop.training.device import choose_device
    from fedmed_desktop.training.evaluation import Evaluator
    from fedmed_desktop.training.generation import Request, generate
    from fedmed_desktop.training.loop import Training
    from fedmed_desktop.training.ranking import likelihoods

STEPS = TrainingSettings(steps=3, batch_size=4, micro_batch_size=4, learning_rate=0.01)


@pytest.fixture
def own(tiny_model: Path) -> BaseModel:
    """A base for one test: what it learns of its memory stays with it."""
    return BaseModel.load(tiny_model, choose_device(prefer="cpu"), threads=1)


@pytest.fixture
def examples(own: BaseModel) -> Examples:
    return Encoder(own.tokenizer, [Entities(TYPES, "html")]).encode(NOTES.train, 200)


@pytest.fixture
def start(shapes: dict[str, tuple[int, int]]) -> Adapter:
    return random_adapter(shapes, 4, 1)


class Card:
    """A GPU's memory in padded tokens of one pass; `kept` tokens where layers are computed anew."""

    def __init__(self, base: BaseModel, tokens: int, kept: int | None = None) -> None:
        self.base, self.tokens, self.kept = base, tokens, kept or tokens
        self.refused = 0

    def look(self, computed: int) -> None:
        room = self.kept if self.base.memory.recomputes else self.tokens
        if computed > room:
            self.refused += 1
            raise torch.OutOfMemoryError("played by a test")


@pytest.fixture
def full(own: BaseModel, monkeypatch: pytest.MonkeyPatch) -> Iterator[Card]:
    card = Card(own, 10**9)
    for name in ("selected_hidden", "selected_logits"):
        whole = getattr(BaseModel, name)

        def watched(self: BaseModel, selected: torch.Tensor, whole: Any = whole, **inputs: Any) -> torch.Tensor:
            card.look(inputs["input_ids"].numel())
            found: torch.Tensor = whole(self, selected, **inputs)
            return found

        monkeypatch.setattr(BaseModel, name, watched)
    yield card


def trained(base: BaseModel, examples: Examples, start: Adapter, folder: Path) -> Adapter:
    base.lora.attach(start)
    training = Training(base, examples, plan_of(start, STEPS), start, Checkpoint(folder, "training", "key"))
    training.run(lambda done: None, Control())
    return base.lora.read()


def alike(one: Adapter, other: Adapter) -> None:
    for name, module in one.items():
        assert pytest.approx(other[name].A, abs=1e-5) == module.A
        assert pytest.approx(other[name].B, abs=1e-5) == module.B


def test_that_a_micro_batch_is_halved_until_it_fits_and_stays_so_in_the_next_round(
    own: BaseModel, examples: Examples, start: Adapter, full: Card, tmp_path: Path
) -> None:
    expected = trained(own, examples, start, tmp_path / "whole")
    longest = max(map(len, examples.items))
    full.tokens = 2 * longest
    alike(trained(own, examples, start, tmp_path / "less"), expected)
    assert full.refused > 0 and not own.memory.recomputes
    full.refused = 0
    alike(trained(own, examples, start, tmp_path / "again"), expected)
    assert full.refused == 0, "what was learned of the memory is kept"


def test_that_layers_are_computed_anew_where_one_row_is_too_much_and_then_nothing_is_left_to_try(
    own: BaseModel, examples: Examples, start: Adapter, full: Card, tmp_path: Path
) -> None:
    expected = trained(own, examples, start, tmp_path / "whole")
    longest = max(map(len, examples.items))
    full.tokens, full.kept = longest // 4, 3 * longest
    alike(trained(own, examples, start, tmp_path / "less"), expected)
    assert own.memory.recomputes
    own.memory.tokens, full.kept = None, 1
    with told_as("memory"):
        trained(own, examples, start, tmp_path / "none")


def test_that_what_is_computed_anew_is_not_kept_and_gives_the_same_gradients(
    own: BaseModel, examples: Examples, start: Adapter
) -> None:
    def gradients() -> tuple[int, dict[str, torch.Tensor]]:
        kept: dict[int, int] = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        own.lora.attach(start)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            batch = collate(examples.items[:4], "all", torch.device("cpu"))
            hidden = own.selected_hidden(batch.predicts, input_ids=batch.tokens, use_cache=False)
        weights = {parameter.untyped_storage().data_ptr() for parameter in own.model.parameters()}
        hidden.square().sum().backward()  # type: ignore[no-untyped-call]
        found = {name: parameter.grad.clone() for name, parameter in own.lora.parameters().items()}  # type: ignore[union-attr]
        for parameter in own.lora.parameters().values():
            parameter.grad = None
        return sum(size for place, size in kept.items() if place not in weights), found

    before, expected = gradients()
    own.memory.ran_out(1, 100)
    after, found = gradients()
    assert after < before / 2
    assert all(torch.equal(gradient, expected[name]) for name, gradient in found.items())
    assert not any(layer.training for layer in own.model.base_model.layers), "nothing is dropped out"


def test_that_a_model_whose_layers_are_computed_anew_still_answers_as_before(
    own: BaseModel, examples: Examples, start: Adapter
) -> None:
    own.lora.attach(start)
    requests = [Request(example.prompt, 8) for example in examples.items[:3]]
    optional = [replace(example, options=((5, 6, 7), (8,))) for example in examples.items[:3]]

    def answers() -> tuple[list[tuple[int, ...]], list[tuple[float, ...]]]:
        return generate(own, requests), likelihoods(own, optional, 2048, lambda: None)

    before = answers()
    own.memory.ran_out(1, 100)
    assert own.memory.recomputes
    assert answers() == before


@pytest.mark.parametrize("grad", [True, False])
def test_that_the_loss_in_parts_is_the_loss_of_all_labels(
    own: BaseModel, examples: Examples, start: Adapter, grad: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    own.lora.attach(start)
    batch = collate(examples.items[:4], "answer", torch.device("cpu"))
    found = {}
    for bytes_ in (2**30, 7 * 4 * own.model.config.vocab_size):
        monkeypatch.setattr(label_loss, "PART_BYTES", bytes_)
        with torch.set_grad_enabled(grad):
            loss = label_loss.label_losses(own, batch)
        gradient = torch.zeros(1)
        if grad:
            (loss / 3).backward()  # type: ignore[no-untyped-call]
            gradient = torch.cat([parameter.grad.flatten() for parameter in own.lora.parameters().values()])  # type: ignore[union-attr]
            for parameter in own.lora.parameters().values():
                parameter.grad = None
        found[bytes_] = loss.item(), gradient
    (whole, expected), (parts, gradient) = found.values()
    assert len(batch.labels) > 7 * 3
    assert parts == pytest.approx(whole, rel=1e-6)
    assert torch.allclose(gradient, expected, atol=1e-6) and (not grad or gradient.abs().max() > 1e-4)


def test_that_losses_answers_and_likelihoods_are_the_same_in_parts(
    own: BaseModel, examples: Examples, full: Card
) -> None:
    encoder = Encoder(own.tokenizer, [Entities(TYPES, "html")])
    requests = [Request(example.prompt, 8) for example in examples.items[:6]]
    optional = [replace(example, options=((5, 6, 7), (8,), (9, 10))) for example in examples.items[:6]]

    def all_of_it() -> tuple[float, list[tuple[int, ...]], list[tuple[float, ...]]]:
        loss = Evaluator(own, encoder).loss(examples, "answer", lambda: None)
        return loss, generate(own, requests), likelihoods(own, optional, 2048, lambda: None)

    loss, answers, likely = all_of_it()
    full.tokens = max(max(map(len, examples.items)), 90) + 1
    again = all_of_it()
    assert full.refused > 3
    assert again[0] == pytest.approx(loss, rel=1e-5) and again[1] == answers
    for ours, plain in zip(again[2], likely, strict=True):
        assert ours == pytest.approx(plain, abs=1e-5)
    full.tokens = 5
    with told_as("memory"):
        Evaluator(own, encoder).loss(examples, "answer", lambda: None)
    with told_as("memory"):
        generate(own, requests)
