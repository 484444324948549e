# SPDX-License-Identifier: Apache-2.0
"""FedSA-LoRA (arXiv 2410.01463): every site trains A and B but shares only A; B stays at the site.

The result is one model per site and no global one: the published adapter holds the mean A and the B of the first start,
which is zero and is where a site that joins late begins. Weights by notes. Fed-MedLoRA's code, which has this method as
a baseline, averages B once after the last round; here B never leaves.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from .method import Opening, WeighedByNotes


class FedSa(WeighedByNotes):
    """All sites need the same rank: a site's own B is in the basis of the common A, which truncation changes."""

    mixes_ranks: ClassVar[bool] = False

    name: Literal["fedsa"] = "fedsa"

    def asks(self, site: str, opening: Opening) -> dict[str, Any]:
        return {"own": ("B",)}
