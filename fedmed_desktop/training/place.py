# SPDX-License-Identifier: Apache-2.0
"""Place of this process among those that torchrun has started for one site; read without loading torch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import UserFacingError


@dataclass(frozen=True)
class Place:
    """One process of so many, all on one machine. That of rank 0 leads: it is the site, and the others follow."""

    rank: int
    count: int

    @property
    def leads(self) -> bool:
        return self.rank == 0


def place_of(environment: Mapping[str, str] = os.environ) -> Place | None:
    """The place that torchrun's variables name; None where this process is alone.

    Raises UserFacingError where there are several machines: what passes between the processes is not encrypted, and
    it is the site's notes.
    """
    count = int(environment.get("WORLD_SIZE", "1"))
    if count == 1 or "RANK" not in environment:
        return None
    if int(environment.get("LOCAL_WORLD_SIZE", count)) != count:
        raise UserFacingError("training.several_machines")
    return Place(int(environment["RANK"]), count)
