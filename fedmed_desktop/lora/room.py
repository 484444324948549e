# SPDX-License-Identifier: Apache-2.0
"""Room: memory for the matrices of one module, kept for the next one. Fresh pages cost more than the arithmetic."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from ..arrays import np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Room:
    """Memory for one user at a time: what was handed out before is overwritten."""

    def __init__(self) -> None:
        self._flat: NDArray[np.float64] = np.empty(0)

    def matrices(self, *shapes: tuple[int, int]) -> list[NDArray[np.float64]]:
        """Matrices of these shapes, with anything in them."""
        sizes = [rows * columns for rows, columns in shapes]
        if sum(sizes) > len(self._flat):
            self._flat = np.empty(0)  # first, so that the two are never held together
            self._flat = np.empty(sum(sizes))
        ends = accumulate(sizes)
        return [
            self._flat[end - size : end].reshape(shape) for end, size, shape in zip(ends, sizes, shapes, strict=True)
        ]
