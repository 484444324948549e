# SPDX-License-Identifier: Apache-2.0
"""Evaluation of the model in the slot on a site's notes: loss per supervised token, and scores of its answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch

from ..bounds import LARGEST_SCALAR
from ..clinical import Note
from ..clinical.answers import without_reasoning
from ..clinical.tasks import Answer, Prediction
from ..errors import UserFacingError
from ..federation.plan import TrainingSettings
from ..scores import Scores
from .base import BaseModel
from .batches import Encoder, Example, Examples, Source, by_length, collate
from .generation import Request, answer_limit, folded_if_small, generate
from .label_loss import label_losses
from .memory import in_parts
from .ranking import likelihoods
from .remembered import evaluation_key

_PADDED_TOKENS = {"cpu": 2048, "cuda": 65536}
_ROWS = {"cpu": 64, "cuda": 128}
# The share of a batch that may be padding. A core gains nothing from more rows, a card does (measured on the bundled
# notes: 5 to 20 % alike, none or 30 % a tenth slower).
_PADDING = {"cpu": 0.15, "cuda": 1.0}


@dataclass(frozen=True)
class Evaluation:
    """`loss` is in nats per supervised token; `scores` are empty where none are asked for."""

    loss: float
    scores: Scores


def reportable(loss: float, moment: str) -> float:
    """The loss, where a report can hold it; else UserFacingError."""
    if not loss <= LARGEST_SCALAR:
        raise UserFacingError("training.no_loss", moment=moment)
    return loss


def no_notes(split: str) -> UserFacingError:
    """The error of a split of which nothing is left to work with."""
    return UserFacingError("training.no_notes", split="training" if split == "train" else split)


class Evaluator:
    """Evaluates whatever is in the base's slot. `check` may raise Stopped; it is called per batch and per token."""

    def __init__(self, base: BaseModel, encoder: Encoder) -> None:
        self._base, self._encoder = base, encoder

    def evaluate(
        self,
        examples: Examples,
        questions: Examples | None,
        settings: TrainingSettings,
        moment: str,
        progress: Callable[[int], None] = lambda done: None,
        check: Callable[[], None] = lambda: None,
    ) -> Evaluation:
        """Loss on the examples, and scores of the answers to `questions` where there are any.

        Where the base remembers evaluations, the same one is not made twice. Raises UserFacingError where the loss is
        no number that a report can hold; `moment` says when.
        """

        def made() -> Evaluation:
            loss = reportable(self.loss(examples, settings.loss_on, check), moment)
            if questions is None:
                return Evaluation(loss, Scores())
            return Evaluation(loss, self.scores(questions, settings.max_new_tokens, progress, check))

        check()
        if self._base.remembered is None:
            return made()
        return self._base.remembered.get(evaluation_key(self._base.lora, examples, questions, settings), made)

    def loss(self, examples: Examples, loss_on: Literal["answer", "all"], check: Callable[[], None]) -> float:
        """Mean over all supervised tokens, by the adapters folded into the base where that is near enough."""
        total, labels = 0.0, 0
        kind = self._base.device.name
        with folded_if_small(self._base):
            for group in by_length(examples.items, _PADDED_TOKENS[kind], _ROWS[kind], _PADDING[kind]):
                check()
                for loss, count in in_parts(kind, [examples.items[i] for i in group], partial(self._loss, loss_on)):
                    total, labels = total + loss, labels + count
        return total / labels if labels else 0.0

    @torch.inference_mode()
    def _loss(self, loss_on: Literal["answer", "all"], examples: list[Example]) -> tuple[float, int]:
        """The summed loss of these examples, and their labels."""
        batch = collate(examples, loss_on, self._base.device.torch)
        return float(label_losses(self._base, batch)), len(batch.labels)

    def loss_of(
        self, notes: Sequence[Note], max_tokens: int, loss_on: Literal["answer", "all"], check: Callable[[], None]
    ) -> float:
        """Mean over all supervised tokens of shared notes. Raises UserFacingError if none fits."""
        examples = self._encoder.encode(notes, self._base.room(max_tokens))
        if not examples.items:
            raise UserFacingError("training.no_notes", split="shared")
        return self.loss(examples, loss_on, check)

    def scores(
        self,
        questions: Examples,
        max_new_tokens: int,
        progress: Callable[[int], None] = lambda done: None,
        check: Callable[[], None] = lambda: None,
    ) -> Scores:
        """Pooled counts over the notes of `questions` (encoded for reading); what did not fit counts as missed."""
        scores = Scores()
        for source, prediction in self.predictions(questions, max_new_tokens, progress, check):
            scores += Scores(tasks={source.task.name: source.task.score(source.note, prediction)})
        return scores

    def predictions(
        self,
        questions: Examples,
        max_new_tokens: int,
        progress: Callable[[int], None] = lambda done: None,
        check: Callable[[], None] = lambda: None,
    ) -> Iterator[tuple[Source, Prediction]]:
        """Predictions of each note, task by task, in the order of `questions`."""
        answers = self.answers(questions, max_new_tokens, progress, check)
        for source in questions.sources:
            asked = [item.asked for item in questions.items[source.start : source.stop]]
            yield source, source.task.predict(source.note, asked, answers[source.start : source.stop])

    def answers(
        self,
        questions: Examples,
        max_new_tokens: int,
        progress: Callable[[int], None] = lambda done: None,
        check: Callable[[], None] = lambda: None,
    ) -> list[Answer]:
        """Generated answers, or likelihoods where there are options; in the order of the items."""
        base, items = self._base, questions.items
        written = [i for i, item in enumerate(items) if not item.asked.options]
        ranked = [i for i, item in enumerate(items) if item.asked.options]
        lengths = [self._encoder.length(items[i].asked.note.text) for i in written]
        requests = [
            Request(items[i].prompt, answer_limit(base, length, len(items[i].prompt), max_new_tokens))
            for i, length in zip(written, lengths, strict=True)
        ]
        answers: list[Answer] = [""] * len(items)
        with folded_if_small(base):
            tokens = generate(base, requests, rows=_ROWS[base.device.name], progress=progress, check=check)
            chosen = likelihoods(base, [items[i] for i in ranked], _PADDED_TOKENS[base.device.name], check)
        for i, answer in zip(written, tokens, strict=True):
            written_out = str(base.tokenizer.decode(answer, skip_special_tokens=True))
            answers[i] = without_reasoning(written_out, items[i].asked.note.text)
        for done, (i, options) in enumerate(zip(ranked, chosen, strict=True), start=len(written) + 1):
            answers[i] = options
            progress(done)
        return answers
