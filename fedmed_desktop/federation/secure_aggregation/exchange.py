# SPDX-License-Identifier: Apache-2.0
"""Progress of a round's masking at the coordinator, as one value of the rounds' state. It holds no secret."""

from __future__ import annotations

from pydantic import AwareDatetime, Field

from ...bounds import PositiveInt
from ...identity import Signature
from ..plan import Masking
from ..values import Frozen, Sha256
from .values import LEAST_SITES, Keys, Opening, Reveal, SealedShares, Session, threshold_of


class Exchange(Frozen):
    """Words of the sites so far in the session `number` of a round, by site.

    `roster`: those among which secrets are shared, once their keys are known to all. `members`: the same, which mask
    together, once the shares of all are known to all. `survivors`: those whose updates are summed, once the round is
    closed. `since`: when the present wait began.
    """

    number: PositiveInt = 1
    since: AwareDatetime
    federation: Sha256 | None = None
    keys: dict[str, Keys] = Field(default_factory=dict)
    roster: tuple[str, ...] = ()
    boxes: dict[str, dict[str, SealedShares]] = Field(default_factory=dict)
    members: tuple[str, ...] = ()
    survivors: tuple[str, ...] = ()
    agreements: dict[str, Signature] = Field(default_factory=dict)
    reveals: dict[str, Reveal] = Field(default_factory=dict)

    def threshold(self, masking: Masking) -> int:
        return threshold_of(masking.threshold, len(self.roster))

    def least(self, masking: Masking) -> int:
        """Number of updates that there must be for a sum."""
        return max(LEAST_SITES, self.threshold(masking))

    def session(self, round_number: int, layout: Sha256) -> Session:
        assert self.federation is not None  # it came with the first keys
        return Session(federation=self.federation, round=round_number, layout=layout, number=self.number)

    def opening(self, round_number: int, layout: Sha256, masking: Masking) -> Opening:
        return Opening(
            session=self.session(round_number, layout),
            masking=masking,
            keys={site: self.keys[site] for site in self.roster},
            members=self.members,
            survivors=self.survivors,
            reveals=self.reveals,
        )
