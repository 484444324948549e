# SPDX-License-Identifier: Apache-2.0
"""Standing of a federation, as its coordinator tells one site: counts, pooled scores and the site's own numbers.

Of other sites it holds no name and nothing that is one site's alone but ranks, without order. (Pooled scores less
one's own are the others' together: in a federation of two, the other one's.)
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from .bounds import Count, Scalar
from .scores import Scores

DeadlineName = Literal["join", "download", "train", "approve", "upload"]
"""The deadlines of a federation, in the order in which a round meets them; `download` and `upload` count progress."""

Finding = Literal["norm", "cosine", "clipped", "not_chosen"]
"""A finding in an update before it was combined: an unusual norm, a direction unlike the others', shortened, or not
among those that were chosen. The first two are only told; `federation.screening` says how each is found."""

FederationPhase = Literal["gathering", "open", "combining", "evaluating", "paused", "finished"]

SiteWord = Literal[
    "waiting", "not_asked", "training", "paused", "approval", "sending", "sent", "kept", "missing", "offline"
]
"""Progress of a site in the round: "not_asked" where the round goes on without it, "training" also while it scores,
"sent" once its update counts, "kept" by its operator's decision, "missing" where it failed or was late, "offline" where
it is not connected and has not answered."""


class ClosedRound(BaseModel):
    """A round that has been combined, as one site may know it.

    `scores_before` and `scores_after`: counts on validation notes, pooled over the sites that sent: of the adapter that
    the round began with, and of each site's own training; None where the specification does not share scores.
    `weight`, the drifts and `rank` are this site's own, None where it took no part; `other_ranks` ascend.
    `semantic_drift` is None too where the federation shares no counts, `combined_drift` where the method forms none.
    `residual` is None where updates are masked. `findings` are about this site's own update, `trimmed` is the share of
    its values that a trimmed mean left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    round: Count
    closed: AwareDatetime
    sent: Count
    scores_before: Scores | None
    scores_after: Scores | None
    residual: Scalar | None
    weight: Scalar | None
    model_drift: Scalar | None
    performance_drift: Scalar | None
    semantic_drift: Scalar | None = None
    combined_drift: Scalar | None = None
    rank: Count | None
    other_ranks: tuple[Count, ...]
    findings: tuple[Finding, ...] = ()
    trimmed: Scalar | None = None


class FederationStanding(BaseModel):
    """`round` of `rounds` (the last while the final adapter is scored), at its `attempt`.

    `opened` is None before round one, `closes` wherever no deadline runs. `sites` counts the joined sites by their
    word, words without a site left out; `connected` counts those with a connection. `history` has the latest closed
    rounds, oldest first. `held_up` is the code of a fault at the coordinator that it waits for, while that pauses the
    federation; it continues by itself. `joins_until`: when a quorum stops waiting for further sites before round one.
    `paused_by_host`: a person who hosts has paused it; "combining" may still end meanwhile.
    `quiet` counts the sites that should be at work and have made no progress since `quiet_since`, or even longer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    round: Count
    rounds: Count
    attempt: Count
    phase: FederationPhase
    opened: AwareDatetime | None
    closes: AwareDatetime | None
    sites: dict[SiteWord, Count]
    connected: Count
    history: tuple[ClosedRound, ...]
    held_up: Annotated[str, Field(max_length=64)] | None = None
    joins_until: AwareDatetime | None = None
    paused_by_host: bool = False
    quiet: Count = 0
    quiet_since: AwareDatetime | None = None
