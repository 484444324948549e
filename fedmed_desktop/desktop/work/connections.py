# SPDX-License-Identifier: Apache-2.0
"""Connections that this program made: to which host, why and when. Kept with the settings, on this computer only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

Why = Literal["part", "check"]
MOST: Final = 40


class Connection(BaseModel):
    """`host` with its port. `why`: "part" to take part in a federation, "check" to look at the way there."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    host: str
    why: Why
    first: AwareDatetime
    last: AwareDatetime
    times: int = 1


def noted(known: Sequence[Connection], host: str, why: Why, now: datetime) -> list[Connection]:
    """The list with this connection first; one to the same host for the same reason only has its count raised."""
    same = next((one for one in known if (one.host, one.why) == (host, why)), None)
    made = Connection(host=host, why=why, first=now, last=now)
    if same is not None:
        made = same.model_copy(update={"last": now, "times": same.times + 1})
    return [made, *(one for one in known if one is not same)][:MOST]
