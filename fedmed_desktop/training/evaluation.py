# SPDX-License-Identifier: Apache-2.0
"""Evaluation of the model in the slot on a site's notes: loss per supervised token, and scores of its answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from ..clinical import AnswerForm, Note, parse_answer, score
from ..errors import UserFacingError
from ..scores import Scores
from .base import BaseModel
from .batches import Encoder, Examples, by_length, collate
from .generation import Request, answer_limit, folded_if_small, generate
from .loop import label_losses

_PADDED_TOKENS = {"cpu": 2048, "cuda": 65536}
_ROWS = {"cpu": 64, "cuda": 128}


@dataclass(frozen=True)
class Evaluation:
    """`loss` is in nats per supervised token; `scores` are empty where none are asked for."""

    loss: float
    scores: Scores


class Evaluator:
    """Evaluates whatever is in the base's slot. `check` may raise Stopped; it is called per batch and per token."""

    def __init__(self, base: BaseModel, encoder: Encoder, types: Sequence[str], form: AnswerForm) -> None:
        self._base, self._encoder = base, encoder
        self._types, self._form = types, form

    @torch.inference_mode()
    def loss(self, examples: Examples, loss_on: Literal["answer", "all"], check: Callable[[], None]) -> float:
        """Mean over all supervised tokens."""
        total, labels = 0.0, 0
        kind = self._base.device.name
        for group in by_length(examples.items, _PADDED_TOKENS[kind], _ROWS[kind]):
            check()
            batch = collate([examples.items[i] for i in group], loss_on, self._base.device.torch)
            total += float(label_losses(self._base, batch))
            labels += len(batch.labels)
        return total / labels if labels else 0.0

    def loss_of(
        self, notes: Sequence[Note], max_tokens: int, loss_on: Literal["answer", "all"], check: Callable[[], None]
    ) -> float:
        """Mean over all supervised tokens of shared notes. Raises UserFacingError if none fits."""
        examples = self._encoder.encode(notes, max_tokens)
        if not examples.items:
            raise UserFacingError("training.no_notes", split="shared")
        return self.loss(examples, loss_on, check)

    def scores(
        self,
        examples: Examples,
        max_new_tokens: int,
        progress: Callable[[int], None] = lambda done: None,
        check: Callable[[], None] = lambda: None,
    ) -> Scores:
        """Pooled counts over the examples' notes, of the asked types; what did not fit counts as missed."""
        base = self._base
        lengths = [self._encoder.length(e.note.text) for e in examples.items]
        requests = [
            Request(e.prompt, answer_limit(base, length, len(e.prompt), max_new_tokens))
            for e, length in zip(examples.items, lengths, strict=True)
        ]
        with folded_if_small(base):
            answers = generate(base, requests, rows=_ROWS[base.device.name], progress=progress, check=check)
        pooled = Scores()
        for note in examples.left_out:
            pooled += score([e.span for e in note.entities], [], self._types)
        for example, tokens in zip(examples.items, answers, strict=True):
            answer = self._base.tokenizer.decode(tokens, skip_special_tokens=True)
            found = parse_answer(answer, example.note.text, self._types, self._form)
            pooled += score([e.span for e in example.note.entities], found, self._types)
        return pooled
