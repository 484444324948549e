# SPDX-License-Identifier: Apache-2.0
"""FedEx-LoRA (arXiv 2410.09432): averages the factors and adds to the base what the average misses.

    A <- mean A_k,   B <- mean B_k,   W0 <- W0 + s (sum p_k B_k A_k - B A)

The missed part lies frozen beside the base as two thin factors, summed over the rounds and cut back to
`lora.frozen_rank` by QR and SVD when it grows larger, so 4-bit bases work too. The authors' code gives all sites equal
weight; ours weighs by notes. Published for equal ranks; here smaller ranks are padded with zeros.
"""

from __future__ import annotations

from typing import Literal

from ..combine import Combiner, Combining, combine_factors_exactly
from .method import WeighedByNotes


class FedEx(WeighedByNotes):
    name: Literal["fedex"] = "fedex"

    def combiner(self, combine: Combining) -> Combiner:
        return combine_factors_exactly
