# SPDX-License-Identifier: Apache-2.0
"""FedProx (Li et al. 2020, arXiv 1812.06127, eq. 2) on LoRA: a proximal term keeps each site near the round's start.

    loss + (mu / 2) |x - x_start|^2

on "factors": x is all numbers of A and B, as in OpenFedLLM's code, so mu acts unevenly on the two. on "product":
x = s B A, by the trace identity, which does not depend on the basis (inferred). mu = 0.01 is OpenFedLLM's default. For
a site of smaller rank, x_start is the start cut back to that rank. Weights by notes.
"""

from __future__ import annotations

from typing import Any, Literal

from ...bounds import PositiveFloat
from ..objectives import Proximal
from .method import Opening, ServerStep, WeighedByNotes


class FedProx(ServerStep, WeighedByNotes):
    name: Literal["fedprox"] = "fedprox"
    mu: PositiveFloat = 0.01
    on: Literal["factors", "product"] = "factors"

    def asks(self, site: str, opening: Opening) -> dict[str, Any]:
        return {"objective": (Proximal(mu=self.mu, on=self.on),)}
