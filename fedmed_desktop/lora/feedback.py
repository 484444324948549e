# SPDX-License-Identifier: Apache-2.0
"""Error feedback: what packing took from an update is kept at the site and added to its next one.

(1-bit SGD's error feedback; Karimireddy et al., arXiv 1901.09847.) What is kept is an adapter whose delta W is exactly
what the trained adapter's has beyond the sent one's: B = [lost of B, sent B], A = [trained A; lost of A]. So it holds
both the factors' own losses, which are right while the federation keeps its basis (factors are averaged), and their
product, which is carried into the next start's basis where products are combined.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from ..arrays import np
from .adapter import Adapter
from .algebra import Cut
from .module import Factor, Module

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Directions of a start this much smaller than its largest are left out: the loss divided by them would explode.
_LEAST_SHARE: Final = 1e-2


def with_lost(trained: Adapter, lost: Adapter | None, begun: Adapter, factors: Sequence[Factor], cut: Cut) -> Adapter:
    """The trained adapter with what earlier packing lost, in the factors that are shared."""
    if lost is None or lost.shapes != trained.shapes:
        return trained
    modules = {}
    for name, module in trained.items():
        b, a = _carried(lost[name], begun[name], cut)
        modules[name] = Module(
            module.B + b if "B" in factors else module.B, module.A + a if "A" in factors else module.A, module.scale
        )
    return Adapter(modules)


def lost_in(target: Adapter, sent: Adapter, before: Adapter | None, factors: Sequence[Factor]) -> Adapter:
    """The adapter to keep for the next update. A factor that did not travel keeps its loss of `before`."""
    modules = {}
    for name, module in target.items():
        there, rank = sent[name], module.rank
        b, a = module.B - there.B, module.A - there.A
        if before is not None and before[name].rank == 2 * rank and len(factors) == 1:
            b, a = (before[name].B[:, :rank], a) if factors[0] == "A" else (b, before[name].A[rank:])
        modules[name] = Module(np.concatenate([b, there.B], 1), np.concatenate([module.A, a]), module.scale)
    return Adapter(modules)


def _carried(lost: Module, begun: Module, cut: Cut) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The loss as changes of B and A of this start."""
    if cut == "first":
        return _in_kept_basis(lost, begun)
    return _in_new_basis(lost, begun)


def _in_kept_basis(lost: Module, begun: Module) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The factors' own losses; where the rank has changed, of the directions that both have."""
    rank = lost.rank // 2
    both = min(rank, begun.rank)
    b, a = np.zeros_like(begun.B), np.zeros_like(begun.A)
    b[:, :both], a[:both] = lost.B[:, :both], lost.A[rank : rank + both]
    return b, a


def _in_new_basis(lost: Module, begun: Module) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The change (b, a) for which b A + B a is nearest to the loss, E: what lies in both spaces is shared evenly.

    With the projections P of B's columns and Q of A's rows, b = (E - P E / 2) A+ and a = B+ (E - E Q / 2), so that
    b A + B a = P E + E Q - P E Q. E is never formed.
    """
    u, v = lost.B.astype(np.float64), lost.A.astype(np.float64) * (lost.scale / begun.scale)
    b, a = begun.B.astype(np.float64), begun.A.astype(np.float64)
    b_inverse, a_inverse = np.linalg.pinv(b, rcond=_LEAST_SHARE), np.linalg.pinv(a, rcond=_LEAST_SHARE)
    change_b = (u - b @ (b_inverse @ u) / 2) @ (v @ a_inverse)
    change_a = (b_inverse @ u) @ (v - (v @ a_inverse) @ a / 2)
    return change_b.astype(np.float32), change_a.astype(np.float32)
