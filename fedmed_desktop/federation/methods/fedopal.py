# SPDX-License-Identifier: Apache-2.0
"""FedOPAL (Tupper and Gagne, arXiv 2510.12741): a common and a personal adapter, trained together but kept orthogonal.

    h = W x + s_g B_g A_g x + s_p B_p A_p x,      loss + weight * overlap(g, p)

Published for images; only the abstract was available, which gives neither the overlap nor its weight. Both are inferred
here (plan.Orthogonal); 0.5 is O-LoRA's default (arXiv 2310.14152). The common adapter is averaged by notes, with any
way of combining; after a stack, the personal adapter is kept apart from the fresh adapter, not from the frozen one. The
personal adapter never leaves its site: no plan asks for it, and the coordinator knows only its rank.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from ...bounds import Scalar
from ..objectives import Orthogonal
from .method import Opening, WeighedByNotes


class FedOpal(WeighedByNotes):
    """Settings. `personal_rank` is limited by a site's cap, like the rank of the common adapter."""

    name: Literal["fedopal"] = "fedopal"
    weight: Scalar = 0.5
    on: Literal["weights", "outputs"] = "weights"
    personal_rank: int = Field(8, ge=1, le=1024)

    def asks(self, site: str, opening: Opening) -> dict[str, Any]:
        rank = opening.capped(site, self.personal_rank)
        return {"objective": (Orthogonal(weight=self.weight, on=self.on, rank=rank),)}
