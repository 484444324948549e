# SPDX-License-Identifier: Apache-2.0
"""Events as one typed union: what happened in the work (training, site, coordinator), told to its faces.

With the read models of `storage` (a site's record, entries and decisions, results of experiments) they are all that a
face knows of the work; what it wants it says through `site`.

Events are facts in the past, immutable, safe to pass between threads, and hold codes, names, hashes and numbers only,
never note text. `parse_event` reads one back from JSON.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter

from .identity import Fingerprint
from .scores import Scores
from .standing import FederationStanding

Phase = Literal[
    "joining",
    "waiting",
    "downloading",
    "scoring_before",
    "training",
    "scoring_after",
    "measuring",
    "approval",
    "uploading",
    "sent",
    "kept",
    "missed",
    "not_asked",
    "evaluating",
    "paused",
    "finished",
]


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    time: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))


class _SiteEvent(_Event):
    site: str
    round: int = 0


class ConnectionChanged(_SiteEvent):
    """`code` says why a connection was lost or refused; `retry_seconds` is None where no further try is made."""

    type: Literal["connection"] = "connection"
    state: Literal["connecting", "connected", "lost", "refused"]
    address: str
    code: str | None = None
    params: dict[str, str | int | float] = {}
    retry_seconds: float | None = None


class IdentityShown(_SiteEvent):
    """Keys of both sides are known; `phrase` is six words for two people to compare. Told by either side.

    `waits`: the host has not confirmed the site yet. Fingerprints are of the public keys.
    """

    type: Literal["identity"] = "identity"
    phrase: str
    site_fingerprint: Fingerprint
    coordinator_fingerprint: Fingerprint
    waits: bool


class Joined(_SiteEvent):
    """The coordinator has welcomed this site, the first time or once more: what it takes part in.

    `sites`: how many are expected; `types`: the entity types, in order of the alphabet.
    """

    type: Literal["joined"] = "joined"
    federation: str
    environment: Literal["test", "production"]
    method: str
    rounds: int
    sites: int
    types: tuple[str, ...]


class StandingChanged(_SiteEvent, FederationStanding):
    """Standing of the federation, as the coordinator tells a site. Never other sites' names."""

    type: Literal["standing"] = "standing"


class PhaseChanged(_SiteEvent):
    type: Literal["phase"] = "phase"
    phase: Phase


class Prepared(_SiteEvent):
    """A site has read its notes and loaded the base model. Counts are of training notes and their entities.

    `device` is a sentence: where training computes, in which numbers, and why. `ignored`: types that the federation
    does not know; `dropped`: entities that are discontinuous, nested in another or marked twice; `unread`: keys of the
    notes' rows that nothing reads, with the number of rows; `unread_files`: names of the first files of which this is
    so, `files_unread`: how many there are. `relations`: links by modifier, where the federation learns them;
    `relations_dropped`: relations of modifiers that link nothing it learns.
    """

    type: Literal["prepared"] = "prepared"
    notes: int
    entities: dict[str, int]
    ignored: dict[str, int]
    dropped: int
    relations: dict[str, int] = {}
    relations_dropped: int = 0
    unread: dict[str, int] = {}
    unread_files: tuple[str, ...] = ()
    files_unread: int = 0
    device: str
    threads: int


class TrainingStep(_SiteEvent):
    """One optimiser step. `loss` is per supervised token (nats); memory is the process's or the device's peak (MiB)."""

    type: Literal["step"] = "step"
    step: int
    steps: int
    loss: float
    learning_rate: float
    tokens_per_second: float
    memory_mib: float


class Evaluated(_SiteEvent):
    """Validation loss (nats per supervised token) and scores on the site's own notes."""

    type: Literal["evaluated"] = "evaluated"
    moment: Literal["before", "after", "final"]
    loss: float
    scores: Scores


class GenerationProgress(_SiteEvent):
    """Notes answered so far while scoring."""

    type: Literal["generation"] = "generation"
    done: int
    total: int


class UpdatePending(_SiteEvent):
    """An update lies in the outbox and waits for a decision; nothing of it has left."""

    type: Literal["pending"] = "pending"
    update: str
    bytes: int


class DecisionRecorded(_SiteEvent):
    type: Literal["decision"] = "decision"
    update: str
    decision: Literal["first_approved", "approved", "released", "kept", "taken_back", "expired"]
    by: str
    reason: str
    rule: str = ""


