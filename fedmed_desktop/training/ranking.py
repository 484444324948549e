# SPDX-License-Identifier: Apache-2.0
"""Likelihoods of answers to choose from: the mean log-probability per token, so that long ones are not worse off."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.nn import functional

from .base import BaseModel
from .batches import Example, by_length, collate


@torch.inference_mode()
def likelihoods(
    base: BaseModel, examples: Sequence[Example], padded_tokens: int, check: Callable[[], None]
) -> list[tuple[float, ...]]:
    """For each example the mean log-probability (nats per token) of each of its options behind its prompt.

    An option without a token has minus infinity. `check` is called before each batch and may raise.
    """
    rows = [Example(e.asked, e.prompt, option) for e in examples for option in e.options]
    found = [float("-inf")] * len(rows)
    filled = [i for i, row in enumerate(rows) if row.answer]
    for group in by_length([rows[i] for i in filled], padded_tokens, 256):
        check()
        chosen = [filled[i] for i in group]
        batch = collate([rows[i] for i in chosen], "answer", base.device.torch)
        with base.device.autocast():
            logits = base.selected_logits(batch.predicts, input_ids=batch.tokens, use_cache=False)
        losses = functional.cross_entropy(logits.float(), batch.labels, reduction="none")
        # Labels come row after row, as many as the row's option has tokens.
        for i, part in zip(chosen, torch.split(losses, [len(rows[i].answer) for i in chosen]), strict=True):
            found[i] = -float(part.mean())
    told = iter(found)
    return [tuple(next(told) for _ in example.options) for example in examples]
