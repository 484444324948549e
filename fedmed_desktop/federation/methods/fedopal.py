# SPDX-License-Identifier: Apache-2.0
"""FedOPAL (Tupper and Gagne, arXiv 2510.12741): a common and a personal adapter, trained together and held apart.

    h = W x + s_g B_g A_g x + s_p B_p A_p x,      loss + weight * overlap(g, p)                          (methods 3)

They describe it for images; the abstract, which is all that could be read, gives neither the overlap nor its weight, so
both of ours (plan.Orthogonal) are inferred; 0.5 is O-LoRA's start value. The common adapter is averaged by notes, in
any way of combining; after a stack the personal one is held apart from the fresh adapter, not from what lies frozen.
The personal one is the site's alone: no plan asks for it, and the coordinator knows of it no more than its rank.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ..plan import Orthogonal, Plan
from .method import Opening, WeighedByNotes


class FedOpal(WeighedByNotes):
    """`personal_rank` is cut to a site's cap, as the common adapter's rank is."""

    name: Literal["fedopal"] = "fedopal"
    weight: float = Field(0.5, ge=0)
    on: Literal["weights", "outputs"] = "weights"
    personal_rank: int = Field(8, ge=1, le=1024)

    def plan(self, opening: Opening) -> dict[str, Plan]:
        plans = super().plan(opening)
        return {
            site: plan.model_copy(update={"objective": (self._term(site, opening),)}) for site, plan in plans.items()
        }

    def _term(self, site: str, opening: Opening) -> Orthogonal:
        return Orthogonal(weight=self.weight, on=self.on, rank=opening.capped(site, self.personal_rank))
