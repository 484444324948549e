# SPDX-License-Identifier: Apache-2.0
"""The adapter that a federation begins with: untrained, or one that was trained before."""

from __future__ import annotations

from collections.abc import Mapping

from ..arrays import np
from ..errors import UserFacingError
from . import algebra
from .adapter import Adapter
from .module import Module, kaiming_rows


def first_adapter(
    shapes: Mapping[str, tuple[int, int]], rank: int, scale: float, seed: int, begin_with: Adapter | None = None
) -> Adapter:
    """Returns `begin_with` at this rank and scale with its delta W; without it A is random from `seed` and B zero.

    `shapes`: module name -> (d, k). Raises UserFacingError like `check_begins`.

    PEFT folders hold all modules at one rank: a smaller one is filled up with zeros there, and a small layer may have
    more directions than fit. The latter are cut, and what is zero in both factors, and so could never learn, gets fresh
    rows of A.
    """
    if begin_with is None:
        return Adapter.initial(shapes, rank, scale, seed)
    check_begins(shapes, begin_with, rank)
    rng = np.random.Generator(np.random.PCG64([seed, 1]))  # else some rows would be those that `grow` draws
    fitting, _ = algebra.truncate(begin_with, rank)
    return algebra.grow(algebra.at_scale(fitting.map(lambda module: _able_to_learn(module, rng)), scale), rank, seed)


def _able_to_learn(module: Module, rng: np.random.Generator) -> Module:
    dead = ~(module.B.any(axis=0) | module.A.any(axis=1))
    if not dead.any():
        return module
    a = module.A.copy()
    a[dead] = kaiming_rows(rng, int(dead.sum()), a.shape[1])
    return Module(module.B, a, module.scale)


def check_begins(shapes: Mapping[str, tuple[int, int]], begin_with: Adapter, rank: int | None = None) -> None:
    """Raises UserFacingError where `begin_with` has other modules than `shapes`, or a larger rank than `rank`."""
    algebra.check_same_shapes(begin_with.shapes, shapes)
    if rank is not None and (largest := max(begin_with.ranks.values())) > rank:
        raise UserFacingError("spec.begins_with_rank", rank=largest, most=rank)
