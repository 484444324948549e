# SPDX-License-Identifier: Apache-2.0
"""Going on with less at once where a GPU's memory is too small, and remembering it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from ..errors import UserFacingError

Item = TypeVar("Item")
Found = TypeVar("Found")


@dataclass
class TrainingMemory:
    """Limits of training on a base, learned where memory ran out, for all rounds: a micro-batch has `tokens` at most,
    padding included."""

    model: nn.Module
    device: str
    tokens: int | None = None
    recomputes: bool = False

    def rows(self, wanted: int, longest: int) -> int:
        """Rows of a micro-batch whose longest has so many tokens; at least one."""
        return wanted if self.tokens is None else max(1, min(wanted, self.tokens // longest))

    def recompute(self) -> None:
        """Computes layers anew from now on, as another process that trains on the same base has begun to."""
        if not self.recomputes:
            self.recomputes = recompute(self.model) > 0

    def ran_out(self, rows: int, longest: int) -> None:
        """Halves the micro-batch; a single row is tried again with layers computed anew in the backward pass, which
        keeps far less and takes about a third longer.

        To be called outside the `except` block: the error's frames hold the tensors. Raises UserFacingError where
        nothing is left to try.
        """
        if rows > 1:
            self.tokens = rows // 2 * longest
        elif not self.recomputes and recompute(self.model):
            self.recomputes, self.tokens = True, None
        else:
            raise UserFacingError("training.out_of_memory", device=self.device)
        torch.cuda.empty_cache()


def recompute(model: nn.Module) -> int:
    """Makes the layers keep their inputs alone for the backward pass; their number, 0 if the model's layers cannot.

    The library's own switch wants layers in training mode. There they drop out some values, and forget what they have
    read of a prompt, so that a model which has once learned so could not answer any more.
    """
    layers = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
    for layer in layers:
        layer.forward = partial(_anew, layer.forward)
    return len(layers)


def _anew(forward: Callable[..., Any], *args: Any, **inputs: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*args, **inputs)
    return checkpoint(forward, *args, use_reentrant=False, **inputs)


def in_parts(device: str, items: list[Item], run: Callable[[list[Item]], Found]) -> Iterator[Found]:
    """Results of `run` on all items, or on parts of them, in order, where memory is too small for all at once.

    Raises UserFacingError where it is too small for a single one.
    """
    waiting = [items]
    while waiting:
        part = waiting.pop()
        try:
            found = run(part)
        except torch.OutOfMemoryError:
            pass  # what follows is outside, since the error's frames hold the tensors
        else:
            yield found
            continue
        waiting += halved(device, part)[::-1]


def halved(device: str, items: list[Item]) -> list[list[Item]]:
    """Two halves of what did not fit. Raises UserFacingError where it was a single one."""
    if len(items) == 1:
        raise UserFacingError("training.out_of_memory", device=device)
    torch.cuda.empty_cache()
    half = len(items) // 2
    return [items[:half], items[half:]]
