# SPDX-License-Identifier: Apache-2.0
"""Actions of a site's part in a federation: what `SitePart` asks of its driver, and the input that answers each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from ..events import Phase
from .plan import Plan
from .update import Update
from .values import Sha256
from .work import Entry, LocalResult

Decision = Literal[
    "first_approved",
    "approved",
    "released",
    "kept",
    "taken_back",
    "asked_again",
    "expired",
    "acknowledged",
    "refused",
]


@dataclass(frozen=True, eq=False)
class Train:
    """Carry out the plan. Answer: `trained` or `failed`."""

    plan: Plan


@dataclass(frozen=True, eq=False)
class Conclude:
    """Write down the federation's final adapter, and the frozen one beside it. Answer: `done` or `failed`."""

    adapter: Sha256
    frozen: Sha256 | None


@dataclass(frozen=True, eq=False)
class Fetch:
    """Download these blobs, which `then` needs. Answer: `done` or `failed`."""

    round: int
    blobs: tuple[Sha256, ...]
    then: Train | Conclude


@dataclass(frozen=True, eq=False)
class Store:
    """Put the result in the outbox as a pending update. Answer: `recorded` or `failed`."""

    plan: Plan
    result: LocalResult


@dataclass(frozen=True, eq=False)
class AskPerson:
    """Ask for a decision on a pending update. Answer: `decided`, or none for as long as it is held."""

    entry: Entry


@dataclass(frozen=True, eq=False)
class Record:
    """Write a decision to the outbox, durably. Answer: `recorded` or `failed`.

    An approval is in effect `delay` after it was written. `attempt`: the coordinator's, at which it was kept.
    `code` and `params`: why the update was refused. `peer_head`: last hash of the coordinator's audit chain, as its
    receipt says. `rule`: that of the site's policy which let the decision be taken or took it, and `policy` the sha256
    of the file with it; "" where there is no policy.
    """

    sha256: Sha256
    decision: Decision
    by: str
    reason: str = ""
    delay: timedelta = timedelta(0)
    attempt: int = 1
    code: str = ""
    params: Mapping[str, str | int | float] = field(default_factory=dict)
    peer_head: str = ""
    rule: str = ""
    policy: str = ""


@dataclass(frozen=True)
class Offer:
    """Offer a released update to the coordinator."""

    update: Update


@dataclass(frozen=True)
class Decline:
    """Tell the coordinator that nothing comes from here this round."""

    round: int
    code: Literal["kept", "failed", "expired"]


@dataclass(frozen=True)
class Tell:
    """Tell the coordinator the site's phase. Comes from any thread and is never waited for."""

    round: int
    phase: Phase


@dataclass(frozen=True)
class Stop:
    """End the fetching, training or asking that is under way; a training ends at a checkpoint.

    Forget the checkpoints of rounds before `before`, and thin out what was measured in them.
    """

    before: int


# What a plan, or the federation's end, waits for: one at a time.
Due = Fetch | Train | Store | AskPerson | Record | Conclude
Action = Due | Offer | Decline | Stop
