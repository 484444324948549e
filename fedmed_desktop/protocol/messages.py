# SPDX-License-Identifier: Apache-2.0
"""Messages between sites and coordinator: JSON text frames, one message each. Bulk data: see `transfer`.

A peer of another protocol version is refused in words at the first message. Unknown types and keys are errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, TypeAdapter, ValidationError

from ..bounds import LARGEST_COUNT, Count, Number, PositiveInt, Whole
from ..errors import UserFacingError
from ..events import Phase
from ..federation import FederationSpec, Plan, Update
from ..federation.values import Sha256
from ..identity import PublicKey, Signature
from ..standing import FederationStanding
from .fields import UNSIGNED as UNSIGNED
from .fields import Code, Said
from .fields import SiteName as SiteName
from .hosting import FromHost, ToHost
from .masking import MaskAgreement, MaskKeys, MaskReveal, MaskShares, ToMasker

VERSION = 10

# A message holds names, hashes and scalars; the specification of a large model's modules is the longest.
MAX_MESSAGE_BYTES = 4 * 2**20

_MOST_FAULTS = 1000

_Params = dict[str, str | Whole | Number]


class Challenge(Said):
    """Coordinator: first message. Proves who it is and asks who is there (see `handshake`).

    `key`: the coordinator's. `tls`: sha256 of the public key of its TLS certificate; empty on a plain connection.
    """

    type: Literal["challenge"] = "challenge"
    version: Count
    nonce: Sha256
    key: PublicKey
    tls: Sha256 | Literal[""]
    signature: Signature = UNSIGNED


class Hello(Said):
    """Site: answer to the challenge. The signature proves that the site owns `key`, on this connection and no other.

    `rank_cap`: the largest rank that its hardware bears; None for any. `code`: the invitation's one-time code, at the
    first join. `token`: what proved the site before sites had keys, until its key has taken the token's place.
    """

    type: Literal["hello"] = "hello"
    version: Count
    site: SiteName
    key: PublicKey
    base: Sha256
    rank_cap: PositiveInt | None = None
    code: Code | None = Field(None, repr=False)
    token: str | None = Field(None, min_length=32, max_length=128, repr=False)
    signature: Signature = UNSIGNED


class Waiting(Said):
    """Coordinator: the site (or another host) is known, but not confirmed yet. The welcome follows once it is."""

    type: Literal["waiting"] = "waiting"
    site: SiteName


class Welcome(Said):
    """Coordinator: the site is admitted, under this name; the specification; where the rounds stand.

    `federation`: hash that names the federation in everything that is signed.
    """

    type: Literal["welcome"] = "welcome"
    version: Count
    site: SiteName
    federation: Sha256
    spec: FederationSpec
    round: Count
    phase: str


class Goodbye(Said):
    """Coordinator: the connection ends. `final` means that trying again is of no use."""

    type: Literal["goodbye"] = "goodbye"
    code: str
    params: _Params = Field({})
    final: bool


class Standing(Said, FederationStanding):
    """Coordinator: where the federation stands, for this site's face. Later ones replace it; none is ever answered."""

    type: Literal["standing"] = "standing"


class Ask(Said):
    """Coordinator: please carry out this plan. A higher `attempt` than before asks again what was kept. Signed."""

    type: Literal["ask"] = "ask"
    plan: Plan
    attempt: PositiveInt = 1
    signature: Signature = UNSIGNED


class NotAsked(Said):
    """Coordinator: this round goes on without this site, which owes nothing more for earlier ones either."""

    type: Literal["not_asked"] = "not_asked"
    round: PositiveInt


class Progress(Said):
    """Site: which phase of its round it is in (a word, nothing measured)."""

    type: Literal["progress"] = "progress"
    round: Count
    phase: Phase


class OfferUpdate(Said):
    """Site: an approved update; the coordinator wants its parts next. Signed.

    `plan`: hash of the plan that it answers. `approval`: of the approval in the site's record, blinded.
    `audit`: hash of the last entry in the site's audit chain.
    """

    type: Literal["offer"] = "offer"
    update: Update
    plan: Sha256
    attempt: PositiveInt = 1
    approval: Sha256
    audit: Sha256 | None = None
    signature: Signature = UNSIGNED


class Decline(Said):
    """Site: nothing from here in this attempt at the round. A code, never the operator's words. Signed."""

    type: Literal["decline"] = "decline"
    round: Count
    code: Literal["kept", "failed", "expired"]
    plan: Sha256 | None = None
    attempt: PositiveInt = 1
    audit: Sha256 | None = None
    signature: Signature = UNSIGNED


class Want(Said):
    """Either side: send the blob from this offset on, as chunks."""

    type: Literal["want"] = "want"
    sha256: Sha256
    offset: Count = 0


class Missing(Said):
    """Either side: the wanted blob is not to be had here."""

    type: Literal["missing"] = "missing"
    sha256: Sha256


class Receipt(Said):
    """Coordinator: the update is on disk and counts. Signed.

    `plan` and `attempt` are those of the offer. `audit`: hash of the last entry in the coordinator's audit chain.
    """

    type: Literal["receipt"] = "receipt"
    round: PositiveInt
    update: Sha256
    plan: Sha256 | None = None
    attempt: PositiveInt = 1
    time: AwareDatetime
    audit: Sha256 | None = None
    signature: Signature = UNSIGNED


class Refused(Said):
    """Coordinator: the update does not count, and why."""

    type: Literal["refused"] = "refused"
    round: PositiveInt
    update: Sha256
    code: str
    params: _Params = Field({})


class Finished(Said):
    """Coordinator: no more rounds; the final adapter can be had under this hash. Signed.

    `frozen`: the adapter that belongs beside it, where the method leaves one; the model is the base with both.
    """

    type: Literal["finished"] = "finished"
    adapter: Sha256
    size: PositiveInt
    frozen: Sha256 | None = None
    signature: Signature = UNSIGNED


Message = (
    Challenge
    | Hello
    | Waiting
    | Welcome
    | Goodbye
    | Standing
    | Ask
    | NotAsked
    | Progress
    | OfferUpdate
    | Decline
    | Want
    | Missing
    | Receipt
    | Refused
    | Finished
    | ToMasker
    | MaskKeys
    | MaskShares
    | MaskAgreement
    | MaskReveal
    | FromHost
    | ToHost
)

_MESSAGE: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="type")])


def sayable(params: Mapping[str, str | int | float]) -> dict[str, str | int | float]:
    """An error's parameters as a message may hold them: a number that is out of bounds is left out."""
    return {
        name: value if isinstance(value, str) or -LARGEST_COUNT <= value <= LARGEST_COUNT else "…"
        for name, value in params.items()
    }


def encode(message: Message) -> str:
    return message.model_dump_json()


def decode(text: str) -> Message:
    """One message; raises UserFacingError("protocol.not_understood") naming the first wrong place."""
    try:
        return _MESSAGE.validate_json(text, strict=True)
    except ValidationError as error:
        if error.error_count() > _MOST_FAULTS:  # a hostile peer could make the list of them very long
            raise UserFacingError("protocol.not_understood", place="message", reason="nearly all of it") from None
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "message"
        raise UserFacingError("protocol.not_understood", place=place[:200], reason=first["msg"][:200]) from None
