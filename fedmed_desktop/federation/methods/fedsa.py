# SPDX-License-Identifier: Apache-2.0
"""FedSA-LoRA (arXiv 2410.01463): every site trains A and B, but only A leaves; B stays the site's own.

Gives one model per site and no global one: the published adapter holds the mean A and the B of the first start, which
is zero; a site that joins late begins with that B (methods 4.7). Weights by notes. Fed-MedLoRA's code, which
has it as a baseline, averages B once after the last round; here B never leaves.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from ..plan import Plan
from .method import Opening, WeighedByNotes, with_all


class FedSa(WeighedByNotes):
    """All sites need one rank: a site's own B belongs to the basis of the common A, which cutting it back changes."""

    mixes_ranks: ClassVar[bool] = False

    name: Literal["fedsa"] = "fedsa"

    def plan(self, opening: Opening) -> dict[str, Plan]:
        return with_all(super().plan(opening), own=("B",))
