# SPDX-License-Identifier: Apache-2.0
"""State of the rounds: working state of the open one, records of closed ones."""

from __future__ import annotations

from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue

from ..standing import FederationPhase
from .actions import Combine
from .drift import Drift
from .plan import Difference, Plan, References
from .screened import Screening
from .secure_aggregation.exchange import Exchange
from .update import Report, Update
from .values import Frozen, Sha256

# Closed rounds of which the state holds all. A federation may have thousands, each site's scores in every one.
KEPT_ROUNDS: Final = 100


class SiteRecord(Frozen):
    """One site's part in a closed round; `shared_loss` was measured by the site or by the coordinator."""

    update: Update
    sha256: Sha256
    weight: float
    drift: Drift
    rank: int
    effective_rank: float
    shared_loss: float | None = None


class EarlierRound(Frozen):
    """Hashes of a closed round: updates that counted, by site, their parts, and what came of the round."""

    receipts: dict[str, Sha256]
    parts: tuple[Sha256, ...]
    blobs: tuple[Sha256, ...]


class Held(Frozen):
    """A pause by a host: the phase that goes on after it, and since when it is."""

    phase: FederationPhase
    since: AwareDatetime


class RoundRecord(Frozen):
    """A closed round. `norm` and `effective_rank` are those of the next global adapter.

    The resulting model is the base with `adapter` and, if there is one, `frozen`. `residual` is that of
    combine.Combination; `measures` are the method's own figures, by name. `screening`: what it found in the updates.
    `difference`, `rounding`, `lost` and `cuts`: see inputs.RoundCombined.
    """

    round: int
    attempt: int
    opened: AwareDatetime
    closed: AwareDatetime
    reason: str
    start: Sha256
    adapter: Sha256
    frozen: Sha256 | None = None
    control: Sha256 | None = None
    measures: dict[str, float] = Field(default_factory=dict)
    sites: dict[str, SiteRecord]
    declined: dict[str, str]
    missing: tuple[str, ...]
    residual: float | None
    norm: float
    effective_rank: float
    screening: Screening | None = None
    difference: Difference | None = None
    rounding: float | None = None
    lost: Sha256 | None = None
    cuts: dict[int, Sha256] = Field(default_factory=dict, exclude_if=lambda value: not value)

    @property
    def blobs(self) -> tuple[Sha256, ...]:
        """Hashes of what came of the round."""
        packed = self.difference.sha256 if self.difference else None
        return tuple(one for one in (self.adapter, self.frozen, self.control, packed, *self.cuts.values()) if one)

    def in_short(self) -> EarlierRound:
        receipts = {site: one.sha256 for site, one in self.sites.items()}
        parts = tuple(part.sha256 for one in self.sites.values() for part in one.update.parts.values())
        return EarlierRound(receipts=receipts, parts=parts, blobs=self.blobs)