class PolicySaid(_SiteEvent):
    """Word of the site's own policy on an update that waits; `code` and `params` make the sentence, "" for none.

    `people`: how many must approve. `approvers`: the only ones who may; None for anybody. `opens`: it is approved, and
    nothing of it leaves before that.
    """

    type: Literal["policy"] = "policy"
    update: str
    action: Literal["allow", "ask", "deny"]
    rule: str
    code: str = ""
    params: dict[str, str | int | float] = {}
    people: int = 1
    approvers: tuple[str, ...] | None = None
    opens: AwareDatetime | None = None


class TransferProgress(_SiteEvent):
    """Bytes of one blob that have been sent or received by this site so far."""

    type: Literal["transfer"] = "transfer"
    direction: Literal["up", "down"]
    blob: str
    bytes: int
    total: int


class PlanFetched(_SiteEvent):
    """All adapters that the round's plan names are here and checked; the model it begins with is the base with both."""

    type: Literal["fetched"] = "fetched"
    start: str
    frozen: str | None = None


class ReceiptReceived(_SiteEvent):
    type: Literal["receipt"] = "receipt"
    update: str


class UpdateRefused(_SiteEvent):
    type: Literal["refused"] = "refused"
    update: str
    code: str
    params: dict[str, str | int | float] = {}


class SiteSeen(_SiteEvent):
    """A site joined, came back, left, or told its phase; emitted at the coordinator."""

    type: Literal["site"] = "site"
    state: Literal["joined", "connected", "left", "phase", "declined", "update"]
    phase: Phase | None = None


class SiteQuiet(_SiteEvent):
    """A site that should be at work has made no progress since then; None: it makes progress again, or is done."""

    type: Literal["quiet"] = "quiet"
    since: AwareDatetime | None = None


class RoundOpened(_Event):
    type: Literal["round_opened"] = "round_opened"
    round: int
    attempt: int
    sites: tuple[str, ...]
    closes: AwareDatetime


class RoundClosed(_Event):
    """`reason`: "answered" where all sites have, or the deadline at which the round stopped waiting for the rest."""

    type: Literal["round_closed"] = "round_closed"
    round: int
    reason: str
    updates: int


class RoundCombined(_Event):
    """`weights` and planned `ranks` by site; `measures` are the method's own figures, by name."""

    type: Literal["round_combined"] = "round_combined"
    round: int
    adapter: str
    weights: dict[str, float]
    residual: float | None
    ranks: dict[str, int] = {}
    measures: dict[str, float] = {}


class UpdateScreened(_SiteEvent):
    """A finding of screening in a round's updates; `code` and `params` make the sentence.

    `site` is "" for a check that could not be made. Emitted at the coordinator.
    """

    type: Literal["screened"] = "screened"
    code: str
    params: dict[str, str | int | float] = {}


class FederationPaused(_Event):
    """`reason` is "quorum", where the host has to resume it, "host", where a host paused it, or the code of a fault."""

    type: Literal["paused"] = "paused"
    round: int
    reason: str
    params: dict[str, str | int | float] = {}


class FederationResumed(_Event):
    """The federation goes on: what held it up has passed, or a host has resumed it."""

    type: Literal["resumed"] = "resumed"
    round: int


class FederationFinished(_SiteEvent):
    type: Literal["finished"] = "finished"
    adapter: str


class Warned(_SiteEvent):
    """Something beside the work is wrong, and the work goes on without it; `code` and `params` make the sentence."""

    type: Literal["warned"] = "warned"
    code: str
    params: dict[str, str | int | float] = {}


class Failed(_SiteEvent):
    """Work stopped on a fault; `code` and `params` make the sentence. It is tried again if `retry_seconds` is given."""

    type: Literal["failed"] = "failed"
    code: str
    params: dict[str, str | int | float] = {}
    retry_seconds: float | None = None


Event = (
    ConnectionChanged
    | IdentityShown
    | Joined
    | StandingChanged
    | PhaseChanged
    | Prepared
    | TrainingStep
    | Evaluated
    | GenerationProgress
    | UpdatePending
    | DecisionRecorded
    | PolicySaid
    | TransferProgress
    | PlanFetched
    | ReceiptReceived
    | UpdateRefused
    | SiteSeen
    | SiteQuiet
    | RoundOpened
    | RoundClosed
    | RoundCombined
    | UpdateScreened
    | FederationPaused
    | FederationResumed
    | FederationFinished
    | Warned
    | Failed
)

_ADAPTER: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="type")])


def parse_event(data: str | bytes) -> Event:
    """One event from its JSON; raises pydantic.ValidationError."""
    return _ADAPTER.validate_json(data)
