# SPDX-License-Identifier: Apache-2.0
"""Averages of factors in float64, and the part of the weighted sum of delta W that they miss.

Of up to MOST_EXACT updates, the missed part is exact: sum of w_k (B_k - B)(A_k - A), made of the deviations, so that
nothing cancels. That needs all of them at once, and its cost grows with the square of their number. More updates are
read once and forgotten one after the other: memory does not depend on how many there are. What is missed is then
estimated, as |M|^2 = E|M g|^2 for random signs g, which is exact for a module with few inputs. The average itself has
the same bits either way.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..arrays import np
from ..errors import UserFacingError
from ..lora.module import Module, naming
from ..lora.room import Room

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

Weighted = tuple[float, Module]
Average = tuple[Module, float, float]
"""The averaged module, and the squared norms of the missed part and of the ideal, the weighted sum of delta W."""

# Sixteen updates of rank 16 take some 10 ms of a core for each module of a large model. More cost as much as that each.
MOST_EXACT: Final = 16
# Random signs per module. |M g|^2 is off by half of itself at most (standard error), less where M has many directions;
# over the 224 modules of an 8B model that leaves 2 % of the residual. Small models have fewer modules, and more signs
# cost little there.
_SIGNS: Final = 8
_SIGNS_OF_SMALL: Final = 64
_SMALL: Final = 2**20  # d k
# Of a product that is looked at in pieces: 8 MiB.
_MOST_NUMBERS: Final = 2**20


def average(name: str, parts: Iterable[Weighted], many: int, room: Room, seed: int) -> Average:
    """Averages A and B of `many` updates, padded to the largest rank. Raises UserFacingError if their scales differ.

    Smaller ranks are padded with zeros. `seed`, with the name, is that of the random signs, where they are used.
    """
    if many > MOST_EXACT:
        return _one_after_another(name, parts, room, seed)
    read = list(parts)
    with naming(name):
        return average_and_missed(name, read, room)[0]


def average_and_missed(name: str, parts: Sequence[Weighted], room: Room) -> tuple[Average, tuple[Matrix, Matrix]]:
    """The exact average, and stacked factors of the part that it misses.

    Both sums of products are of stacked factors: every B side by side, every A below the other, the weights on A alone.
    The last pair is the average itself, since sum of w_k B_k A_k = missed part + (2 - sum of w_k) B A. What is returned
    beside the average is in `room` and holds until the next module.
    """
    scale, (d, k), rank = parts[0][1].scale, parts[0][1].shape, max(part.rank for _, part in parts)
    size = rank * len(parts)
    columns, rows, b, a, for_b, for_a = room.matrices(
        (d, size + rank), (size + rank, k), (d, rank), (rank, k), (d, rank), (rank, k)
    )
    b[:], a[:] = 0.0, 0.0
    for weight, part in parts:
        _check_scale(name, part, scale)
        _add(b[:, : part.rank], weight, part.B, for_b[:, : part.rank])
        _add(a[: part.rank], weight, part.A, for_a[: part.rank])
    for at, (weight, part) in enumerate(parts):
        its_b, its_a, own = columns[:, at * rank : (at + 1) * rank], rows[at * rank : (at + 1) * rank], part.rank
        np.subtract(part.B, b[:, :own], out=its_b[:, :own])
        np.subtract(part.A, a[:own], out=its_a[:own])
        np.subtract(0.0, b[:, own:], out=its_b[:, own:])
        np.subtract(0.0, a[own:], out=its_a[own:])
        its_a *= weight
    columns[:, size:] = b
    np.multiply(a, 2 - math.fsum(weight for weight, _ in parts), out=rows[size:])
    missed, ideal = (scale * scale * each for each in _energies(columns, rows, size))
    return (_module(b, a, scale), missed, ideal), (columns[:, :size], rows[:size])


@dataclass
class _Running:
    """Sums over the updates so far: B and A, and the weighted sum of delta W / scale with the signs."""

    b: Matrix
    a: Matrix
    ideal: Matrix
    weights: list[float]

    def reach(self, rank: int) -> None:
        if (more := rank - len(self.a)) > 0:
            self.b, self.a = np.pad(self.b, ((0, 0), (0, more))), np.pad(self.a, ((0, more), (0, 0)))


def _one_after_another(name: str, parts: Iterable[Weighted], room: Room, seed: int) -> Average:
    """The average as above, to the last bit, and estimates of both norms."""
    so_far: _Running | None = None
    scale, signs = 1.0, np.empty((0, 0))
    for weight, part in parts:
        (d, k), own = part.shape, part.rank
        if so_far is None:
            scale, signs = part.scale, _signs(d, k, [seed, zlib.crc32(name.encode())])
            so_far = _Running(np.zeros((d, own)), np.zeros((own, k)), np.zeros((d, signs.shape[1])), [])
        _check_scale(name, part, scale)
        so_far.reach(own)
        so_far.weights.append(weight)
        b, a, few, both = room.matrices((d, own), (own, k), (own, signs.shape[1]), so_far.ideal.shape)
        a[:], b[:] = part.A, part.B
        np.matmul(a, signs, out=few)
        few *= weight
        so_far.ideal += np.matmul(b, few, out=both)
        a *= weight
        b *= weight
        so_far.a[:own] += a
        so_far.b[:, :own] += b
    assert so_far is not None
    missed = so_far.ideal - (2 - math.fsum(so_far.weights)) * (so_far.b @ (so_far.a @ signs))
    lost, whole = (scale * scale * float(np.vdot(each, each)) for each in (missed, so_far.ideal))
    with naming(name):
        return _module(so_far.b, so_far.a, scale), lost, whole


def _signs(d: int, k: int, seed: Sequence[int]) -> Matrix:
    """Columns g with E[g g^T] = I / their number; all of the space where that is small."""
    many = _SIGNS_OF_SMALL if d * k <= _SMALL else _SIGNS
    if k <= many:
        return np.eye(k)
    drawn = np.random.Generator(np.random.PCG64(seed)).integers(0, 2, (k, many), dtype=np.int8)
    return np.where(drawn, 1.0, -1.0) / np.float64(math.sqrt(many))


def _add(total: Matrix, weight: float, factor: NDArray[np.float32], room: Matrix) -> None:
    """total += weight * factor, in steps that numpy has fast loops for."""
    room[:] = factor
    room *= weight
    total += room


def _module(b: Matrix, a: Matrix, scale: float) -> Module:
    return Module(b.astype(np.float32), a.astype(np.float32), scale)


def _check_scale(name: str, part: Module, scale: float) -> None:
    if part.scale != scale:
        raise UserFacingError("combine.mixed_scales", module=name)


def _energies(columns: Matrix, rows: Matrix, size: int) -> tuple[float, float]:
    """|B A|^2 of the first `size` columns and rows, and of all.

    It is the sum of (B^T B) * (A A^T), never d x k. With hundreds of sites B is wider than B A: then a few rows of the
    product at a time.
    """
    (d, width), k = columns.shape, rows.shape[1]
    if width * width <= d * k:
        energies = (columns.T @ columns) * (rows @ rows.T)
        return max(0.0, float(np.sum(energies[:size, :size]))), max(0.0, float(np.sum(energies)))
    first = whole = 0.0
    for at in range(0, d, step := max(1, _MOST_NUMBERS // k)):
        product = columns[at : at + step, :size] @ rows[:size]
        first += float(np.vdot(product, product))
        product += columns[at : at + step, size:] @ rows[size:]
        whole += float(np.vdot(product, product))
    return first, whole
