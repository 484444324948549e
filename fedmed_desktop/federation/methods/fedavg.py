# SPDX-License-Identifier: Apache-2.0
"""FedAvg on adapters (McMahan et al. 2017, arXiv 1602.05629; on LoRA factors FedIT, arXiv 2305.05644)."""

from __future__ import annotations

from typing import Literal

from .method import ServerStep, WeighedByNotes


class FedAvg(ServerStep, WeighedByNotes):
    """Averages A and B separately, weighted by training notes. Inexact: each round records the residual."""

    name: Literal["fedavg"] = "fedavg"
