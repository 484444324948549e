# SPDX-License-Identifier: Apache-2.0
"""SCAFFOLD (Karimireddy et al. 2020, arXiv 1910.06378, Algorithm 1) on LoRA factors: control variates correct bias.

    site     g + c - c_k in every step; the change of its c_k leaves with the update            (plan.ControlVariate)
    server   c <- c + sum over answering sites of (c_k+ - c_k) / N,   x <- mean by notes

N counts all sites, as in the paper's partial participation: those that take part, and those that were shut out after
they had sent a change, which c still holds. c and all c_k start at zero; when sites join, c is spread over all of them,
so that it stays the mean of the c_k. The mean by notes is OpenFedLLM's. The form "sgd" is the paper's option II, c_k+ =
c_k - c + (x - y_k) / (sum of rates), which presumes that steps are multiples of gradients. "gradient" is option I, the
mean gradient of the loss at x; it is right under any optimiser and so is the default. Which form goes with which
optimiser is our choice (inferred).

A variate is a direction in the factors' own basis. So all sites need the same rank, and a product or a stack, which
give factors in another basis, are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

from ...arrays import np
from ...lora import Adapter, Module
from ...lora.module import ModuleSource, within_float32
from ..actions import Combine
from ..combine import Combination, Sources
from ..objectives import ControlVariate
from ..values import Frozen
from .method import Opening, Setting, WeighedByNotes


class ScaffoldState(Frozen):
    """Number of sites, N, when c was last computed; None before that."""

    sites: int | None = None


class Scaffold(WeighedByNotes):
    mixes_ranks: ClassVar[bool] = False

    name: Literal["scaffold"] = "scaffold"
    form: Literal["gradient", "sgd"] = "gradient"

    def misfit(self, setting: Setting) -> str | None:
        if self.form == "sgd" and setting.training.optimizer != "sgd":
            return "methods.scaffold_needs_sgd"
        return super().misfit(setting)

    def asks(self, site: str, opening: Opening) -> dict[str, Any]:
        return {"objective": (ControlVariate(form=self.form, control=opening.control),)}

    def finish(self, closed: Combine, sources: Sources, combination: Combination) -> Combination:
        changes = [sources.controls[site] for site in sorted(sources.controls)]
        before = ScaffoldState.model_validate(closed.state).sites or closed.sites
        control = next_control(combination.adapter, sources.control, changes, closed.sites, before)
        state = ScaffoldState(sites=closed.sites).model_dump(mode="json")
        return replace(combination, control=control, state=state)


def next_control(
    shape: Adapter, control: ModuleSource | None, changes: Sequence[ModuleSource], sites: int, before: int
) -> Adapter:
    """c before / sites + sum of changes / sites, factor by factor in float64, with the modules of `shape`.

    c is the mean of all c_k, and there were `before` sites when it was last computed; the c_k of later ones are zero.
    `control` None is zero. The order of `changes` decides the last bits.
    """
    share = before / sites
    modules = {}
    for name, like in shape.items():
        b, a = np.zeros(like.B.shape), np.zeros(like.A.shape)
        for change in changes:
            part = change.module(name)
            b, a = b + part.B, a + part.A
        b, a = b / sites, a / sites
        if control is not None:
            earlier = control.module(name)
            b, a = b + share * earlier.B.astype(np.float64), a + share * earlier.A.astype(np.float64)
        modules[name] = Module(within_float32(b), within_float32(a), like.scale)
    return Adapter(modules)
