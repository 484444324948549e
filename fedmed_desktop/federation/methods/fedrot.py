# SPDX-License-Identifier: Apache-2.0
"""FedRot-LoRA (arXiv 2602.23638): each site turns its factors towards the last global ones before they are averaged.

The turn changes no delta W, only what averaging the factors loses; it is the site's side (lora.rotation), and the
coordinator averages factors as FedAvg does (methods 4.10, at second hand; strengths of 0.4 to 0.6 there).
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from ..plan import Plan
from .method import Opening, WeighedByNotes, with_all


class FedRot(WeighedByNotes):
    """All sites need one rank: the factors that they turn towards must be the same ones at every site."""

    mixes_ranks: ClassVar[bool] = False

    name: Literal["fedrot"] = "fedrot"
    strength: float = Field(0.5, ge=0, le=1)

    def plan(self, opening: Opening) -> dict[str, Plan]:
        return with_all(super().plan(opening), rotation=self.strength)
