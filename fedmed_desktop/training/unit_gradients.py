# SPDX-License-Identifier: Apache-2.0
"""Gradients of the adapters' factors by unit of privacy, each clipped before it is added to the others.

A factor is a linear layer, y = W x, so that one example's gradient is a product of what went in and the gradient of
what came out: both are there in an ordinary backward pass (Goodfellow 2015, arXiv 1510.01799). Nothing of the base is
looked at, which may have 4 bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final

import torch
from torch import Tensor, nn

from ..errors import UserFacingError
from .adapters import LoraSlot
from .base import BaseModel
from .batches import Batch
from .label_loss import label_losses

_NEAR: Final = 0.05
"""The most by which the sum of the examples' gradients may differ from autograd's: far above the rounding of bfloat16,
far below what an overlooked use of a factor makes. Inferred."""

Gradients = dict[str, Tensor]


class ClippedSum:
    """Sum over units of their gradients, each of length `most` at most over all trained factors; float32.

    A unit's gradient is the sum over its examples' labels, divided by their number. `add` takes its examples in a row;
    what is not finite counts as zero.
    """

    def __init__(self, base: BaseModel, trained: Mapping[str, nn.Parameter], most: float) -> None:
        self._base, self._trained, self._most = base, trained, most
        self._layers = _layers(base.lora, trained)
        self.sums: Gradients = {name: torch.zeros_like(p, dtype=torch.float32) for name, p in trained.items()}
        self._open: tuple[int, Gradients] | None = None
        self._checked = False

    def add(self, batch: Batch, units: Sequence[int], labels: Sequence[int]) -> float:
        """Adds a micro-batch whose rows are of these units, with so many `labels` in all; its summed loss.

        Raises UserFacingError("privacy.layers") where a factor is used in another way than on each example by itself.
        """
        with self._watching(len(units)) as seen:
            loss = label_losses(self._base, batch)
            loss.backward()  # type: ignore[no-untyped-call]
        self._check(seen)
        for parameter in self._trained.values():
            parameter.grad = None
        share = torch.tensor([1.0 / count for count in labels], device=loss.device)
        order = list(dict.fromkeys(units))
        at = torch.tensor([order.index(unit) for unit in units], device=loss.device)
        found: Gradients = {}
        for name, rows in seen.items():
            weighted = torch.nan_to_num(rows, 0.0, 0.0, 0.0) * share[:, None, None]
            found[name] = weighted.new_zeros(len(order), *rows.shape[1:]).index_add_(0, at, weighted)
        if self._open and self._open[0] == order[0]:
            for name, part in self._open[1].items():
                found[name][:1] += part
        elif self._open:
            self._close()
        self._open = order[-1], {name: rows[-1:].clone() for name, rows in found.items()}
        if len(order) > 1:
            self._clip({name: rows[:-1] for name, rows in found.items()})
        return float(loss.detach())

    def end(self) -> Gradients:
        """The sum, with the last unit in it."""
        if self._open:
            self._close()
        return self.sums

    def _close(self) -> None:
        assert self._open is not None
        self._clip(self._open[1])
        self._open = None

    def _clip(self, units: Gradients) -> None:
        squares = [rows.flatten(1).square().sum(1) for rows in units.values()]
        lengths = torch.stack(squares).sum(0).sqrt()
        factors = torch.where(lengths.isfinite(), (self._most / lengths.clamp_min(1e-12)).clamp_max(1.0), 0.0)
        for name, rows in units.items():
            finite = torch.where(lengths.isfinite()[:, None, None], rows, 0.0)
            self.sums[name] += torch.einsum("n,nij->ij", factors, finite)

    def _check(self, seen: Gradients) -> None:
        """Compares with autograd once: a factor that is used elsewhere too would escape the clipping."""
        if self._checked:
            return
        self._checked = True
        for name, parameter in self._trained.items():
            whole = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            apart = (seen[name].sum(0) - whole).norm() if name in seen else whole.norm()
            if apart > _NEAR * whole.norm() + 1e-6:
                raise UserFacingError("privacy.layers", name=name.removesuffix(".lora_A").removesuffix(".lora_B"))

    @contextmanager
    def _watching(self, rows: int) -> Iterator[Gradients]:
        seen: Gradients = {}
        hooks = [layer.register_forward_hook(partial(_watch, seen, name, rows)) for name, layer in self._layers.items()]
        try:
            yield seen
        finally:
            for hook in hooks:
                hook.remove()


def _layers(slot: LoraSlot, trained: Mapping[str, nn.Parameter]) -> dict[str, nn.Linear]:
    found: dict[str, nn.Linear] = {}
    for prefix, factors in (("", slot.shared()), ("personal/", slot.personal())):
        for name, pair in factors.items():
            found |= {f"{prefix}{name}.lora_A": pair.A, f"{prefix}{name}.lora_B": pair.B}
    return {name: found[name] for name in trained}


def _watch(seen: Gradients, name: str, rows: int, layer: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
    """Keeps what went in until the gradient of what came out is there; (rows, length, width)."""
    if given[0].ndim != 3 or given[0].shape[0] != rows:
        raise UserFacingError("privacy.layers", name=name.removesuffix(".lora_A").removesuffix(".lora_B"))
    if output.requires_grad:
        output.register_hook(partial(_keep, seen, name, given[0].detach()))  # type: ignore[no-untyped-call]


def _keep(seen: Gradients, name: str, given: Tensor, gradient: Tensor) -> None:
    found = torch.einsum("nto,nti->noi", gradient.float(), given.float())
    seen[name] = seen[name] + found if name in seen else found
