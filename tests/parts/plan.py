# SPDX-License-Identifier: Apache-2.0
"""A trainer that does in numpy all that a plan can ask for."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from fedmed_desktop.federation import Control, LocalResult, Part, Plan, Update
from fedmed_desktop.federation.sending import sent
from fedmed_desktop.federation.work import MOMENTS, Emit, Given
from fedmed_desktop.lora import Adapter, Module, algebra
from fedmed_desktop.lora.module import rank_in
from tests.parts.federation import NumpyTrainer, moved, result_of


class MethodTrainer(NumpyTrainer):
    """Keeps what it was given, by round. Deterministic in the plan's seed and in what it was given."""

    def __init__(self, notes: int = 10) -> None:
        super().__init__(notes)
        self.given: dict[int, Given] = {}
        self.results: dict[int, LocalResult] = {}
        self.evaluated: Given | None = None

    def train_round(self, plan: Plan, given: Given, checkpoints: Path, emit: Emit, control: Control) -> LocalResult:
        while not self.hold.wait(0.01):
            control.check()
        self.trained.append(plan.round)
        self.given[plan.round] = given
        seed = plan.seed % 2**32
        ranks, modules = plan.by_module, given.start.items()
        cut = {name: algebra.module_cut(module, rank_in(ranks, name), plan.cut) for name, module in modules}
        start = algebra.grow(Adapter(cut), ranks, seed)
        if "B" in plan.own and "B" in given.own:
            start = _joined(start, given.own["B"])
        after = moved(start, seed)
        if "A" in plan.freeze:
            after = _joined(start, after)
        if "B" in plan.freeze:
            after = _joined(after, start)
        result = result_of(plan, start, after, self.notes)
        offered = sent(plan, given, start, after)
        if plan.packing:
            after = offered.adapter
            result = result_of(plan, start, after, self.notes)
        blobs, own = {"adapter": offered.blob}, dict[str, Adapter]()
        if offered.lost is not None:
            own["lost"] = offered.lost
        if plan.own:
            own["B"] = after
        if plan.orthogonal:
            before = given.own.get("personal") or Adapter.initial(start.shapes, plan.orthogonal.rank, 1.0, seed)
            own["personal"] = moved(before, seed + 1)
        if plan.training.keep_moments:
            own |= {name: moved(given.own.get(name) or zero(start), seed + 3) for name in MOMENTS[:2]}
        if plan.variate:
            change = moved(zero(start), seed + 2)
            own["control"] = added(given.own.get("control") or zero(start), change)
            blobs["control"] = change.to_blob()
        parts = {name: Part(sha256=hashlib.sha256(blob).hexdigest(), size=len(blob)) for name, blob in blobs.items()}
        update = Update(round=plan.round, parts=parts, report=result.update.report)
        self.results[plan.round] = LocalResult(update, blobs, result.evidence, own)
        return self.results[plan.round]

    def evaluate(self, plan: Plan, given: Given, emit: Emit, control: Control) -> LocalResult:
        self.evaluated = given
        return super().evaluate(plan, given, emit, control)


def _joined(a: Adapter, b: Adapter) -> Adapter:
    return Adapter({name: Module(b[name].B, module.A, module.scale) for name, module in a.items()})


def zero(shape: Adapter) -> Adapter:
    return shape.map(lambda m: Module(np.zeros_like(m.B), np.zeros_like(m.A), m.scale))


def added(left: Adapter, right: Adapter, weight: float = 1.0) -> Adapter:
    """Factor by factor, which is how control variates add up."""
    pairs = ((name, module, right[name]) for name, module in left.items())
    share = np.float32(weight)
    return Adapter({name: Module(x.B + share * y.B, x.A + share * y.A, x.scale) for name, x, y in pairs})


def dense(adapter: Adapter) -> dict[str, np.ndarray]:
    """delta W of each module, d x k."""
    return {name: m.scale * m.B.astype(np.float64) @ m.A.astype(np.float64) for name, m in adapter.items()}
