# SPDX-License-Identifier: Apache-2.0
"""SA-FedLoRA (arXiv 2405.09394): a rank that falls on a schedule, after a stage that keeps sites near the common model.

The paper's formulas were not available, so all of these are inferred. The schedule is AdaLoRA's cubic one (arXiv
2303.10512). Of T rounds, T_i are initiating, T_h keep the first rank r_0 (`lora.rank`) and T_f have the last, r_T:

    r(t) = r_0                                                                    t <= T_i + T_h
    r(t) = r_T                                                                    t >= T - T_f
    r(t) = floor(r_T + (r_0 - r_T) (1 - (t - T_i - T_h) / (T - T_i - T_h - T_f))^3)   in between

In the initiating stage the paper trains the whole model with a penalty; here FedProx's term takes its place. Weights by
notes, with any way of combining. The coordinator cuts the next start back, so that all sites start from the same
factors (signs of an SVD differ between machines); the fresh adapter after a stack is cut back too.
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ...bounds import PositiveFloat, PositiveInt
from ...lora import algebra
from ..actions import Combine
from ..combine import Combination, Sources
from ..objectives import Proximal
from .method import Opening, WeighedByNotes


class SaFedLora(WeighedByNotes):
    """Settings. `initiating`, `hold` and `final` are shares of all rounds, in whole rounds.

    The first is rounded up, so that a federation of few rounds has that stage too; the others are rounded down. A
    `rank_last` above `lora.rank` counts as `lora.rank`. All sites train at the round's rank, so no site may have a cap
    below the first.
    """

    mixes_ranks: ClassVar[bool] = False

    name: Literal["sa_fedlora"] = "sa_fedlora"
    rank_last: PositiveInt = 4
    initiating: float = Field(0.1, gt=0, le=1)
    hold: float = Field(0.1, ge=0, le=1)
    final: float = Field(0.2, ge=0, le=1)
    mu: PositiveFloat = 0.01

    @model_validator(mode="after")
    def _stages_fit(self) -> Self:
        if _exact(self.initiating) + _exact(self.hold) + _exact(self.final) > 1:
            raise ValueError("initiating, hold and final are shares of all rounds; together they must not exceed 1")
        return self

    @property
    def rank_follows(self) -> Literal["nothing", "drift", "schedule"]:
        return "schedule"

    def rank(self, site: str, opening: Opening) -> int:
        return self.rank_at(opening.round, opening.rounds, opening.rank)

    def asks(self, site: str, opening: Opening) -> dict[str, Any]:
        initiating = opening.round <= self._stages(opening.rounds)[0]
        return {"objective": (Proximal(mu=self.mu),)} if initiating else {}

    def finish(self, closed: Combine, sources: Sources, combination: Combination) -> Combination:
        rank = self.rank_at(closed.round + 1, closed.rounds, closed.rank)
        adapter, lost = algebra.shrink(combination.adapter, rank)
        return replace(combination, adapter=adapter, state=closed.state, measures={"energy_cut": lost})

    def rank_at(self, number: int, rounds: int, first: int) -> int:
        """r(t), starting at `first`; after the last round it stays."""
        initiating, held, final = self._stages(rounds)
        number, last, held = min(number, rounds), min(self.rank_last, first), initiating + held
        if number <= held:
            return first
        if number >= rounds - final:
            return last
        left = 1 - Fraction(number - held, rounds - held - final)
        return math.floor(last + (first - last) * left**3)

    def _stages(self, rounds: int) -> tuple[int, int, int]:
        """Number of rounds in the initiating stage, the hold after it and the final stage."""
        shares = (self.initiating, self.hold, self.final)
        initiating, hold, final = (_exact(share) * rounds for share in shares)
        return math.ceil(initiating), math.floor(hold), math.floor(final)


def _exact(share: float) -> Fraction:
    """The share as written in decimals: 0.29 of 100 rounds is 29, which floats would round down to 28."""
    return Fraction(repr(share))
