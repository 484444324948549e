# SPDX-License-Identifier: Apache-2.0
"""FedAvgM (Hsu et al. 2019, arXiv 1909.06335, section 4.2; Reddi et al. 2021, arXiv 2003.00295): the server keeps going
where it went.

    m <- momentum m + delta,        x' = x + server_step m,        delta = sum_i w_i y_i - x

A change so counts 1 / (1 - momentum) times in all, over the rounds that follow. momentum 0.9 is both papers'. Others
write m <- momentum m + (1 - momentum) delta (OpenFedLLM): that is server_step = 1 - momentum here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from .server_optimizer import ServerOptimizer

if TYPE_CHECKING:
    from .server_optimizer import Float64


class FedAvgM(ServerOptimizer):
    name: Literal["fedavgm"] = "fedavgm"
    momentum: float = Field(0.9, ge=0, lt=1)
    server_step: float = Field(1.0, gt=0, le=4)

    def first(self, zeros: Float64) -> list[Float64]:
        return [zeros]

    def step(self, delta: Float64, state: Sequence[Float64]) -> tuple[Float64, list[Float64]]:
        m = self.momentum * state[0] + delta
        return self.server_step * m, [m]
