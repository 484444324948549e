# SPDX-License-Identifier: Apache-2.0
"""Offers of one site on one connection, for what is written and said of them: proofs in the ledger, and receipts."""

from __future__ import annotations

from ..federation.inputs import Proof
from ..protocol.messages import OfferUpdate, Receipt
from ..protocol.signing import Bond


class Offered:
    """`last`: the latest that was heard; `fetched`: the one whose parts are fetched, which may be another."""

    def __init__(self, bond: Bond) -> None:
        self._bond = bond
        self.last: OfferUpdate | None = None
        self.fetched: OfferUpdate | None = None

    def parts(self) -> set[str]:
        """Hashes of the parts of both."""
        offers = (offer for offer in (self.last, self.fetched) if offer)
        return {part.sha256 for offer in offers for part in offer.update.parts.values()}

    def proof(self, offer: OfferUpdate | None) -> Proof:
        """The signature of an offer, with all that is signed beside the update, as the ledger keeps it."""
        assert offer is not None
        told = offer.model_dump(include={"plan", "attempt", "approval", "audit", "signature"})
        return Proof(key=self._bond.site, coordinator=self._bond.coordinator, **told)

    def named(self, receipt: Receipt, audit: str) -> Receipt:
        """The receipt with the plan and attempt of the offer that it is for. `audit`: head of the own chain."""
        about: dict[str, object] = {"audit": audit or None}
        for offer in (self.fetched, self.last):
            if offer and offer.update.sha256 == receipt.update:
                about |= {"plan": offer.plan, "attempt": offer.attempt}
        return receipt.model_copy(update=about)
