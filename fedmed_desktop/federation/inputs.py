# SPDX-License-Identifier: Apache-2.0
"""Inputs of the rounds. Every input that changes something is one row of the coordinator's ledger."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue, TypeAdapter

from ..bounds import Number, PositiveInt, Scalar
from ..identity import PublicKey, Signature
from .plan import Difference
from .screened import Screening
from .secure_aggregation.values import Keys, Reveal, SealedShares
from .update import Update
from .values import Frozen, Sha256


class SiteJoined(Frozen):
    """A site joined, or came back; it takes part from the next round on. `rank_cap`: largest rank for its hardware."""

    input: Literal["joined"] = "joined"
    site: str
    rank_cap: PositiveInt | None = None


class SiteShutOut(Frozen):
    """The host has shut the site out: what counts of it counts, and nobody asks it or waits for it any more."""

    input: Literal["shut_out"] = "shut_out"
    site: str


class AwaitsApproval(Frozen):
    """The site's update waits for its operator; the approval time starts to count."""

    input: Literal["awaits_approval"] = "awaits_approval"
    site: str
    round: PositiveInt


class Proof(Frozen):
    """A site's signature of its offer, and what else is signed beside the update (protocol.signing).

    `coordinator`: public key of the coordinator that the offer was made to.
    """

    key: PublicKey
    coordinator: PublicKey
    plan: Sha256
    attempt: PositiveInt
    approval: Sha256
    audit: Sha256 | None = None
    signature: Signature


class UpdateArrived(Frozen):
    """All parts of the update are checked and on disk.

    `shared_loss`: loss of this update's model on the coordinator's validation notes, if it measures updates. `proof` is
    None where the coordinator was run by a version in which sites had no keys.
    """

    input: Literal["update"] = "update"
    site: str
    update: Update
    shared_loss: Scalar | None = None
    proof: Proof | None = None


class SiteDeclined(Frozen):
    """The site sends nothing this round; gives a code, never the operator's words."""

    input: Literal["declined"] = "declined"
    site: str
    round: PositiveInt
    code: str = Field(max_length=64)


class KeysArrived(Frozen):
    """A site's keys for the masking of the open round, which they are signed for. `federation`: its hash."""

    input: Literal["mask_keys"] = "mask_keys"
    site: str
    round: PositiveInt
    number: PositiveInt
    federation: Sha256
    keys: Keys


class SharesArrived(Frozen):
    """Boxes that a site has sealed, one for each of the others that mask with it."""

    input: Literal["mask_shares"] = "mask_shares"
    site: str
    round: PositiveInt
    number: PositiveInt
    boxes: dict[str, SealedShares]


class AgreementArrived(Frozen):
    """A site's signature that the sum of the round's survivors, and no other, may be opened."""

    input: Literal["mask_agreement"] = "mask_agreement"
    site: str
    round: PositiveInt
    signature: Signature


class RevealArrived(Frozen):
    """A site's shares, which open that sum once enough are there."""

    input: Literal["mask_reveal"] = "mask_reveal"
    site: str
    round: PositiveInt
    reveal: Reveal


Masked = KeysArrived | SharesArrived | AgreementArrived | RevealArrived
Transfer = Literal["download", "upload"]


class TimePassed(Frozen):
    """Time has passed. What is known of transfers comes with it, since nothing else about them is in the ledger.

    `moving`: sites whose upload goes on; `stalled`: those of whose transfer no byte has moved for as long as its
    deadline allows. Both empty where nobody watches transfers.
    """

    input: Literal["time"] = "time"
    moving: tuple[str, ...] = ()
    stalled: dict[str, Transfer] = Field(default_factory=dict)


class RoundCombined(Frozen):
    """The combination of round `round` is on disk under `adapter`.

    With transfer.down: `difference` leads to it from the round's start; without one it travels whole, `whole_because`
    of a code. `lost` is what rounding took and the next round adds, `rounding` its share of the round's movement.
    With transfer.cut: `cuts` of it by rank. `residual` is None where only the sum of the updates is known.
    """

    input: Literal["combined"] = "combined"
    round: PositiveInt
    adapter: Sha256
    frozen: Sha256 | None = None
    control: Sha256 | None = None
    state: dict[str, JsonValue] = Field(default_factory=dict)
    measures: dict[str, Number] = Field(default_factory=dict)
    residual: Scalar | None
    norm: Scalar
    effective_rank: Scalar
    screening: Screening | None = None
    difference: Difference | None = None
    lost: Sha256 | None = None
    rounding: Scalar | None = None
    whole_because: str = Field("", max_length=64)
    cuts: dict[int, Sha256] = Field(default_factory=dict, exclude_if=lambda value: not value)


class HostProof(Frozen):
    """A host's signature of an act, and what is signed beside the act itself (protocol.hosting).

    `host`: the host's name in the registry. `coordinator`: public key of the coordinator on whose connection, known by
    the `nonce` of its challenge, the act had this `number`.
    """

    host: str
    key: PublicKey
    coordinator: PublicKey
    nonce: Sha256
    number: PositiveInt
    signature: Signature


class Resumed(Frozen):
    """A host resumes a paused federation; `by` is None where that is done at the coordinator itself."""

    input: Literal["resumed"] = "resumed"
    by: HostProof | None = Field(None, exclude_if=lambda value: value is None)


class PausedByHost(Frozen):
    """A host lets the rounds stand still."""

    input: Literal["paused"] = "paused"
    by: HostProof


class ClosedByHost(Frozen):
    """A host lets this attempt at this round wait no longer: for answers or scores, or for sites before round one."""

    input: Literal["closed"] = "closed"
    round: PositiveInt
    attempt: PositiveInt
    by: HostProof


class Published(Frozen):
    """A host ends the federation with this adapter, the common one of its last closed round."""

    input: Literal["published"] = "published"
    adapter: Sha256
    by: HostProof


Decided = Resumed | PausedByHost | ClosedByHost | Published

Input = (
    SiteJoined
    | SiteShutOut
    | AwaitsApproval
    | UpdateArrived
    | SiteDeclined
    | TimePassed
    | RoundCombined
    | Decided
    | Masked
)
INPUT: TypeAdapter[Input] = TypeAdapter(Annotated[Input, Field(discriminator="input")])
