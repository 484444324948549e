# SPDX-License-Identifier: Apache-2.0
"""FedAvg on adapters (McMahan et al. 2017; on LoRA factors: FedIT / Shepherd): weights by the number of notes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from ..update import Report
from .method import Method, normalised


class FedAvg(Method):
    """Averages A and B separately, weighted by training notes. Inexact: see the residual that each round logs."""

    name: Literal["fedavg"] = "fedavg"

    def weigh(self, reports: Mapping[str, Report]) -> dict[str, float]:
        return normalised({site: float(r.notes) for site, r in reports.items()})
