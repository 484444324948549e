# SPDX-License-Identifier: Apache-2.0
"""Trimmed mean, coordinate by coordinate (Yin et al. 2018, arXiv 1803.01498), of the one factor that sites train.

Only where all sites have the other factor in common (FFA-LoRA; RoLoRA in each round): then a coordinate of the trained
factor means the same everywhere, and the mean of the factors is that of the products. Elsewhere a coordinate of B or A
means something else at each site, since a change of basis moves it without changing the model; and trimming delta W
itself would need all of it, d x k for each site, and gives a matrix that no adapter of small rank holds. So the
specification is refused there. That factors are trimmed and not delta W is inferred.

All updates count alike: a site could otherwise make its wrong values heavy by claiming many notes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..arrays import np, one_thread
from ..lora import Adapter, Module, algebra
from ..lora.module import Factor, naming
from .combine import Combination, Term

if TYPE_CHECKING:
    from ..lora.algebra import Float64

# Values of all sites that are sorted at a time; they are held several times over.
_AT_ONCE = 2**18


def combine_trimmed(terms: Sequence[Term], ends: int, factor: Factor) -> tuple[Combination, list[float]]:
    """Averages `factor` without the `ends` largest and smallest values of each coordinate; keeps the other.

    Also returns, in the order of the terms, the share of its values that each lost.
    """
    ordered = sorted(range(len(terms)), key=lambda i: terms[i].order)
    lost, values = np.zeros(len(terms), dtype=np.int64), 0
    modules: dict[str, Module] = {}
    missed = ideal = 0.0
    with one_thread():
        for name in sorted(terms[0].source.names):
            parts = [terms[i].source.module(name) for i in ordered]
            trained = [part.B if factor == "B" else part.A for part in parts]
            mean, out = trimmed(trained, ends)
            lost[ordered] += out
            values += mean.size
            with naming(name):
                b, a = (mean, parts[0].A) if factor == "B" else (parts[0].B, mean)
                module = modules[name] = Module(b.astype(np.float32), a.astype(np.float32), parts[0].scale)
            each = [(1 / len(parts), part) for part in parts]
            missed += algebra.module_sum_energy([*each, (-1.0, module)])
            ideal += algebra.module_sum_energy(each)
    residual = math.sqrt(missed / ideal) if ideal > 0 else 0.0
    return Combination(Adapter(modules), residual), [float(one) / max(1, values) for one in lost]


def trimmed(
    matrices: Sequence[np.ndarray[tuple[int, ...], np.dtype[np.float32]]], ends: int
) -> tuple[Float64, list[int]]:
    """Mean of the middle values of each coordinate, and how many values each matrix lost; of equal ones the first."""
    rows, columns = matrices[0].shape
    step = max(1, _AT_ONCE // (len(matrices) * columns))
    mean, lost = np.empty((rows, columns)), np.zeros(len(matrices), dtype=np.int64)
    for at in range(0, rows, step):
        block = np.stack([one[at : at + step] for one in matrices]).astype(np.float64)
        ranks = np.argsort(block, axis=0, kind="stable")
        inner = np.sort(ranks[ends : len(matrices) - ends], axis=0)  # always summed in the same order
        mean[at : at + step] = np.take_along_axis(block, inner, axis=0).mean(axis=0)
        lost += block[0].size - np.bincount(inner.ravel(), minlength=len(matrices))
    return mean, lost.tolist()
