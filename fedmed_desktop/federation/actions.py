# SPDX-License-Identifier: Apache-2.0
"""Actions that the rounds ask for; each is idempotent by (site, round, sha256)."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import Field, JsonValue

from .. import events
from ..bounds import Scalar
from ..errors import UserFacingError
from ..lora.module import Ranks
from .drift import Drift
from .plan import Plan, References
from .secure_aggregation.values import Opening
from .update import Report, Update
from .values import Frozen, Sha256


@dataclass(frozen=True)
class Offer:
    """Ask a site to carry out a plan."""

    site: str
    plan: Plan


@dataclass(frozen=True)
class Acknowledge:
    """The site's update counts; send a receipt."""

    site: str
    round: int
    update: Sha256


@dataclass(frozen=True)
class Reject:
    """The update does not count; `code` says why."""

    site: str
    round: int
    update: Sha256
    code: str


class Combine(Frozen):
    """Combine the updates of a closed round, then report RoundCombined.

    Holds every value that combining needs, as it was when the round closed: sites that join later, or come back with
    another cap, change nothing here. Mappings are by site. `updates`, `reports` (as they count), `plans`, `weights` and
    `drifts` have the sites that sent an update; `caps` has every site that named one. `sites` counts all that take part
    and all that ever sent an update that counted, `rank` is the federation's first, `references` are for the next
    round, and `state` is the method's own. `recent_norms`: of the last updates that counted, where the specification
    screens by them. `lost`: what rounding took from earlier common adapters. `opening`: what opens the sum of masked
    updates.
    """

    round: int
    rounds: int
    rank: int
    start: Sha256
    frozen: Sha256 | None = None
    control: Sha256 | None = None
    lost: Sha256 | None = None
    updates: dict[str, Update]
    reports: dict[str, Report]
    plans: dict[str, Plan]
    weights: dict[str, float]
    drifts: dict[str, Drift]
    references: References
    sites: int
    caps: dict[str, int] = Field(default_factory=dict)
    state: dict[str, JsonValue] = Field(default_factory=dict)
    recent_norms: tuple[Scalar, ...] = ()
    opening: Opening | None = None

    @property
    def ranks(self) -> dict[str, int]:
        """The ranks that were planned, by site."""
        return {site: plan.rank for site, plan in self.plans.items()}

    @property
    def by_module(self) -> dict[str, Ranks]:
        """Planned ranks by site, and by module where modules have their own."""
        return {site: plan.by_module for site, plan in self.plans.items()}


@dataclass(frozen=True)
class TellMasking:
    """Tell a site where the masking of the open round stands, and so what it has to do next."""

    site: str


Action = Offer | Acknowledge | Reject | Combine | TellMasking


@dataclass
class Step:
    """Result of one input. `changed` means: write the input to the ledger before carrying out any action.

    `objection`: why a host's decision was not carried out; nothing has changed then.
    """

    changed: bool = False
    objection: UserFacingError | None = None
    actions: list[Action] = field(default_factory=list)
    events: list[events.Event] = field(default_factory=list)
