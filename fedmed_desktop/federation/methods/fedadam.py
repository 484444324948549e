# SPDX-License-Identifier: Apache-2.0
"""FedAdam (Reddi et al. 2021, arXiv 2003.00295, algorithm 2): Adam at the server, on the sites' mean change.

    m <- beta1 m + (1 - beta1) delta,          m = 0 at first
    v <- beta2 v + (1 - beta2) delta^2,        v = tau^2 at first
    x' = x + server_step m / (sqrt(v) + tau),  delta = sum_i w_i y_i - x,  number by number

Without Adam's correction of the bias, as in the paper. beta1 0.9, beta2 0.99 are the paper's; server_step and tau 1e-3
are OpenFedLLM's, whose rounds are of 10 steps at a rate of 5e-5. A round moves no number of a factor by much more than
server_step, whatever the sites did: longer rounds, or larger rates, need a larger one (guide/method-fedadam.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ...arrays import np
from .server_optimizer import ServerOptimizer

if TYPE_CHECKING:
    from .server_optimizer import Float64


class FedAdam(ServerOptimizer):
    name: Literal["fedadam"] = "fedadam"
    server_step: float = Field(1e-3, gt=0, le=4)
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.99, ge=0, lt=1)
    tau: float = Field(1e-3, ge=1e-9, le=1)

    def first(self, zeros: Float64) -> list[Float64]:
        return [zeros, zeros + self.tau**2]

    def step(self, delta: Float64, state: Sequence[Float64]) -> tuple[Float64, list[Float64]]:
        m = self.beta1 * state[0] + (1 - self.beta1) * delta
        v = self.beta2 * state[1] + (1 - self.beta2) * delta**2
        return self.server_step * m / (np.sqrt(v) + self.tau), [m, v]
