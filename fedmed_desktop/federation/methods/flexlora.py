# SPDX-License-Identifier: Apache-2.0
"""FlexLoRA (arXiv 2402.11505): averages delta W itself and truncates it to the planned rank; weights by notes.

The authors' code puts the singular values on B; ours splits them evenly (sqrt(S) on both sides), which is better for
further training (inferred), and works in QR form, never forming d x k. The same as FedAvg with `combine = "product"`.
"""

from __future__ import annotations

from typing import Literal

from .method import WeighedByNotes


class FlexLora(WeighedByNotes):
    name: Literal["flexlora"] = "flexlora"
