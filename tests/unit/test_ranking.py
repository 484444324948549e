# SPDX-License-Identifier: Apache-2.0
"""Likelihoods of options: what one forward pass for each would give, at a fraction of the price."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fedmed_desktop.clinical import Note
from fedmed_desktop.clinical.tasks import Asked, Questions, Summaries
from tests.parts.training import random_adapter

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    import torch

    from fedmed_desktop.training import ranking
    from fedmed_desktop.training.base import BaseModel
    from fedmed_desktop.training.batches import Encoder, Example
    from fedmed_desktop.training.evaluation import Evaluator

ASKED = Asked(Note(id="n", text="a"), "")


def example(prompt: int, *options: int, start: int = 5) -> Example:
    """With a prompt and options of so many tokens."""
    made = (tuple((7 * start + 31 * k + at) % 4000 + 2 for at in range(length)) for k, length in enumerate(options))
    return Example(ASKED, tuple(start + at for at in range(prompt)), (), tuple(made))


def several() -> list[Example]:
    return [
        example(30, 3, 1, 7, 0),
        example(12, 2, 2, start=90),
        example(25, 1, 1, 1, start=200),
        example(30, *range(1, 20), start=400),
        example(9, 4, start=600),
        example(0, 3, 1, start=700),
    ]


def plainly(base: BaseModel, one: Example) -> tuple[float, ...]:
    """By one forward pass for each option."""
    found = []
    for option in one.options:
        tokens = one.prompt + option
        known = max(1, len(one.prompt))
        if known >= len(tokens):
            found.append(float("-inf"))
            continue
        with torch.no_grad():
            logits = base.model(input_ids=torch.tensor([tokens])).logits[0].log_softmax(-1)
        chances = [float(logits[at - 1, tokens[at]]) for at in range(known, len(tokens))]
        found.append(sum(chances) / len(chances))
    return tuple(found)


@pytest.mark.parametrize("at_once", [40, 2048])
def test_that_likelihoods_are_those_of_a_pass_for_each_option(
    base: BaseModel, shapes: dict[str, tuple[int, int]], at_once: int
) -> None:
    base.lora.attach(random_adapter(shapes, 3, 0, 0.3))
    looks: list[None] = []
    found = ranking.likelihoods(base, several(), at_once, lambda: looks.append(None))
    base_found = [plainly(base, one) for one in several()]
    base.lora.detach()
    for ours, plain in zip(found, base_found, strict=True):
        assert ours == pytest.approx(plain, abs=1e-5)
    assert len(looks) > 1


def test_that_prompts_are_read_once(base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[int] = []
    whole = BaseModel.selected_logits

    def counted(self: BaseModel, selected: torch.Tensor, **inputs: torch.Tensor) -> torch.Tensor:
        computed.append(inputs["input_ids"].numel())
        return whole(self, selected, **inputs)

    monkeypatch.setattr(BaseModel, "selected_logits", counted)
    ranking.likelihoods(base, [example(80, *[10] * 50)], 2048, lambda: None)
    assert sum(computed) == 80 + 50 * 9


def test_that_a_model_with_windows_in_its_layers_is_asked_for_each_option(
    base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import DynamicCache

    expected = ranking.likelihoods(base, several(), 2048, lambda: None)
    monkeypatch.setattr(ranking, "roomy_cache", lambda config: DynamicCache(config=config))
    for ours, plain in zip(ranking.likelihoods(base, several(), 2048, lambda: None), expected, strict=True):
        assert ours == pytest.approx(plain, abs=1e-5)


def test_that_a_shortened_text_uses_nearly_all_the_room_and_is_counted(base: BaseModel) -> None:
    long = Note(
        id="n",
        text=" ".join(f"In group {n} aspirin was given." for n in range(80)),
        question="Was aspirin given?",
        options=("yes", "no"),
        answer=0,
    )
    short = long.model_copy(update={"text": "Aspirin was given."})
    examples = Encoder(base.tokenizer, [Questions()]).encode([long, short], 200, reading=True)
    assert (examples.shortened, examples.split, examples.left_out) == (1, 0, ())
    assert 170 <= len(examples.items[0]) <= 200
    scores = Evaluator(base, Encoder(base.tokenizer, [Questions()])).scores(examples, 8)
    assert scores["questions"].strict["answer"].tp + scores["questions"].strict["answer"].fn == 2


def test_that_a_summary_is_asked_for_with_room_for_an_answer(base: BaseModel, tiny_model: Path) -> None:
    from fedmed_desktop.clinical.tasks import Summaries

    visit = Note(id="v", text="Knee pain after a fall. " * 60, summary="Rest the knee. " * 6)
    encoder = Encoder(base.tokenizer, [Summaries()])
    taught, asked = encoder.encode([visit], 200), encoder.encode([visit], 200, reading=True)
    assert 160 <= len(taught.items[0]) <= 200
    assert 70 <= len(asked.items[0].prompt) <= 100
    assert (taught.shortened, asked.shortened) == (1, 1)
    scores = Evaluator(base, encoder).scores(asked, 8)
    assert set(scores["summaries"].means) == {"rouge_1", "rouge_2", "rouge_l"}


def test_that_a_thought_is_taken_off_an_answer_once(base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice, and an answer that begins with the word would be lost."""
    from fedmed_desktop.training import evaluation

    visit = Note(id="v", text="Knee pain after a fall.", summary="Rest the knee.")

    def written(base: BaseModel, requests: Sequence[object], **options: object) -> list[list[int]]:
        return [base.tokenizer.encode("<think>Knee?</think> <think> is his word for rest.") for _ in requests]

    monkeypatch.setattr(evaluation, "generate", written)
    encoder = Encoder(base.tokenizer, [Summaries()])
    asked = encoder.encode([visit], 200, reading=True)
    ((_, prediction),) = evaluation.Evaluator(base, encoder).predictions(asked, 8)
    assert prediction.text == "<think> is his word for rest."
