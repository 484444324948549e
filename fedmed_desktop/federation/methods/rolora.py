# SPDX-License-Identifier: Apache-2.0
"""RoLoRA (arXiv 2502.01755): trains and averages B in odd rounds and A in even ones; the other factor is held.

So each average is exact, and an update holds the factor that was trained: half the size (methods 4.9, at second hand).
Weights by notes. In few rounds each factor moves once or twice only.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from ..plan import Plan
from .method import Opening, WeighedByNotes, with_all


class RoLora(WeighedByNotes):
    """All sites need one rank: a start that is cut back to a smaller one has another held factor than the others'."""

    mixes_ranks: ClassVar[bool] = False

    name: Literal["rolora"] = "rolora"

    def plan(self, opening: Opening) -> dict[str, Plan]:
        held = "A" if opening.round % 2 else "B"
        return with_all(super().plan(opening), freeze=(held,))
