# SPDX-License-Identifier: Apache-2.0
"""Inner products of changes of a module, in float64 and never forming a d x k matrix.

The change from a start B' A' to an update B A (scales in A) is, with b = B - B' and a = A - A', exactly

    B A - B' A' = b A + B' a,

so a small change of a large module loses no digits: nothing large is subtracted but the factors themselves. And since
<X Y, V W> = tr((X^T V)(W Y^T)), inner products of all changes follow from b^T b and a a^T of all sites and from the
products of both with the few starts. The result does not depend on the basis of anyone's factors, nor on their ranks.
Costs are O((d + k) R^2), R being the sum of the ranks; memory is twice the updates' factors. The last bits depend on
the number of BLAS threads. Tested against dense matrices.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..arrays import np
from .algebra import Cut, module_cut
from .module import Module, ModuleSource, Ranks, rank_in

if TYPE_CHECKING:
    from .algebra import Float64


def inner_products(changes: Iterable[tuple[Module, Module]], ranks: Sequence[int]) -> Float64:
    """<change i, change j> for all pairs: a symmetric matrix, its diagonal not below zero.

    `changes` are pairs of a start and an update, read one after the other; `ranks` are those of the updates. A start of
    smaller rank grows by zeros; one of larger rank must be cut first.
    """
    ends = np.cumsum(ranks)
    begins, starts = ends - ranks, _Starts()
    rows: list[Float64] = []  # b^T of all sites below each other, and a
    for at, end, (start, after) in zip(begins, ends, changes, strict=True):
        b, a = starts.take(start, after)
        rows = rows or [np.empty((int(ends[-1]), b.shape[1])), np.empty((int(ends[-1]), a.shape[1]))]
        rows[0][at:end], rows[1][at:end] = b, a
    b, a = rows
    began_b, began_a, which = starts.stacked()
    of_b, of_a = began_b @ b.T, began_a @ a.T  # each start's directions with all changes
    starts_b, starts_a = began_b @ began_b.T, began_a @ began_a.T

    found = np.zeros((len(ranks), len(ranks)))
    for site, (at, end) in enumerate(zip(begins, ends, strict=True)):  # all at once would be gigabytes for many sites
        own, others = which[at:end], which[at:]
        change_b, change_a = b[at:end] @ b[at:].T, a[at:end] @ a[at:].T
        own_b, own_a = of_b[:, at:][own], of_a[:, at:][own]  # this start with the others' changes
        others_b, others_a = of_b[:, at:end][others].T, of_a[:, at:end][others].T
        of_starts = np.ix_(own, others)
        row = change_b * (change_a + others_a + own_a + starts_a[of_starts])  # b A with b A
        row += others_b * (change_a + own_a)  # b A with B' a
        row += own_b * (change_a + others_a)  # B' a with b A
        row += starts_b[of_starts] * change_a  # B' a with B' a
        found[site, site:] = np.add.reduceat(row.sum(axis=0), begins[site:] - at)
    found = np.triu(found) + np.triu(found, 1).T
    np.fill_diagonal(found, np.maximum(np.diagonal(found), 0.0))
    return found


def products_of_changes(start: ModuleSource, updates: Sequence[tuple[Ranks, ModuleSource]], how: Cut) -> Float64:
    """Inner products of whole adapters' changes from one start, which each began from cut to its rank.

    `updates` are ranks and adapters; each module is read once.
    """
    total = np.zeros((len(updates), len(updates)))
    for name in sorted(start.names):
        began = start.module(name)
        ranks = [rank_in(own, name) for own, _ in updates]
        starts = {rank: module_cut(began, rank, how) for rank in sorted(set(ranks))}
        changes = ((starts[rank], source.module(name)) for rank, (_, source) in zip(ranks, updates, strict=True))
        total += inner_products(changes, [min(rank, *began.shape) for rank in ranks])
    return total


class _Starts:
    """The different starts of a module, each once, and which rows of them belong to each row of the changes."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], int] = {}  # start and rank -> its first row
        self._kept: list[Module] = []  # so that no other start gets the id of one of them
        self._b: list[Float64] = []
        self._a: list[Float64] = []
        self._which: list[int] = []

    def take(self, start: Module, after: Module) -> tuple[Float64, Float64]:
        """(B - B')^T and A - A'."""
        began_b, began_a = _grown(start, after.rank)
        key = (id(start), after.rank)
        if key not in self._known:
            self._known[key] = sum(one.shape[0] for one in self._a)
            self._kept.append(start)
            self._b.append(began_b.T)
            self._a.append(began_a)
        self._which += range(self._known[key], self._known[key] + after.rank)
        return (after.B.astype(np.float64) - began_b).T, after.scale * after.A.astype(np.float64) - began_a

    def stacked(self) -> tuple[Float64, Float64, np.ndarray[tuple[int], np.dtype[np.int64]]]:
        return np.vstack(self._b), np.vstack(self._a), np.array(self._which)


def path_products(start: Module, after: Module) -> tuple[float, float, float]:
    """|P|^2, <P, Q> and |Q|^2, where factors that have gone the share t of their way give the change t P + t^2 Q."""
    began_b, began_a = _grown(start, after.rank)
    b, a = after.B.astype(np.float64) - began_b, after.scale * after.A.astype(np.float64) - began_a
    straight = np.hstack([b, began_b]), np.vstack([began_a, a])
    return _product(straight, straight), _product(straight, (b, a)), _product((b, a), (b, a))


def _product(x: tuple[Float64, Float64], y: tuple[Float64, Float64]) -> float:
    return float(np.sum((x[0].T @ y[0]) * (x[1] @ y[1].T)))


@dataclass(frozen=True)
class PartWay:
    """An update whose factors are moved only the fraction `share` of their way from the start, module by module."""

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
