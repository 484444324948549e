# SPDX-License-Identifier: Apache-2.0
"""Cross-entropy over the labels of a batch, a part of them at a time.

Logits of all labels at once would be most of the memory at a vocabulary of 150,000, forward and backward. The head is
frozen, so all that the backward pass needs of it, the gradient of the hidden states, is made while a part's logits are
there (as Liger Kernel's fused linear cross-entropy does, Hsu et al. 2024).
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from .base import BaseModel
from .batches import Batch

PART_BYTES: Final = 256 * 2**20
"""Bytes of the float32 logits of one part. Smaller parts are slower: on one core, 500 labels of a vocabulary of 32,000
took 1.0 times as long in one part, 1.5 times in parts of 4 MiB and 3.1 times in parts of 1 MiB."""


def label_losses(base: BaseModel, batch: Batch) -> Tensor:
    """Cross-entropy (nats) summed over the labels of a batch, each times its weight."""
    with base.device.autocast():
        if not base.head_apart:
            logits = base.selected_logits(batch.predicts, input_ids=batch.tokens, use_cache=False)
            return _summed(logits, batch.labels, batch.weights)
        hidden = base.selected_hidden(batch.predicts, input_ids=batch.tokens, use_cache=False)
        head = base.model.get_output_embeddings()
        rows = max(1, PART_BYTES // (4 * head.weight.shape[0]))
        if len(hidden) <= rows:
            return _summed(head(hidden).float(), batch.labels, batch.weights)
        loss: Tensor = _LossOfParts.apply(hidden, head, batch.labels, batch.weights, rows)  # type: ignore[no-untyped-call]
        return loss


def _summed(logits: Tensor, labels: Tensor, weights: Tensor | None) -> Tensor:
    if weights is None:
        return functional.cross_entropy(logits, labels, reduction="sum")
    return (functional.cross_entropy(logits, labels, reduction="none") * weights).sum()


class _LossOfParts(torch.autograd.Function):
    """Summed cross-entropy of head(hidden) against labels: hidden (n, width), labels and weights (n); `rows` at a
    time."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, head: nn.Module, labels: Tensor, weights: Tensor | None, rows: int) -> Tensor:
        wanted = ctx.needs_input_grad[0]
        total = torch.zeros((), device=hidden.device)
        gradient = torch.empty_like(hidden) if wanted else None
        for start in range(0, len(labels), rows):
            these = slice(start, start + rows)
            part = hidden[these].detach().requires_grad_(wanted)
            with torch.set_grad_enabled(wanted):
                loss = _summed(head(part).float(), labels[these], None if weights is None else weights[these])
            total += loss.detach()
            if gradient is not None:
                (gradient[these],) = torch.autograd.grad(loss, part)
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, None, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return (None if gradient is None else outer * gradient), None, None, None, None
