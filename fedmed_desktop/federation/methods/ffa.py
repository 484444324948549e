# SPDX-License-Identifier: Apache-2.0
"""FFA-LoRA (arXiv 2403.12313): A stays what it was at the first start, at all sites; B alone is trained and averaged.

So the average is exact, and an update is half as large: it holds B (methods 4.6). Weights by notes. It depends on the
first A; the paper's remedy, an orthonormal one and a higher learning rate for B, is not part of it here.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from ..plan import Plan
from .method import Opening, WeighedByNotes, with_all


class Ffa(WeighedByNotes):
    """All sites need one rank: a start that is cut back to a smaller one has another A, and A is to stay."""

    mixes_ranks: ClassVar[bool] = False

    name: Literal["ffa"] = "ffa"

    def plan(self, opening: Opening) -> dict[str, Plan]:
        return with_all(super().plan(opening), freeze=("A",))
