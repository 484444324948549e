# SPDX-License-Identifier: Apache-2.0
"""Signatures of offers, declines, plans, receipts and final adapters, so that neither side can deny or swap them later.

What is signed names the federation, the site, the round and the attempt: a message is worth nothing in another one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..errors import UserFacingError
from ..federation.values import Sha256
from ..identity import Content, PrivateKey, fingerprint, is_signed
from .messages import Ask, Decline, Finished, OfferUpdate, Receipt

Signed = Ask | OfferUpdate | Decline | Receipt | Finished

_PURPOSES: Final[dict[type[Signed], str]] = {
    Ask: "plan",
    OfferUpdate: "offer",
    Decline: "decline",
    Receipt: "receipt",
    Finished: "final",
}


@dataclass(frozen=True)
class Bond:
    """Tie of one site to one federation: the hash of the specification, and the public key of either side."""

    federation: Sha256
    site: str
    coordinator: str

    def signed(self, key: PrivateKey, message: Signed) -> Signed:
        """The message with the signature of its sender, whose key this is."""
        return message.model_copy(update={"signature": key.sign(_PURPOSES[type(message)], self._content(message))})

    def check(self, message: Signed) -> None:
        """Checks that a message is by the other side, and for this site and federation.

        Raises UserFacingError("protocol.signature").
        """
        owner = self.site if isinstance(message, OfferUpdate | Decline) else self.coordinator
        purpose = _PURPOSES[type(message)]
        if not is_signed(owner, purpose, self._content(message), message.signature):
            raise UserFacingError("protocol.signature", purpose=purpose, fingerprint=fingerprint(owner)[:16])

    def _content(self, message: Signed) -> Content:
        named = {"federation": self.federation, "site": self.site, "coordinator": self.coordinator}
        return {**named, **_said(message)}


def _said(message: Signed) -> Content:
    match message:
        case Ask(plan=plan, attempt=attempt):
            return {"round": plan.round, "attempt": attempt, "plan": plan.sha256}
        case OfferUpdate(update=update, plan=plan, attempt=attempt, approval=approval, audit=audit):
            told = {"update": update.sha256, "content": update.content_sha256, "approval": approval, "audit": audit}
            return {"round": update.round, "attempt": attempt, "plan": plan, **told}
        case Decline(round=number, code=code, plan=plan, attempt=attempt, audit=audit):
            return {"round": number, "attempt": attempt, "plan": plan, "code": code, "audit": audit}
        case Receipt(round=number, update=update, plan=plan, attempt=attempt, time=time, audit=audit):
            about = {"update": update, "plan": plan, "audit": audit, "time": time.isoformat()}
            return {"round": number, "attempt": attempt, **about}
        case Finished(adapter=adapter, size=size, frozen=frozen):
            return {"adapter": adapter, "size": size, "frozen": frozen}
