# SPDX-License-Identifier: Apache-2.0
"""FlexLoRA (arXiv 2402.11505): averages delta W itself and cuts it back to the planned rank; weights by notes.

Their code puts all singular mass on B; ours splits it evenly (sqrt(S) on both sides), which trains on better, and never
forms d x k (QR form, methods 4.2). It is FedAvg with `combine = "product"`, under its own name.
"""

from __future__ import annotations

from typing import Literal

from .method import WeighedByNotes


class FlexLora(WeighedByNotes):
    name: Literal["flexlora"] = "flexlora"
