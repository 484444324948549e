# SPDX-License-Identifier: Apache-2.0
"""Base of the methods that combine products and may choose how a product becomes two factors again."""

from __future__ import annotations

from pydantic import Field

from ...lora import Adapter
from ...lora.algebra import Cut, Split, module_fresh_split
from .method import Method, Opening


class ProductSplit(Method):
    """`split` "balanced": singular values are shared evenly, sqrt(S) on B and on A. "fresh": rows of A are as large as
    those of a first adapter, and all the rest is in B; delta W is the same (algebra.module_fresh_split). Inferred.

    FlexLoRA's code is nearest to "fresh": its A has rows of norm 1, a first one's have sqrt(1/3).
    """

    split: Split = Field("balanced", exclude_if=lambda value: value == "balanced")

    def cut(self, opening: Opening) -> Cut:
        return "fresh" if self.split == "fresh" and opening.cut == "best" else opening.cut

    def as_split(self, adapter: Adapter) -> Adapter:
        """The combined adapter in factors that are split so."""
        return adapter.map(module_fresh_split) if self.split == "fresh" else adapter
