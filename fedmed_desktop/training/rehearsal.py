# SPDX-License-Identifier: Apache-2.0
"""A base model's one step without numbers: which of its layers learn from a text, and whether it can read and answer.

A name and a shape do not say what a layer is for. One that sees, or that reads an encoder which is not there, is
linear too; no text passes it, and it would be in every update without ever learning. Some chosen between have no
gradient. Others cannot carry an adapter, as their program looks for the layer's own weights. So the model is run once
in torch's fake mode, which takes no memory for its weights.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from inspect import signature
from pathlib import Path
from typing import Any, Final

import torch
from peft import LoraConfig
from peft.tuners.lora import LoraModel
from torch import nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
    UnsupportedOperatorException,
)

from ..errors import UserFacingError
from .cache import as_argument, roomy_cache
from .library import UNREADABLE

_ROWS: Final = 2
_TOKENS: Final = 8
# Where numbers decide how many numbers follow, as in some mixtures of experts: nothing can be told.
_NUMBERS_ASKED: Final = (
    DataDependentOutputException,
    DynamicOutputShapeException,
    UnsupportedOperatorException,
    NotImplementedError,
)

# What does not run is told in our words; torch would print it too, with all of its calls.
logging.getLogger("torch._subclasses.fake_tensor").setLevel(logging.CRITICAL)


def learning(folder: Path, model: Any, linears: Collection[str]) -> frozenset[str]:
    """The names of those layers that a text teaches; all where the model runs with numbers alone.

    `model` is on the meta device, and spent afterwards. Raises UserFacingError where a site could not train on it, or
    not score with it.
    """
    try:
        model.eval().requires_grad_(False)
        with_factors(model, linears, 1)
        with FakeTensorMode():
            fake(model)
            _answer(model)
            taught = _taught(model, linears)
    except _NUMBERS_ASKED:
        return frozenset(linears)
    except UNREADABLE as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserFacingError("model.not_run", path=str(folder), reason=reason[:200]) from error
    if len(taught) < len(linears) and any(name.startswith("encoder_") for name in signature(model.forward).parameters):
        raise UserFacingError("model.encoder_decoder", path=str(folder), kind=model.config.model_type)
    if not taught:
        raise UserFacingError("model.no_linears", path=str(folder))
    return frozenset(taught)


def with_factors(model: nn.Module, linears: Collection[str], rank: int) -> None:
    """Puts an adapter's factors on the layers of a model that is on the meta device."""
    config = LoraConfig(r=rank, lora_alpha=rank, target_modules=list(linears), init_lora_weights=False)
    with torch.device("meta"):  # factors take no random numbers, which are other threads' too
        LoraModel(model, config, "default")


def fake(model: nn.Module) -> None:
    """Puts tensors without numbers in place of those of the meta device, on which attention keeps other things."""
    made: dict[int, nn.Parameter] = {}
    for module in model.modules():
        for name, old in module._parameters.items():
            if old is not None:
                dtype = torch.float32 if old.requires_grad else old.dtype
                new = made.setdefault(id(old), nn.Parameter(torch.empty(old.shape, dtype=dtype), old.requires_grad))
                made[id(new)] = new
                module._parameters[name] = new
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype)


@torch.no_grad()
def _answer(model: Any) -> None:
    """Reads a prompt and goes on with one token, as scoring does."""
    cache, read = roomy_cache(model.config), 0
    for length in (_TOKENS, 1):
        positions = torch.arange(read, read + length).repeat(_ROWS, 1)
        read += length
        model(
            input_ids=torch.zeros((_ROWS, length), dtype=torch.long), position_ids=positions, use_cache=True,
            attention_mask=torch.ones((_ROWS, read), dtype=torch.long), **as_argument(cache, model),
        )  # fmt: skip


def _taught(model: Any, linears: Collection[str]) -> set[str]:
    logits = model(input_ids=torch.zeros((_ROWS, _TOKENS), dtype=torch.long), use_cache=False).logits
    layers = dict(model.named_modules())
    # PEFT leaves some out by itself: those that have the names of experts in models of the same kind.
    factors = {name: layers[name].lora_B["default"].weight for name in linears if hasattr(layers[name], "lora_B")}
    if not logits.requires_grad:
        return set()
    gradients = torch.autograd.grad(logits.sum(), list(factors.values()), allow_unused=True)
    return {name for name, gradient in zip(factors, gradients, strict=True) if gradient is not None}
