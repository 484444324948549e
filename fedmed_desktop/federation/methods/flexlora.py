# SPDX-License-Identifier: Apache-2.0
"""FlexLoRA (arXiv 2402.11505): averages delta W itself and truncates it to the planned rank; weights by notes.

The authors' code puts the singular values on B; ours splits them evenly (sqrt(S) on both sides; inferred) unless
`split` is "fresh", and works in QR form, never forming d x k. The same as FedAvg with `combine = "product"`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from ..actions import Combine
from ..combine import Combination, Sources
from .method import WeighedByNotes
from .product_split import ProductSplit


class FlexLora(ProductSplit, WeighedByNotes):
    name: Literal["flexlora"] = "flexlora"

    def finish(self, closed: Combine, sources: Sources, combination: Combination) -> Combination:
        return replace(combination, adapter=self.as_split(combination.adapter), state=closed.state)
