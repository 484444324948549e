# SPDX-License-Identifier: Apache-2.0
"""The adapter that a federation begins with: untrained, or one that was trained before."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import UserFacingError
from . import algebra
from .adapter import Adapter


def first_adapter(
    shapes: Mapping[str, tuple[int, int]], rank: int, scale: float, seed: int, begin_with: Adapter | None = None
) -> Adapter:
    """Returns `begin_with` at this rank and scale with its delta W; without it A is random from `seed` and B zero.

    `shapes`: module name -> (d, k). Raises UserFacingError like `check_begins`.
    """
    if begin_with is None:
        return Adapter.initial(shapes, rank, scale, seed)
    check_begins(shapes, begin_with, rank)
    return algebra.grow(algebra.at_scale(begin_with, scale), rank, seed)


def check_begins(shapes: Mapping[str, tuple[int, int]], begin_with: Adapter, rank: int | None = None) -> None:
    """Raises UserFacingError where `begin_with` has other modules than `shapes`, or a larger rank than `rank`."""
    algebra.check_same_shapes(begin_with.shapes, shapes)
    if rank is not None and (largest := max(begin_with.ranks.values())) > rank:
        raise UserFacingError("spec.begins_with_rank", rank=largest, most=rank)
