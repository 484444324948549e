# SPDX-License-Identifier: Apache-2.0
"""Inner products of changes of a module, in float64 and never forming a d x k matrix.

The change from a start to an update, s B A - s' B' A', is kept as two thin factors of twice the rank,

    [B - B', B'] [[s A], [s A - s' A']],

so that a small change of a large module loses no digits: nothing large is subtracted but the factors themselves.
Inner products are <X Y, V W> = tr((X^T V)(W Y^T)), one block of two small products for each pair of changes. The result
does not depend on the basis of either's factors, nor on their ranks. The last bits depend on the number of BLAS
threads. Tested against dense matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .algebra import Cut, Float64, module_cut
from .module import Module, ModuleSource


@dataclass(frozen=True, eq=False)
class Change:
    """Factors of a change: it is `b @ a`, with b of shape (d, 2r) and a of shape (2r, k)."""

    b: Float64
    a: Float64


def change(start: Module, after: Module) -> Change:
    """The change from a start of no larger rank, which grows by zeros; shapes must agree."""
    b, a = after.B.astype(np.float64), after.scale * after.A.astype(np.float64)
    began_b, began_a = _grown(start, after.rank)
    return Change(np.hstack([b - began_b, began_b]), np.vstack([a, a - began_a]))


def inner_products(changes: Sequence[Change]) -> Float64:
    """<change i, change j> for all pairs: a symmetric matrix, its diagonal not below zero."""
    b, a = np.hstack([one.b for one in changes]), np.vstack([one.a for one in changes])
    begins = np.cumsum([0, *(one.a.shape[0] for one in changes[:-1])])
    # Row by row: of a thousand sites all blocks at once would be gigabytes.
    rows = [np.add.reduceat(np.sum((one.b.T @ b) * (one.a @ a.T), axis=0), begins) for one in changes]
    found = np.stack(rows)
    found = (found + found.T) / 2
    np.fill_diagonal(found, np.maximum(np.diagonal(found), 0.0))
    return np.asarray(found, dtype=np.float64)


def path_products(start: Module, after: Module) -> tuple[float, float, float]:
    """|P|^2, <P, Q> and |Q|^2, where factors that have gone the share t of their way give the change t P + t^2 Q."""
    began_b, began_a = _grown(start, after.rank)
    b, a = after.B.astype(np.float64) - began_b, after.scale * after.A.astype(np.float64) - began_a
    straight = Change(np.hstack([b, began_b]), np.vstack([began_a, a]))
    found = inner_products([straight, Change(b, a)])
    return float(found[0, 0]), float(found[0, 1]), float(found[1, 1])


@dataclass(frozen=True)
class PartWay:
    """An update whose factors go only the share `share` of their way from the start, module by module."""

    source: ModuleSource
    start: ModuleSource
    share: float
    how: Cut

    @property
    def names(self) -> Sequence[str]:
        return tuple(self.source.names)

    def module(self, name: str) -> Module:
        after = self.source.module(name)
        began_b, began_a = _grown(module_cut(self.start.module(name), after.rank, self.how), after.rank)
        b, a = after.B.astype(np.float64), after.A.astype(np.float64)
        began_a = began_a / after.scale
        return Module(
            (began_b + self.share * (b - began_b)).astype(np.float32),
            (began_a + self.share * (a - began_a)).astype(np.float32),
            after.scale,
        )


def _grown(start: Module, rank: int) -> tuple[Float64, Float64]:
    """B, and A times the scale, in float64, with zeros up to this rank."""
    b, a = start.B.astype(np.float64), start.scale * start.A.astype(np.float64)
    extra = rank - start.rank
    if extra < 0:
        raise ValueError("a start of larger rank must be cut first")
    return np.pad(b, ((0, 0), (0, extra))), np.pad(a, ((0, extra), (0, 0)))
