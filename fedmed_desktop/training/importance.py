# SPDX-License-Identifier: Apache-2.0
"""Importance of an adapter's modules, from gradients that a training has anyway.

AdaLoRA's sensitivity (Zhang et al. 2023, arXiv 2303.10512, eq. 8): |w g| for a value w with gradient g, about what the
loss would change by if w were 0. As there (eq. 7), a module's is the mean over the values of A plus the mean over those
of B, so a larger module does not count for more, nor one of larger rank. Simpler than there: the mean over the round's
steps in place of a moving average (eq. 9), and no uncertainty (eq. 10). That this suffices is inferred: sums over a
module and a round vary far less than single values from step to step.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from .adapters import LayerFactors

_DIGITS = 4  # of what is told; beyond these the last bits of one machine's sums would leave


class Importance:
    """Sums over the steps of a training; `sums` has a float64 for each module, sorted by name."""

    def __init__(self, factors: Mapping[str, LayerFactors]) -> None:
        self._names = sorted(factors)
        self._parameters = [one for name in self._names for one in (factors[name].a, factors[name].b)]
        device = self._parameters[0].device
        self._sizes = torch.tensor([one.numel() for one in self._parameters], dtype=torch.float64, device=device)
        self.sums = torch.zeros(len(self._names), dtype=torch.float64, device=device)

    @torch.no_grad()
    def add(self) -> None:
        """Adds the gradients that are on the parameters now; a factor without one counts as unimportant."""
        there = {i: one.grad for i, one in enumerate(self._parameters) if one.grad is not None}
        if not there:
            return
        products = torch._foreach_mul([self._parameters[i].detach() for i in there], list(there.values()))
        found = torch.zeros_like(self._sizes)
        found[list(there)] = torch.stack(torch._foreach_norm(products, 1)).double()
        self.sums += (found / self._sizes).view(-1, 2).sum(dim=1)

    def shares(self) -> dict[str, float]:
        """Each module's share of the sum over all, which is 1 but for the rounding; alike where all are 0."""
        sums = self.sums.cpu()
        whole = float(sums.sum())
        shares = sums / whole if whole > 0 else torch.full_like(sums, 1 / len(sums))
        return {name: float(f"{one:.{_DIGITS}g}") for name, one in zip(self._names, shares.tolist(), strict=True)}
