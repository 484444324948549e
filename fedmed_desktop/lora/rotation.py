# SPDX-License-Identifier: Apache-2.0
"""Rotation of an adapter's factors towards a reference (FedRot-LoRA, arXiv 2602.23638; formulas at second hand).

Any rotation R leaves delta W = s (B R)(R^T A) unchanged, but averages of factors depend on R. Each site takes the R
that brings its factor closest to the last global one, so that less is lost in averaging.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..arrays import np
from .adapter import Adapter
from .algebra import check_same_modules
from .module import Module, to_float32

if TYPE_CHECKING:
    from numpy.typing import NDArray


def rotated(adapter: Adapter, reference: Adapter, round_number: int, strength: float) -> Adapter:
    """The same delta W with factors rotated towards `reference`: by A in odd rounds, by B in even ones.

    `strength` l in [0, 1]: R is the rotation nearest to (1 - l) I + l R*, R* the best one (orthogonal Procrustes
    with determinant 1). The paper takes 0.4 to 0.6. `reference` is the start as the site resized it, with the adapter's
    modules, shapes and ranks. Raises UserFacingError if modules differ, ValueError for other ranks or strengths.
    """
    if not 0 <= strength <= 1:
        raise ValueError("the strength of a rotation is between 0 and 1")
    check_same_modules(adapter, reference)
    if adapter.ranks != reference.ranks:
        raise ValueError("a rotation needs a reference of the same ranks")
    return Adapter(
        {name: _rotated(module, reference[name], round_number, strength) for name, module in adapter.items()}
    )


def _rotated(module: Module, reference: Module, round_number: int, strength: float) -> Module:
    a, b = module.A.astype(np.float64), module.B.astype(np.float64)
    towards = reference.A @ a.T if round_number % 2 else reference.B.T.astype(np.float64) @ b
    best = _nearest_rotation(towards.T)
    soft = _nearest_rotation((1 - strength) * np.eye(module.rank) + strength * best)
    return Module(to_float32(b @ soft), to_float32(soft.T @ a), module.scale)


def _nearest_rotation(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rotation R with the largest tr(R^T matrix); the identity if the matrix is zero."""
    u, _, vt = np.linalg.svd(matrix)
    u[:, -1] *= np.sign(np.linalg.det(u @ vt))  # -1 would be a reflection
    nearest: NDArray[np.float64] = u @ vt
    return nearest


def turned_towards(adapter: Adapter, reference: Adapter) -> Adapter:
    """The same delta W in the basis nearest to that of `reference`, whose modules, shapes and ranks are the adapter's.

    B Q and Q^T A, Q the orthogonal matrix, reflections among them, that minimises |B Q - B_ref|^2 + |Q^T A - A_ref|^2.
    Factors that were balanced stay so. The last bits depend on the number of BLAS threads.
    """
    return Adapter({name: _turned_towards(module, reference[name]) for name, module in adapter.items()})


def _turned_towards(module: Module, reference: Module) -> Module:
    a, b = module.A.astype(np.float64), module.B.astype(np.float64)
    u, _, vt = np.linalg.svd(b.T @ reference.B + a @ reference.A.T)
    turn = u @ vt
    return Module(to_float32(b @ turn), to_float32(turn.T @ a), module.scale)
