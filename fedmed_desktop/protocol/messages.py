# SPDX-License-Identifier: Apache-2.0
"""Messages between sites and coordinator: JSON text frames, one message each. Bulk data: see `transfer`.

A peer of another protocol version is refused in words at the first message. Unknown types and keys are errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)

from ..bounds import LARGEST_COUNT, Count, Number, PositiveInt, Whole
from ..errors import UserFacingError
from ..events import Phase
from ..federation import FederationSpec, Plan, Update
from ..federation.names import clean_name
from ..federation.plan import Sha256
from ..standing import FederationStanding

VERSION = 4

# A message holds names, hashes and scalars; the specification of a large model's modules is the longest.
MAX_MESSAGE_BYTES = 4 * 2**20

_MOST_FAULTS = 1000

_Params = dict[str, str | Whole | Number]
SiteName = Annotated[str, AfterValidator(clean_name)]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Hello(_Message):
    """Site: first message. `token` proves that the site is the one that first joined under this name.

    `rank_cap`: the largest rank that its hardware bears; None for any.
    """

    type: Literal["hello"] = "hello"
    version: Count
    site: SiteName
    token: str = Field(min_length=32, max_length=128)
    base: Sha256
    rank_cap: PositiveInt | None = None


class Welcome(_Message):
    """Coordinator: the site is known; the specification; where the rounds stand."""

    type: Literal["welcome"] = "welcome"
    version: Count
    spec: FederationSpec
    round: Count
    phase: str


class Goodbye(_Message):
    """Coordinator: the connection ends. `final` means that trying again is of no use."""

    type: Literal["goodbye"] = "goodbye"
    code: str
    params: _Params = {}
    final: bool


class Standing(_Message, FederationStanding):
    """Coordinator: where the federation stands, for this site's face. Later ones replace it; none is ever answered."""

    type: Literal["standing"] = "standing"


class Ask(_Message):
    """Coordinator: please carry out this plan. A higher `attempt` than before asks again what was kept."""

    type: Literal["ask"] = "ask"
    plan: Plan
    attempt: PositiveInt = 1


class NotAsked(_Message):
    """Coordinator: this round goes on without this site, which owes nothing more for earlier ones either."""

    type: Literal["not_asked"] = "not_asked"
    round: PositiveInt


class Progress(_Message):
    """Site: which phase of its round it is in (a word, nothing measured)."""

    type: Literal["progress"] = "progress"
    round: Count
    phase: Phase


class OfferUpdate(_Message):
    """Site: an approved update; the coordinator wants its parts next."""

    type: Literal["offer"] = "offer"
    update: Update


class Decline(_Message):
    """Site: nothing from here this round. A code, never the operator's words."""

    type: Literal["decline"] = "decline"
    round: Count
    code: Literal["kept", "failed", "expired"]


class Want(_Message):
    """Either side: send the blob from this offset on, as chunks."""

    type: Literal["want"] = "want"
    sha256: Sha256
    offset: Count = 0


class Missing(_Message):
    """Either side: the wanted blob is not to be had here."""

    type: Literal["missing"] = "missing"
    sha256: Sha256


class Receipt(_Message):
    """Coordinator: the update is on disk and counts."""

    type: Literal["receipt"] = "receipt"
    round: PositiveInt
    update: Sha256
    time: AwareDatetime


class Refused(_Message):
    """Coordinator: the update does not count, and why."""

    type: Literal["refused"] = "refused"
    round: PositiveInt
    update: Sha256
    code: str
    params: _Params = {}


class Finished(_Message):
    """Coordinator: no more rounds; the final adapter can be had under this hash.

    `frozen`: the adapter that belongs beside it, where the method leaves one; the model is the base with both.
    """

    type: Literal["finished"] = "finished"
    adapter: Sha256
    size: PositiveInt
    frozen: Sha256 | None = None


Message = (
    Hello
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
)

_MESSAGE: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="type")])


def site_name(name: str) -> str:
    """The name as a coordinator takes it. Raises UserFacingError where it would not."""
    try:
        return clean_name(name)
    except ValueError:
        raise UserFacingError("site.name", name=name) from None


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
