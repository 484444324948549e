# SPDX-License-Identifier: Apache-2.0
"""FedAvg on adapters (McMahan et al. 2017; on LoRA factors: FedIT / Shepherd): weights by the number of notes."""

from __future__ import annotations

from typing import Literal

from .method import WeighedByNotes


class FedAvg(WeighedByNotes):
    """Averages A and B separately, weighted by training notes. Inexact: see the residual that each round logs."""

    name: Literal["fedavg"] = "fedavg"
