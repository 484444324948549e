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
    """Cross-entropy (nats) summed over the labels of a batch."""
    with base.device.autocast():
        if not base.head_apart:
            logits = base.selected_logits(batch.predicts, input_ids=batch.tokens, use_cache=False)
            return functional.cross_entropy(logits, batch.labels, reduction="sum")
        hidden = base.selected_hidden(batch.predicts, input_ids=batch.tokens, use_cache=False)
        head = base.model.get_output_embeddings()
        rows = max(1, PART_BYTES // (4 * head.weight.shape[0]))
        if len(hidden) <= rows:
            return functional.cross_entropy(head(hidden).float(), batch.labels, reduction="sum")
        loss: Tensor = _LossOfParts.apply(hidden, head, batch.labels, rows)  # type: ignore[no-untyped-call]
        return loss


class _LossOfParts(torch.autograd.Function):
    """Summed cross-entropy of head(hidden) against labels: hidden (n, width), labels (n); `rows` of them at a time."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, head: nn.Module, labels: Tensor, rows: int) -> Tensor:
        wanted = ctx.needs_input_grad[0]
        total = torch.zeros((), device=hidden.device)
        gradient = torch.empty_like(hidden) if wanted else None
        for start in range(0, len(labels), rows):
            part = hidden[start : start + rows].detach().requires_grad_(wanted)
            with torch.set_grad_enabled(wanted):
                loss = functional.cross_entropy(head(part).float(), labels[start : start + rows], reduction="sum")
            total += loss.detach()
            if gradient is not None:
                (gradient[start : start + rows],) = torch.autograd.grad(loss, part)
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return (None if gradient is None else outer * gradient), None, None, None
