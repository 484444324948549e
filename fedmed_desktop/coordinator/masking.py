# SPDX-License-Identifier: Apache-2.0
"""Masking at the coordinator: what each site is told of it, and what sites say. All secrets are the sites' own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator
from typing import Final

from ..errors import UserFacingError
from ..federation import FederationSpec
from ..federation import inputs as given
from ..federation.masked import layout
from ..federation.record import RoundsState
from ..federation.secure_aggregation import Keys, Session
from ..federation.secure_aggregation.exchange import Exchange
from ..protocol.masking import (
    MaskAgreement,
    MaskAgreements,
    MaskAsk,
    MaskBoxes,
    MaskKeys,
    MaskPeers,
    MaskReveal,
    MaskShares,
    MaskSurvivors,
    ToMasker,
)
from ..protocol.messages import Message
from .admission import Admission

_FROM_SITE: Final = (MaskKeys, MaskShares, MaskAgreement, MaskReveal)


class Masking:
    """Carries what sites say to one another, for one host and on its event loop."""

    def __init__(
        self,
        spec: FederationSpec,
        federation: str,
        state: Callable[[], RoundsState],
        admission: Admission,
        apply: Callable[[given.Input], Awaitable[object]],
    ) -> None:
        self._spec = spec
        self._federation = federation
        self._state = state
        self._admission = admission
        self._apply = apply

    def messages_for(self, site: str) -> Iterator[ToMasker]:
        """Tells where the masking of the open round stands for this site; told again whenever it connects."""
        state, exchange = self._state(), self._state().masking
        if exchange is None:
            return
        at = {"round": state.round, "number": exchange.number}
        if exchange.members:
            # Also once the round is closed: who was away when the boxes were shared out can still help to open the sum.
            if site in exchange.members and site not in exchange.agreements:
                boxes = {one: exchange.boxes[one][site] for one in exchange.members if one != site}
                yield MaskPeers(**at, keys=self._keys(exchange), sites=self._identities(state))
                yield MaskBoxes(**at, boxes=boxes)
            if site in exchange.members and exchange.survivors:
                yield from self._opening(site, exchange, at)
        elif exchange.roster:
            if site in exchange.roster:
                yield MaskPeers(**at, keys=self._keys(exchange), sites=self._identities(state))
        elif site in state.plans:
            yield MaskAsk(**at)

    def _opening(self, site: str, exchange: Exchange, at: dict[str, int]) -> Iterator[ToMasker]:
        masking = self._spec.masking
        assert masking is not None
        if site not in exchange.agreements:
            yield MaskSurvivors(**at, survivors=exchange.survivors)
        elif site not in exchange.reveals and len(exchange.agreements) >= exchange.threshold(masking):
            yield MaskAgreements(**at, agreements=exchange.agreements)

    def _keys(self, exchange: Exchange) -> dict[str, Keys]:
        return {one: exchange.keys[one] for one in exchange.roster}

    def _identities(self, state: RoundsState) -> dict[str, str]:
        members = {one: self._admission.member(one) for one in state.founders}
        return {one: member.key for one, member in members.items() if member and member.key}

    def waits(self, connected: Collection[str]) -> UserFacingError | None:
        """The reason why a closed round cannot be combined now, as long as too few sites are there to open its sum."""
        state, masking = self._state(), self._spec.masking
        exchange = state.masking
        if exchange is None or masking is None or not exchange.survivors or state.due:
            return None
        there = len({*exchange.reveals, *exchange.members} & {*exchange.reveals, *connected})
        least = exchange.threshold(masking)
        if there >= least:
            return None
        return UserFacingError("secure.waits_for_sites", round=state.round, sites=there, least=least, retryable=True)

    async def heard(self, site: str, key: str, message: Message) -> bool:
        """Takes a site's message, if it is one of these. `key`: its identity, which it has proved on this connection.

        Raises UserFacingError("protocol.not_understood") for keys that are not its own.
        """
        if not isinstance(message, _FROM_SITE):
            return False
        state = self._state()
        if state.masking is None or (message.round, message.number) != (state.round, state.masking.number):
            return True  # of an earlier round: the site has been told since where things stand
        about = {"site": site, "round": message.round}
        match message:
            case MaskKeys(number=number, keys=keys):
                if site not in state.plans:
                    return True
                session = Session(
                    federation=self._federation,
                    round=message.round,
                    layout=layout(self._spec, state).sha256,
                    number=number,
                )
                if (keys.site, keys.identity) != (site, key) or not keys.are_of(session):
                    raise UserFacingError("protocol.not_understood", place="mask_keys", reason="not this site's own")
                at = {"number": number, "federation": self._federation}
                await self._apply(given.KeysArrived(**about, **at, keys=keys))
            case MaskShares(number=number, boxes=boxes):
                await self._apply(given.SharesArrived(**about, number=number, boxes=boxes))
            case MaskAgreement(agreement=signature):
                await self._apply(given.AgreementArrived(**about, signature=signature))
            case MaskReveal(reveal=reveal):
                await self._apply(given.RevealArrived(**about, reveal=reveal))
        return True
