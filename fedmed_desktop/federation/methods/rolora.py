# SPDX-License-Identifier: Apache-2.0
"""RoLoRA (arXiv 2502.01755, at second hand): trains and averages B in odd rounds and A in even ones.

The other factor is frozen. So each average is exact, and an update is half as large, since it holds one factor. Weights
by notes. With few rounds each factor is trained only once or twice.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from .method import Opening, WeighedByNotes


class RoLora(WeighedByNotes):
    """All sites need the same rank: truncating the start would change the frozen factor."""

    mixes_ranks: ClassVar[bool] = False

    name: Literal["rolora"] = "rolora"

    def asks(self, site: str, opening: Opening) -> dict[str, Any]:
        return {"freeze": ("A" if opening.round % 2 else "B",)}
