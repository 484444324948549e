# SPDX-License-Identifier: Apache-2.0
"""AdamW's moments as a site keeps them from one round to the next: means and mean squares of gradients, as adapters.

A module's means have the shape of its factors; their scale is the number of steps behind them, by which AdamW corrects
its bias. They are of a basis: a module of another rank begins without any, and methods that give factors in a new basis
every round are refused (federation.methods.fitting). With differential privacy they are made of noised gradients alone,
so they tell no more than what has left (post-processing).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..federation.work import MOMENTS
from ..lora import Adapter, Module
from .adapters import LoraSlot

FIRST, SECOND = "exp_avg", "exp_avg_sq"
_PREFIXES = {"shared": "", "personal": "personal_"}


@dataclass(frozen=True)
class Moments:
    """Moments of one parameter: AdamW's two running means and the number of steps behind them."""

    first: Tensor
    second: Tensor
    steps: int

    def state(self, steps: int = 0) -> dict[str, Tensor]:
        """The optimiser's state after so many steps more; the tensors are this one's own."""
        count = torch.tensor(float(self.steps + steps), device=self.first.device)
        return {"step": count, FIRST: self.first, SECOND: self.second}


def begun(slot: LoraSlot, own: Mapping[str, Adapter], trained: Mapping[str, nn.Parameter]) -> dict[str, Moments]:
    """Moments that a round begins with, by parameter; none for modules that had another shape or rank, or are new.

    Nor for a factor that was frozen: its means are all zero.
    """
    found: dict[str, Moments] = {}
    for which, adapter in slot.attached().items():
        names = _names(which)
        if names is None or not all(name in own for name in names):
            continue
        means, squares = (own[name] for name in names)
        for module, now in adapter.items():
            if module in means and (means[module].shape, means[module].rank) == (now.shape, now.rank):
                for factor in "AB":
                    parameter = trained.get(_parameter(which, module, factor))
                    if parameter is None or not getattr(squares[module], factor).any():
                        continue
                    first, second = (_placed(getattr(one[module], factor), parameter) for one in (means, squares))
                    found[_parameter(which, module, factor)] = Moments(first, second, round(means[module].scale))
    return found


def kept(slot: LoraSlot, optimizer: torch.optim.Optimizer, trained: Mapping[str, nn.Parameter]) -> dict[str, Adapter]:
    """Moments that the site keeps after a round, by the names of federation.work.MOMENTS.

    Raises UserFacingError where a value is not finite.
    """
    own: dict[str, Adapter] = {}
    for which, adapter in slot.attached().items():
        if (names := _names(which)) is None:
            continue
        for name, moment in zip(names, (FIRST, SECOND), strict=True):
            modules = {}
            for module, now in adapter.items():
                states = {
                    factor: optimizer.state[trained[at]]
                    for factor in "AB"
                    if (at := _parameter(which, module, factor)) in trained
                }
                a, b = (
                    states[factor][moment].float().cpu() if factor in states else torch.zeros(shape)
                    for factor, shape in (("A", now.A.shape), ("B", now.B.shape))
                )
                steps = max(float(state["step"]) for state in states.values())
                modules[module] = Module(b.numpy().copy(), a.numpy().copy(), steps)
            own[name] = Adapter(modules)
    return own


def _names(which: str) -> tuple[str, str] | None:
    """Names of the means and the squares; None for what is never trained."""
    prefix = _PREFIXES.get(which)
    return None if prefix is None else (f"{prefix}{MOMENTS[0]}", f"{prefix}{MOMENTS[1]}")


def _parameter(which: str, module: str, factor: str) -> str:
    """The name that LoraSlot.parameters() gives it."""
    return f"{'personal/' if which == 'personal' else ''}{module}.lora_{factor}"


def _placed(values: object, like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device)