class RoundsState(BaseModel):
    """Working state of the rounds; a dump holds all of it. Only `Rounds` changes it.

    `differences` lead to `start` from earlier ones; `lost` is what rounding took from it, and stays here. `cuts`:
    the start at smaller ranks, where sites fetch it so. `founders`: the sites that round one began with, where updates
    are masked; no other masks with them. `masking`: how far the masking of the open round is. `due` is the combination
    that is outstanding, while the phase is "combining"; of masked updates, once their sum can be opened. `history` has
    the last KEPT_ROUNDS closed rounds; of those before, only what a site may still ask for is kept, by number. `held`:
    a host has paused the rounds, and `resumed` is when one last let them go on.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=False)

    phase: FederationPhase = "gathering"
    round: int = 1
    attempt: int = 1
    sites: list[str] = []
    founders: list[str] = []
    caps: dict[str, int] = {}
    start: Sha256
    frozen: Sha256 | None = None
    control: Sha256 | None = None
    differences: tuple[Difference, ...] = ()
    lost: Sha256 | None = None
    cuts: dict[int, Sha256] = {}
    rank: int
    method: dict[str, JsonValue] = {}
    references: References | None = None
    plans: dict[str, Plan] = {}
    awaiting: dict[str, AwareDatetime] = {}
    updates: dict[str, Update] = {}
    shared_losses: dict[str, float] = {}
    declined: dict[str, str] = {}
    gathering_since: AwareDatetime | None = None
    opened: AwareDatetime | None = None
    closes: AwareDatetime | None = None
    reason: str = ""
    history: list[RoundRecord] = []
    earlier: dict[int, EarlierRound] = {}
    evaluation: dict[str, Report] = {}
    masking: Exchange | None = None
    due: Combine | None = None
    held: Held | None = Field(None, exclude_if=lambda value: value is None)
    resumed: AwareDatetime | None = Field(None, exclude_if=lambda value: value is None)

    def close_round(self, closed: RoundRecord, least: int = 0) -> None:
        """Adds the record of a round, and keeps of one that is too old what a site may ask for.

        `least`: as many rounds as screening compares with, should it want more than are kept anyway.
        """
        history, kept = [*self.history, closed], max(KEPT_ROUNDS, least)
        for old in history[:-kept]:
            self.earlier = self.earlier | {old.round: old.in_short()}
        self.history = history[-kept:]

    @property
    def closed(self) -> int:
        """Number of rounds that are closed."""
        return len(self.earlier) + len(self.history)

    def counted_sites(self) -> set[str]:
        """Sites of which an update has ever counted, also where they were shut out since."""
        earlier = (one.receipts for one in self.earlier.values())
        return set(self.updates).union(*earlier, *(record.sites for record in self.history))

    def needed(self) -> set[Sha256]:
        """Blobs without which the open round cannot go on."""
        named = {one for one in (self.start, self.frozen, self.control, *self.cuts.values()) if one}
        return named.union(*(plan.blobs for plan in self.plans.values()))

    def published(self) -> set[Sha256]:
        """Blobs of which every site may know: results of rounds, and those that plans name."""
        earlier = (one.blobs for one in self.earlier.values())
        return self.needed().union(*earlier, *(record.blobs for record in self.history))

    def parts(self, last: int | None = None) -> set[Sha256]:
        """Blobs that are kept, but not published: what rounding took, and updates that count. Of these, those of the
        open round and the one that is being combined, and of the last closed ones (None: of all).
        """
        before = 0 if last is None else self.closed - last
        closed = [record for record in self.history if record.round > before]
        earlier = [one.parts for number, one in self.earlier.items() if number > before]
        counted = [*self.updates.values(), *(self.due.updates.values() if self.due else ())]
        counted += [site.update for record in closed for site in record.sites.values()]
        lost = {self.lost} if self.lost else set[Sha256]()
        return {part.sha256 for update in counted for part in update.parts.values()}.union(lost, *earlier)

    def overtaken(self) -> set[Sha256]:
        """Blobs of what rounding took in earlier rounds: nobody needs them, and each is twice an adapter's size."""
        losses = {record.lost for record in self.history if record.lost}
        return losses - self.parts() - self.published()

    def reports(self) -> dict[str, Report]:
        """Reports of the open round's updates, by site, as they count.

        They include shared losses that the coordinator measured; steps beyond the number in the plan do not count.
        """
        return {site: self._counted(site, update.report) for site, update in self.updates.items()}

    def _counted(self, site: str, report: Report) -> Report:
        changes: dict[str, float] = {}
        if site in self.shared_losses:
            changes["shared_loss"] = self.shared_losses[site]
        asked = self.plans[site].training.steps if site in self.plans else None
        if asked is not None and report.steps > asked:
            changes["steps"] = asked
        return report.model_copy(update=changes)

    @property
    def hears_answers(self) -> bool:
        """Tells whether what an asked site says of the open round counts: also while a host has paused it."""
        return (self.held.phase if self.held else self.phase) in ("open", "evaluating")

    def receipt_for(self, site: str, round_number: int) -> Sha256 | None:
        """sha256 of this site's update that counts in this round, if there is one."""
        if round_number == self.round and site in self.updates:
            return self.updates[site].sha256
        for past in self.history:
            if past.round == round_number and site in past.sites:
                return past.sites[site].sha256
        earlier = self.earlier.get(round_number)
        return earlier.receipts.get(site) if earlier else None

    def unanswered(self) -> list[str]:
        """Sites that were asked and have neither sent an update nor declined, sorted."""
        return [site for site in sorted(self.plans) if site not in self.updates and site not in self.declined]
