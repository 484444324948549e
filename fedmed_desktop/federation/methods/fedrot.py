# SPDX-License-Identifier: Apache-2.0
"""FedRot-LoRA (arXiv 2602.23638, at second hand): sites rotate their factors towards the last global ones.

The rotation leaves delta W unchanged but reduces what averaging the factors loses. Sites do it before they upload
(lora.rotation); the coordinator averages factors as FedAvg does. The paper's strengths are 0.4 to 0.6.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from .method import Opening, WeighedByNotes


class FedRot(WeighedByNotes):
    """All sites need the same rank: the factors that they rotate towards must be the same everywhere."""

    mixes_ranks: ClassVar[bool] = False

    name: Literal["fedrot"] = "fedrot"
    strength: float = Field(0.5, ge=0, le=1)

    def asks(self, site: str, opening: Opening) -> dict[str, Any]:
        return {"rotation": self.strength}
