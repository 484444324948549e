# SPDX-License-Identifier: Apache-2.0
"""A plan's objective in torch: terms added to the task's loss, and corrections of its gradient.

Proximal and Orthogonal are losses: their gradients are clipped with the task's. A control variate corrects the gradient
in the unit that it was measured in: of form "gradient" the raw one, and both are clipped together; of form "sgd" what
the steps took, which is after clipping. Else a clipped gradient would be outweighed by a correction that was not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..federation.objectives import Objective, Orthogonal, Proximal
from ..lora import Adapter
from .adapters import LayerFactors, LoraSlot

_TINY = 1e-12
"""Squared length of an output below which its direction does not count."""


def squared_distance(now: Sequence[Tensor], start: Sequence[Tensor]) -> Tensor:
    """Sum over tensors of |theta - theta_start|^2 (FedProx, arXiv 1812.06127, eq. 2, without mu / 2)."""
    return torch.stack([(x - y).square().sum() for x, y in zip(now, start, strict=True)]).sum()


def squared_product_distance(b: Tensor, a: Tensor, b_start: Tensor, a_start: Tensor) -> Tensor:
    """|B A - B' A'|_F^2 of B, B' (d, r) and A, A' (r, k), never forming a (d, k) matrix.

    FedProx's term (arXiv 1812.06127, eq. 2) on the product instead of the factors: inferred. B A - B' A' = P Q with P =
    [B - B', B'], Q = [A; A - A'], and |P Q|^2 = tr(P^T P Q Q^T): unlike a sum of traces exactly 0 at the start.
    """
    p = torch.cat([b - b_start, b_start], dim=1)
    q = torch.cat([a, a - a_start], dim=0)
    return ((p.T @ p) * (q @ q.T)).sum()


def row_overlap(a_shared: Tensor, a_personal: Tensor, rank: int) -> Tensor:
    """|An_g An_p^T|_F^2 / rank of rows scaled to length 1; rows of zeros stay zeros.

    FedOPAL's overlap of weights (arXiv 2510.12741; its form is inferred, after O-LoRA, arXiv 2310.14152). `rank` is the
    smaller of both. 0 for orthogonal row spaces, 1 for the same orthonormal rows; above 1 (at most the larger rank)
    only if rows of one adapter are alike.
    """
    return (functional.normalize(a_shared) @ functional.normalize(a_personal).T).square().sum() / rank


def squared_cosines(u: Tensor, v: Tensor, b_u: Tensor, b_v: Tensor) -> Tensor:
    """cos^2(B_u u, B_v v) by token (n,), of u (n, r_u), v (n, r_v), B_u (d, r_u), B_v (d, r_v).

    FedOPAL's overlap of representations (arXiv 2510.12741; its form is inferred), from the r x r products of the B, so
    that the outputs (n, d) are never formed. 0 with gradient 0 for an output of zeros, as at the start, where B = 0.
    """
    inner = ((u @ (b_u.T @ b_v)) * v).sum(-1)
    u_length = ((u @ (b_u.T @ b_u)) * u).sum(-1).clamp_min(_TINY)
    v_length = ((v @ (b_v.T @ b_v)) * v).sum(-1).clamp_min(_TINY)
    return (inner * u_length.rsqrt() * v_length.rsqrt()).square()


Seen = dict[tuple[str, Literal["shared", "personal"]], Tensor]
"""A x of a forward pass by module and adapter, (rows, length, rank)."""


class Penalties:
    """The terms of a plan's objective that are losses, on the adapters in a slot.

    `start`: the round's start by the names of LoraSlot.parameters(); only Proximal looks at it.
    """

    def __init__(self, slot: LoraSlot, terms: Sequence[Objective], start: Mapping[str, Tensor]) -> None:
        self._slot, self._start = slot, start
        self._proximal = next((t for t in terms if isinstance(t, Proximal)), None)
        orthogonal = next((t for t in terms if isinstance(t, Orthogonal) and t.weight), None)
        self._rows = orthogonal if orthogonal and orthogonal.on == "weights" else None
        self._outputs = orthogonal if orthogonal and orthogonal.on == "outputs" else None

    @property
    def watches(self) -> bool:
        """Tells whether there is a term of the outputs: part of the loss of each micro-batch."""
        return self._outputs is not None

    def of_factors(self) -> Tensor | None:
        """Sum the weighted terms of the factors alone: once an optimiser step. None where the plan has nothing."""
        found = []
        if self._proximal:
            distance = self._moved() if self._proximal.on == "factors" else self._moved_product()
            found.append(0.5 * self._proximal.mu * distance)
        if self._rows:
            overlaps = [row_overlap(g.a, p.a, min(g.rank, p.rank)) for g, p in self._pairs().values()]
            found.append(self._rows.weight * torch.stack(overlaps).mean())
        return torch.stack(found).sum() if found else None

    @contextmanager
    def watching(self) -> Iterator[Seen]:
        """Keeps A x of both adapters of the forward pass inside, where a term asks for them; its hooks end with it."""
        seen: Seen = {}
        hooks = []
        try:
            for name, (shared, personal) in (self._pairs() if self._outputs else {}).items():
                hooks.append(shared.A.register_forward_hook(partial(_keep, seen, (name, "shared"))))
                hooks.append(personal.A.register_forward_hook(partial(_keep, seen, (name, "personal"))))
            yield seen
        finally:
            for hook in hooks:
                hook.remove()

    def of_outputs(self, seen: Seen, lengths: Sequence[int]) -> Tensor | None:
        """Weighted terms of the outputs, mean of modules, summed over tokens; float32. None if the plan has none.

        `lengths` are those of the rows. The caller divides by the tokens of the effective batch.
        """
        if not self._outputs:
            return None
        sums = []
        for name, (shared, personal) in self._pairs().items():
            u, v = _tokens(seen[name, "shared"], lengths), _tokens(seen[name, "personal"], lengths)
            sums.append(squared_cosines(u, v, shared.b, personal.b).sum())
        return self._outputs.weight * torch.stack(sums).mean()

    def _pairs(self) -> dict[str, tuple[LayerFactors, LayerFactors]]:
        """Modules that both adapters have. Raises LookupError if there is none: no personal adapter is attached."""
        shared, personal = self._slot.shared(), self._slot.personal()
        pairs = {name: (shared[name], personal[name]) for name in shared if name in personal}
        if not pairs:
            raise LookupError("an orthogonal term needs a personal adapter")
        return pairs

    def _moved(self) -> Tensor:
        now = {n: p for n, p in self._slot.parameters().items() if n in self._start and p.requires_grad}
        return squared_distance(list(now.values()), [self._start[name] for name in now])

    def _moved_product(self) -> Tensor:
        moved = []
        for name, now in self._slot.shared().items():
            b_start, a_start = self._start[f"{name}.lora_B"], self._start[f"{name}.lora_A"]
            moved.append(now.scale**2 * squared_product_distance(now.b, now.a, b_start, a_start))
        return torch.stack(moved).sum()


def _tokens(rows: Tensor, lengths: Sequence[int]) -> Tensor:
    """(rows, length, r) to (tokens, r) without the padding behind each row."""
    return torch.cat([row[:length] for row, length in zip(rows, lengths, strict=True)]).float()


def _keep(seen: Seen, key: tuple[str, Literal["shared", "personal"]], _: nn.Module, __: object, output: Tensor) -> None:
    seen[key] = output


@dataclass(frozen=True)
class Variate:
    """SCAFFOLD's c (`control`) and c_i (`own`) in the shape of the round's start; None means zeros."""

    control: Adapter | None = None
    own: Adapter | None = None


class Correction:
    """SCAFFOLD on the shared factors that are trained: grad <- grad + c - c_i (arXiv 1910.06378, algorithm 1, line 10).

    Under AdamW the correction goes through the moments like any gradient (inferred).
    """

    def __init__(self, slot: LoraSlot, variate: Variate, start: Mapping[str, Tensor]) -> None:
        """Raises UserFacingError where c or c_i does not have the modules and ranks of what is attached."""
        self._slot, self._start = slot, start
        # Frozen factors have no gradient, so their c_i stays as it was and its change is 0.
        self._trained = {n: p for n, p in slot.parameters().items() if n in start and p.requires_grad}
        self._control, self._own = (
            {name: torch.zeros_like(x) for name, x in start.items()} if values is None else slot.placed(values)
            for values in (variate.control, variate.own)
        )

    @torch.no_grad()
    def apply(self) -> None:
        """Corrects the gradients as they stand; bit for bit nothing where c = c_i."""
        for name, parameter in self._trained.items():
            change = self._control[name] - self._own[name]
            parameter.grad = change if parameter.grad is None else parameter.grad.add_(change)

    def kept_of_way(self, rates: float) -> tuple[Adapter, Adapter]:
        """(new c_i, change) by option II: c_i - c + (x - y) / `rates`, y being the factors as they are now.

        `rates` is the sum of the learning rates of all steps. The paper's steps x rate is the same where the rate is
        constant; with a schedule only the sum keeps (x - y) / rates a mean of gradients, weighted by the rates. Under
        SGD without clipping, decay and penalties it is exactly that of the task's gradients.
        """
        new = {
            name: self._own[name] - self._control[name] + (self._start[name] - parameter.detach()) / rates
            for name, parameter in self._trained.items()
        }
        return self._kept(new)

    def kept_of_gradient(self, gradient: Mapping[str, Tensor]) -> tuple[Adapter, Adapter]:
        """(new c_i, change) by option I: the task's mean gradient at the start, by parameter name."""
        return self._kept({name: gradient[name] for name in self._trained})

    def _kept(self, new: Mapping[str, Tensor]) -> tuple[Adapter, Adapter]:
        kept = {**self._own, **new}
        change = {name: kept[name] - was for name, was in self._own.items()}
        return self._slot.gathered(kept), self._slot.gathered(change)
