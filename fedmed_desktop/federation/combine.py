# SPDX-License-Identifier: Apache-2.0
"""How updates become one adapter: module by module, in float64, in the order of the updates' hashes.

So the order of arrival changes no bit, and memory holds one module's factors of every site, never whole updates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from threadpoolctl import threadpool_limits

from ..errors import UserFacingError
from ..lora import Adapter, Module


class ModuleSource(Protocol):
    """An adapter whose modules are read one at a time (lora.BlobReader, or lora.Adapter itself)."""

    @property
    def names(self) -> Iterable[str]: ...

    def module(self, name: str) -> Module: ...


@dataclass(frozen=True)
class Term:
    """One update in a combination. `order` is the update's sha256."""

    order: str
    weight: float
    source: ModuleSource


@dataclass(frozen=True)
class Combination:
    """The combined adapter; `residual` is |ideal - combined| / |ideal|, ideal = sum of w_k s B_k A_k (methods 4.1)."""

    adapter: Adapter
    residual: float


Combiner = Callable[[Sequence[Term]], Combination]


def combine_factors(terms: Sequence[Term]) -> Combination:
    """Averages A and B separately (FedIT; methods 4.1), which needs one rank and one scale per module.

    The residual in product space, sum of w_k (B_k - B)(A_k - A), is computed from the deviations: nothing cancels.
    """
    # Two sites may hand in the same bytes; then the weight decides, so that arrival still changes no bit.
    ordered = sorted(terms, key=lambda term: (term.order, term.weight))
    modules: dict[str, Module] = {}
    missed = ideal = 0.0
    with threadpool_limits(limits=1):
        for name in sorted(ordered[0].source.names):
            parts = [term.source.module(name) for term in ordered]
            weights = [term.weight for term in ordered]
            if len({(part.rank, part.scale) for part in parts}) > 1:
                raise UserFacingError("combine.mixed_ranks", module=name)
            B = _mean([part.B for part in parts], weights)
            A = _mean([part.A for part in parts], weights)
            scale = parts[0].scale
            missed += _square_norm(
                np.hstack([w * (part.B - B) for w, part in zip(weights, parts, strict=True)]),
                np.vstack([part.A - A for part in parts]),
                scale,
            )
            ideal += _square_norm(
                np.hstack([w * part.B.astype(np.float64) for w, part in zip(weights, parts, strict=True)]),
                np.vstack([part.A.astype(np.float64) for part in parts]),
                scale,
            )
            modules[name] = Module(B.astype(np.float32), A.astype(np.float32), scale)
    return Combination(Adapter(modules), math.sqrt(missed / ideal) if ideal > 0 else 0.0)


def _mean(factors: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    total = np.zeros(factors[0].shape, dtype=np.float64)
    for weight, factor in zip(weights, factors, strict=True):
        total += weight * factor.astype(np.float64)  # a float times float32 stays float32
    return total


def _square_norm(B: np.ndarray, A: np.ndarray, scale: float) -> float:
    """|scale B A|^2 by the trace identity, never forming d x k; not below zero."""
    return max(0.0, scale * scale * float(np.sum((B.T @ B) * (A @ A.T))))
