# SPDX-License-Identifier: Apache-2.0
"""What the rounds are told. Every input that changes something is one row of the coordinator's ledger."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue, PositiveInt, TypeAdapter

from .plan import Frozen, Sha256
from .update import Scalar, Update


class SiteJoined(Frozen):
    """A site that may take part from the next round that opens. `rank_cap`: the largest rank its hardware bears."""

    input: Literal["joined"] = "joined"
    site: str
    rank_cap: PositiveInt | None = None


class AwaitsApproval(Frozen):
    """The site's update waits for its operator; the approval clock starts."""

    input: Literal["awaits_approval"] = "awaits_approval"
    site: str
    round: int


class UpdateArrived(Frozen):
    """All parts of the update are checked and on disk.

    `shared_loss`: of this update's model on the federation's validation notes, where the coordinator measures it.
    """

    input: Literal["update"] = "update"
    site: str
    update: Update
    shared_loss: Scalar | None = None


class SiteDeclined(Frozen):
    """The site gives nothing this round; a code, never the operator's words."""

    input: Literal["declined"] = "declined"
    site: str
    round: int
    code: str = Field(max_length=64)


class TimePassed(Frozen):
    input: Literal["time"] = "time"


class RoundCombined(Frozen):
    """The combination of round `round` is on disk under `adapter`."""

    input: Literal["combined"] = "combined"
    round: int
    adapter: Sha256
    frozen: Sha256 | None = None
    control: Sha256 | None = None
    state: dict[str, JsonValue] = Field(default_factory=dict)
    measures: dict[str, float] = Field(default_factory=dict)
    residual: float
    norm: float
    effective_rank: float


class Resumed(Frozen):
    """The host lets a paused federation try again."""

    input: Literal["resumed"] = "resumed"


Input = SiteJoined | AwaitsApproval | UpdateArrived | SiteDeclined | TimePassed | RoundCombined | Resumed
INPUT: TypeAdapter[Input] = TypeAdapter(Annotated[Input, Field(discriminator="input")])
