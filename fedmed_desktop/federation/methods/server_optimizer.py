# SPDX-License-Identifier: Apache-2.0
"""Base of the averages after which the server takes a step of an optimiser of its own (FedOpt: Reddi et al. 2021, arXiv
2003.00295, algorithm 2): the sites' mean change of the factors stands in for a gradient.

    delta = sum_i w_i y_i - x,        x' = x + step(delta, state)

It is taken on A and B, as in OpenFedLLM's code: FedAdam divides number by number, and a product has d x k of them,
while a state in factors is as large as the adapter. So a product or a stack, which give factors in another basis, are
refused, and all sites need the same rank. Weights by notes. The state is an adapter of the coordinator's own, which is
stored as SCAFFOLD's c is, so that it outlives a kill; no plan names it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from ...arrays import np
from ...lora import Adapter, Module
from ...lora.module import Factor, ModuleSource, within_float32
from ..actions import Combine
from ..combine import Combination, Sources
from .method import WeighedByNotes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64 = NDArray[np.float64]

_RANKS_OF: dict[Factor, int] = {"B": 1, "A": 0}
"""The axis of each factor that counts ranks: a state's parts lie one after the other along it."""


class ServerOptimizer(WeighedByNotes):
    """Subclasses give `step`, and `first`, the state before the first round.

    Measure of a round: `server_stretch`, |x' - x| / |delta| over all numbers of the factors.
    """

    mixes_ranks: ClassVar[bool] = False

    def first(self, zeros: Float64) -> list[Float64]:
        """The state of one factor before the first round, in parts of its shape; `zeros` has that shape."""
        raise TypeError(f"{type(self).__name__} does not say where its server begins")

    def step(self, delta: Float64, state: Sequence[Float64]) -> tuple[Float64, list[Float64]]:
        """The change of one factor, and its next state."""
        raise TypeError(f"{type(self).__name__} does not say how its server steps")

    def finish(self, closed: Combine, sources: Sources, combination: Combination) -> Combination:
        modules, states = {}, {}
        moved = asked = 0.0
        for name, mean in combination.adapter.items():
            start = sources.start.module(name)
            begun = start if start.rank == mean.rank else mean  # of another rank nothing can be told apart
            new: dict[Factor, NDArray[np.float32]] = {}
            kept: dict[Factor, NDArray[np.float32]] = {}
            for factor in _RANKS_OF:
                x = getattr(begun, factor).astype(np.float64)
                delta = getattr(mean, factor) - x
                change, state = self.step(delta, self._state(sources.control, name, factor, delta))
                new[factor] = within_float32(x + change)
                kept[factor] = within_float32(np.concatenate(state, axis=_RANKS_OF[factor]))
                moved, asked = moved + float(np.sum((new[factor] - x) ** 2)), asked + float(np.sum(delta**2))
            modules[name] = Module(new["B"], new["A"], mean.scale)
            states[name] = Module(kept["B"], kept["A"], mean.scale)
        measures = {"server_stretch": math.sqrt(moved / asked)} if asked > 0 else {}
        return replace(
            combination, adapter=Adapter(modules), control=Adapter(states), state=closed.state, measures=measures
        )

    def _state(self, kept: ModuleSource | None, name: str, factor: Factor, like: Float64) -> list[Float64]:
        first = self.first(np.zeros(like.shape))
        if kept is None:
            return first
        values, axis = getattr(kept.module(name), factor).astype(np.float64), _RANKS_OF[factor]
        parts = np.split(values, len(first), axis) if values.shape[axis] % len(first) == 0 else []
        return parts if [part.shape for part in parts] == [part.shape for part in first] else first
