# SPDX-License-Identifier: Apache-2.0
"""FFA-LoRA (arXiv 2403.12313): A stays as it was initialised, at all sites; only B is trained and averaged.

So the average is exact, and an update is half as large, since it holds B alone. Weights by notes. Results depend on the
initial A; an orthonormal A and a higher learning rate for B, which help, are not implemented.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from .method import Opening, WeighedByNotes


class Ffa(WeighedByNotes):
    """All sites need the same rank: truncating the start would change A, which must stay as it is."""

    mixes_ranks: ClassVar[bool] = False

    name: Literal["ffa"] = "ffa"

    def asks(self, site: str, opening: Opening) -> dict[str, Any]:
        return {"freeze": ("A",)}
