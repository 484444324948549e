# SPDX-License-Identifier: Apache-2.0
"""Messages between a coordinator and a person who hosts from a desktop, and the signatures of what that person does.

    challenge -> host_hello -> (waiting) -> host_welcome, then overviews and closed rounds as they change
    host_act -> host_answer, any number of times, one at a time

A host's key is bound to the role in the coordinator's registry, when the code of a host's invitation is used; what a
peer says of itself decides nothing. Each act is signed for this federation, this connection (the challenge's nonce) and
its number on it, which grows: repeated or carried elsewhere it counts for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from ..bounds import Count, Number, PositiveInt, Whole
from ..errors import UserFacingError
from ..federation import FederationSpec
from ..federation.inputs import ClosedByHost, Decided, PausedByHost, Published, Resumed
from ..federation.values import Sha256
from ..identity import Content, PrivateKey, PublicKey, Signature, fingerprint, is_signed
from ..overview import Overview, RoundRow
from .fields import UNSIGNED, Code, Said, SiteName

# An invitation may be used for a year at most. Inferred.
MOST_MINUTES = 366 * 24 * 60


class HostHello(Said):
    """Host: answer to the challenge; the signature proves the key, on this connection and no other.

    `code`: the host invitation's one-time code, the first time.
    """

    type: Literal["host_hello"] = "host_hello"
    version: Count
    name: SiteName
    key: PublicKey
    code: Code | None = Field(None, repr=False)
    signature: Signature = UNSIGNED


class HostWelcome(Said):
    """Coordinator: this is a host, under this name. `federation`: hash that names it in everything that is signed."""

    type: Literal["host_welcome"] = "host_welcome"
    version: Count
    name: SiteName
    federation: Sha256
    spec: FederationSpec


class OverviewChanged(Said):
    """Coordinator: the federation now, without its closed rounds. Later ones replace it; none is ever answered."""

    type: Literal["overview"] = "overview"
    overview: Overview


class RoundSeen(Said):
    """Coordinator: a closed round; on each connection the latest ones first, then each that closes."""

    type: Literal["round_seen"] = "round_seen"
    round: RoundRow


class InviteSite(Said):
    """A site may join with the code that the answer holds. `rotates`: one that has joined gets another key."""

    act: Literal["invite"] = "invite"
    site: SiteName
    minutes: Annotated[PositiveInt, Field(le=MOST_MINUTES)]
    rotates: bool = False


class ConfirmSite(Said):
    """The person has compared the six words of this key with the site."""

    act: Literal["confirm"] = "confirm"
    site: SiteName
    key: PublicKey


class RevokeSite(Said):
    """The site is shut out, or an invitation that nobody has used is taken back."""

    act: Literal["revoke"] = "revoke"
    site: SiteName


class Pause(Said):
    """The rounds stand still: nothing is opened, closed or missed until a host resumes them. Work at sites goes on."""

    act: Literal["pause"] = "pause"


class Resume(Said):
    """A paused federation goes on."""

    act: Literal["resume"] = "resume"


class CloseRound(Said):
    """The attempt at the round waits no longer, if its quorum is met."""

    act: Literal["close"] = "close"
    round: PositiveInt
    attempt: PositiveInt


class Publish(Said):
    """The federation ends with this adapter, which is the common one of its last closed round."""

    act: Literal["publish"] = "publish"
    adapter: Sha256


Act = InviteSite | ConfirmSite | RevokeSite | Pause | Resume | CloseRound | Publish


class HostAct(Said):
    """Host: please do this. Signed; `number` is higher than that of any act before on this connection."""

    type: Literal["host_act"] = "host_act"
    number: PositiveInt
    act: Annotated[Act, Field(discriminator="act")]
    signature: Signature = UNSIGNED


class Invited(Said):
    """The invitation that was made: its line, the content of its file, until when it counts.

    `confirms`: the site waits, once it has come, until a host confirms it.
    """

    line: Annotated[str, Field(max_length=1000)] = Field(repr=False)
    file_text: Annotated[str, Field(max_length=4000)] = Field(repr=False)
    until: AwareDatetime
    confirms: bool


class HostAnswer(Said):
    """Coordinator: the act of this number is done, and durable; or refused, with the code of a sentence."""

    type: Literal["host_answer"] = "host_answer"
    number: PositiveInt
    code: Annotated[str, Field(max_length=80)] = ""
    params: dict[str, str | Whole | Number] = Field({})
    retryable: bool = False
    invited: Invited | None = None


FromHost = HostHello | HostAct
ToHost = HostWelcome | OverviewChanged | RoundSeen | HostAnswer

_PURPOSE = "host act"


@dataclass(frozen=True)
class HostBond:
    """Tie of one host to one federation on one connection: either side's public key, and the challenge's nonce."""

    federation: Sha256
    host: PublicKey
    coordinator: PublicKey
    nonce: Sha256

    def signed(self, key: PrivateKey, act: HostAct) -> HostAct:
        return act.model_copy(update={"signature": key.sign(_PURPOSE, self._content(act))})

    def check(self, act: HostAct) -> None:
        """Raises UserFacingError("protocol.signature") unless the host signed this act, here and under this number."""
        if not is_signed(self.host, _PURPOSE, self._content(act), act.signature):
            raise UserFacingError("protocol.signature", purpose=_PURPOSE, fingerprint=fingerprint(self.host)[:16])

    def _content(self, act: HostAct) -> Content:
        named = {"federation": self.federation, "host": self.host, "coordinator": self.coordinator}
        return {**named, "nonce": self.nonce, "number": act.number, **act.act.model_dump()}


def is_proved(federation: Sha256, given: Decided) -> bool:
    """Tells whether the host whom a ledger's input names has signed it; what was done at the coordinator needs none."""
    by = given.by
    if by is None:
        return True
    bond = HostBond(federation, by.key, by.coordinator, by.nonce)
    try:
        bond.check(HostAct(number=by.number, act=_act_of(given), signature=by.signature))
    except UserFacingError:
        return False
    return True


def _act_of(given: Decided) -> Act:
    match given:
        case Resumed():
            return Resume()
        case PausedByHost():
            return Pause()
        case ClosedByHost(round=number, attempt=attempt):
            return CloseRound(round=number, attempt=attempt)
        case Published(adapter=adapter):
            return Publish(adapter=adapter)
