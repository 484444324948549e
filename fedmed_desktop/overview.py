# SPDX-License-Identifier: Apache-2.0
"""Overview of a federation, as its coordinator shows it to a person who hosts it: every site by name, with its numbers.

Unlike `standing`, which is for sites, it names the sites. It holds nothing that the coordinator does not have: names,
keys, counts, losses, scores; no note, no label, no operator's name or reason.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from .bounds import Count, Number, Scalar
from .events import Phase
from .identity import Fingerprint, PublicKey
from .standing import DeadlineName, FederationPhase, Finding, SiteWord

ActName = Literal["invite", "confirm", "revoke", "pause", "resume", "close", "publish"]
"""The acts of a person who hosts."""

MemberState = Literal["waiting", "admitted", "revoked"]

_Name = Annotated[str, Field(max_length=200)]
_Word = Annotated[str, Field(max_length=64)]  # a code or a reason of the program, never a sentence
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SiteResult(_Row):
    """Numbers of one site's update that counts: as its report and the coordinator's measures have them.

    Losses are nats per supervised token on the site's own validation notes. Scores in [0, 1] are Scores.headline on the
    same notes, before and after the site's own training; None where nothing was scored. `weight` and drifts are None
    until the round is combined, `combined_drift` also where the method forms none.
    """

    rank: Count
    notes: Count
    loss_before: Scalar | None
    loss_after: Scalar | None
    score_before: Scalar | None
    score_after: Scalar | None
    update_norm: Scalar
    weight: Scalar | None = None
    model_drift: Scalar | None = None
    performance_drift: Scalar | None = None
    semantic_drift: Scalar | None = None
    combined_drift: Scalar | None = None
    findings: tuple[Finding, ...] = ()


class SiteRow(_Row):
    """One site: who it is, where it is in the open round, its newest numbers.

    `words`: the six to compare with the site by phone; None before its key is known. `word`: its progress; None where
    it takes no part (waiting, revoked, or admitted and never come). `phase`: what it said last in this round.
    `last_seen`: when it was heard last; None for now, while it is connected, and where it has not come since the
    coordinator started. `quiet_since`: it should be at work and has shown no progress since. `rank`: planned in the
    open round, else of its last update; `rank_cap` is the largest for its hardware. `result`: of round `result_round`.
    """

    name: _Name
    state: MemberState
    key: PublicKey | None
    fingerprint: Fingerprint | None
    words: _Name | None
    joined: AwareDatetime
    connected: bool
    last_seen: AwareDatetime | None = None
    word: SiteWord | None = None
    phase: Phase | None = None
    quiet_since: AwareDatetime | None = None
    rank: Count | None = None
    rank_cap: Count | None = None
    result: SiteResult | None = None
    result_round: Count = 0


class HostRow(_Row):
    """A person who may host from a desktop. Only the coordinator's own command line invites and removes hosts."""

    name: _Name
    state: MemberState
    fingerprint: Fingerprint | None
    connected: bool


class InvitationRow(_Row):
    """An invitation that nobody has used yet; `rotates`: for another key of a site that has joined."""

    name: _Name
    until: AwareDatetime
    rotates: bool
    role: Literal["site", "host"]


class DeadlineRow(_Row):
    """One of the five deadlines: how long, the sites that it runs for, and when it ends; None while it does not run."""

    name: DeadlineName
    minutes: Scalar
    ends: AwareDatetime | None
    sites: tuple[_Name, ...]


class RoundRow(_Row):
    """A closed round. `sites` has those whose update counted; `declined` maps a site to its code.

    `reason`: why it stopped waiting ("answered", a deadline, or "host"). `residual` is None where updates are masked.
    `norm` is that of the round's common adapter.
    """

    round: Count
    attempt: Count
    opened: AwareDatetime
    closed: AwareDatetime
    reason: _Word
    adapter: _Sha256
    residual: Scalar | None
    norm: Scalar
    sites: dict[_Name, SiteResult]
    declined: dict[_Name, _Word] = {}
    missing: tuple[_Name, ...] = ()
    measures: dict[_Name, Number] = {}


class Overview(_Row):
    """The federation now. `round` of `rounds` (the last while the final adapter is scored), at its `attempt`.

    `paused_by_host`: a host has paused it; while a combination ends the phase is still "combining". `reason`: why a
    paused one stands ("quorum", "host"). `held_up`: code of a fault at the coordinator that passes by itself.
    `updates` have come of `quorum` that are needed; `asked` sites were asked. `adapter`: the common adapter that is
    published now, of round `adapter_round`; 0 for the one that the federation began with. `sites` and `history` are in
    order of name and of round; `history` has the latest closed rounds. `refusals`: acts on the federation that would be
    refused now, with the code of the reason. `confirms`: sites that join wait for `confirm`. `invites`: the coordinator
    knows an address that an invitation can name.
    """

    phase: FederationPhase
    paused_by_host: bool
    reason: _Word
    held_up: _Word | None
    round: Count
    rounds: Count
    attempt: Count
    opened: AwareDatetime | None
    closes: AwareDatetime | None
    joins_until: AwareDatetime | None
    deadlines: tuple[DeadlineRow, ...]
    updates: Count
    asked: Count
    quorum: Count
    expected: Count
    adapter: _Sha256
    adapter_round: Count
    sites: tuple[SiteRow, ...]
    invitations: tuple[InvitationRow, ...]
    hosts: tuple[HostRow, ...]
    refusals: dict[ActName, _Word]
    confirms: bool
    invites: bool
    received_bytes: Count
    sent_bytes: Count
    history: tuple[RoundRow, ...] = ()
