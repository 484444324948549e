# SPDX-License-Identifier: Apache-2.0
"""What the rounds ask for: every action is idempotent by (site, round, sha256)."""

from __future__ import annotations

from dataclasses import dataclass, field

from .. import events
from .plan import Plan, Sha256
from .update import Update


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


@dataclass(frozen=True)
class Combine:
    """Combine these updates with these weights, then report RoundCombined. `ranks` are those that were planned."""

    round: int
    updates: dict[str, Update]
    weights: dict[str, float]
    ranks: dict[str, int]
    start: Sha256
    frozen: Sha256 | None
    control: Sha256 | None


Action = Offer | Acknowledge | Reject | Combine


@dataclass
class Step:
    """What came of one input. `changed` means: write the input to the ledger before carrying out any action."""

    changed: bool = False
    actions: list[Action] = field(default_factory=list)
    events: list[events.Event] = field(default_factory=list)
