# SPDX-License-Identifier: Apache-2.0
"""Memory that training will take on a base model, before anything of it is loaded.

The model is built without numbers and run once in torch's fake mode, which takes seconds at any size: what autograd
keeps for the backward pass is then counted rather than guessed. Any thread may count while another trains: nothing is
changed that both would see.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from ..errors import UserFacingError
from ..lora.base_model import leaves_experts, weight_count
from .device import Device, Quantization, choose_device, gpu_memory
from .label_loss import PART_BYTES
from .library import UNREADABLE
from .loop import CPU_MICRO_TOKENS
from .memory import recompute
from .outline import outlined
from .rehearsal import fake, with_factors

# A weight of NF4: half a byte, its block's scale in 8 bits for 64 weights, and that of 256 scales (QLoRA, section 3).
_NF4_BYTES: Final = 0.5 + 1 / 64 + 4 / (64 * 256)
# Of a factor's number: itself, its gradient, and AdamW's two moments, all float32.
_FACTOR_BYTES: Final = 16
# Logits of a label in float32, their log-softmax, and its gradient.
_LOGITS: Final = 3 * 4
_GAPS: Final = 1.1
# A training as small as makes sense, where nothing is known of a federation yet (inferred).
_TOKENS, _RANK = 512, 16
_BESIDE: Final = {"cpu": 10**9, "cuda": 6 * 10**8}


@dataclass(frozen=True)
class Needs:
    """Bytes, on the device that trains. `kept`: of a micro-batch, for its backward pass; `passing`: the most beside."""

    weights: int
    factors: int
    kept: int
    passing: int

    @property
    def total(self) -> int:
        return self.weights + self.factors + self.kept + self.passing


@dataclass(frozen=True)
class Load:
    """A micro-batch of `rows` examples of `tokens` each, all of them labels at worst. `anew`: see memory.recompute."""

    rows: int
    tokens: int
    anew: bool = False


def needs(
    folder: Path, loads: Sequence[Load], rank: int, dtype: torch.dtype, quantization: Quantization = "none"
) -> list[Needs]:
    """Memory of one training step for each load. Raises UserFacingError where the model cannot be adapted or read.

    Not counted: what the driver and the program take, and gaps between blocks of memory.
    """
    model, linears = outlined(folder)
    model.to(dtype).eval().requires_grad_(False)
    vocabulary = model.get_output_embeddings().weight.shape[0]
    weights = round(sum(_bytes(name, weight, linears, quantization) for name, weight in model.named_parameters()))
    with_factors(model, linears, rank)
    factors = _FACTOR_BYTES * sum(p.numel() for p in model.parameters() if p.requires_grad)
    kept = [_kept(model, load, dtype) for load in loads]
    layers = recompute(model) if any(load.anew for load in loads) else 0
    found = []
    for load, whole in zip(loads, kept, strict=True):
        logits = min(_LOGITS * load.rows * load.tokens * vocabulary, 3 * PART_BYTES)
        if load.anew and layers:  # when the logits are gone, one layer at a time has all of it again
            found.append(Needs(weights, factors, _kept(model, load, dtype), max(logits, whole // layers)))
        else:
            found.append(Needs(weights, factors, whole, logits))
    return found


def counted(
    folder: Path, batch: int, tokens: int, rank: int, quantization: Quantization = "none"
) -> tuple[int, int] | None:
    """`takes` on the device that training would choose; None where the model cannot be adapted, of which others tell,
    or where torch runs a layer of it with numbers alone, as it does experts.

    Raises UserFacingError if NF4 is wanted and its library missing.
    """
    choose_device(quantization)
    try:
        device = choose_device(quantization, weights=weight_count(folder))
        return None if leaves_experts(folder) else takes(folder, device, batch, tokens, rank)
    except (UserFacingError, *UNREADABLE):  # whatever a model's own layers raise
        return None


def is_too_large(folder: Path, quantization: Quantization | None) -> bool:
    """True where a GPU is there and, counted, cannot hold the base while it learns a single note."""
    card = gpu_memory()
    if card is None or quantization == "nf4":
        return False
    taken = counted(folder, 1, _TOKENS, _RANK)
    return taken is not None and taken[1] > card[1]


def takes(folder: Path, device: Device, batch: int, tokens: int, rank: int) -> tuple[int, int]:
    """Bytes that training takes on the device: with what it would compute at once, and at least.

    Beside what is counted stands what the program or the GPU's driver takes, and a tenth for gaps (both inferred).
    """
    rows = max(1, CPU_MICRO_TOKENS // tokens) if device.name == "cpu" else batch
    loads = Load(min(rows, batch), tokens), Load(1, tokens, anew=True)
    usual, least = (one.total for one in needs(folder, loads, rank, device.dtype, device.quantization))
    return round(usual * _GAPS) + _BESIDE[device.name], round(least * _GAPS) + _BESIDE[device.name]


def _bytes(name: str, weight: Tensor, adapted: Collection[str], quantization: Quantization) -> float:
    """bitsandbytes quantises linear layers but the head; of the others few have many weights."""
    if quantization == "nf4" and name.removesuffix(".weight") in adapted:
        return _NF4_BYTES * weight.numel()
    return weight.numel() * weight.element_size()


def _kept(model: nn.Module, load: Load, dtype: torch.dtype) -> int:
    """Bytes that autograd keeps of one pass through the decoder, weights left out."""
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor  # held, so that no other gets its place
        return tensor

    half = dtype != torch.float32
    with FakeTensorMode():
        fake(model)
        tokens = torch.zeros((load.rows, load.tokens), dtype=torch.long)
        with (
            torch.autocast("cpu", dtype) if half else nullcontext(),
            torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        ):
            model.base_model(input_ids=tokens, use_cache=False)  # type: ignore[operator]
        weights = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
        return sum(one.untyped_storage().nbytes() for place, one in kept.items() if place not in weights)
