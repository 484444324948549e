# SPDX-License-Identifier: Apache-2.0
"""Masking at a site: answers the coordinator's messages about it, and masks an update once the others' shares are here.

Whatever it refuses costs this site its part in the round and gives nothing away. Secrets are on the disk before the
answer that follows from them is sent.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from .. import events
from ..errors import UserFacingError
from ..federation import Given, LocalResult, Part, Plan
from ..federation.evidence import MaskedAmong
from ..federation.part import SitePart
from ..federation.secure_aggregation import LEAST_SITES, Layout, Masker, Session, blob_of, encoded
from ..files import make_folder
from ..identity import PrivateKey, phrase_of
from ..lora.half import open_update
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
from ..storage.masking import MaskStore
from ..storage.outbox import Outbox
from .link import Link

_FOUNDERS: Final = "masked with"  # the fact in the outbox: identities of the sites that began together


class Masking:
    """Masking on the agent's loop, one message at a time; files and masks are worked on in threads."""

    def __init__(
        self, data_dir: Path, part: SitePart, outbox: Outbox, link: Link, emit: Callable[[events.Event], None]
    ) -> None:
        self._folder = data_dir / "masking"
        self._store = MaskStore(self._folder)
        self._part = part
        self._outbox = outbox
        self._link = link
        self._emit = emit
        self._key: PrivateKey | None = None
        self._federation = ""
        self._masker: Masker | None = None
        self._fault: tuple[int, UserFacingError] | None = None  # why this site is out of a round
        self._news = asyncio.Event()

    def welcomed(self, key: PrivateKey, federation: str) -> None:
        """The site's identity, and the federation that it has joined."""
        self._key, self._federation = key, federation

    # -- the coordinator's messages ----------------------------------------------------------------------------------

    async def heard(self, message: ToMasker) -> None:
        """Answers, or tells why not: nothing that is asked for here may end the site's work."""
        try:
            answer = await self._answer(message)
        except UserFacingError as error:
            if error.retryable:
                raise
            if isinstance(message, MaskAsk | MaskPeers | MaskBoxes):
                self._fault = message.round, error
            self._emit(events.Warned(site=self._part.site, round=message.round, code=error.code, params=error.params))
            answer = None
        self._news.set()
        if answer is not None:
            await self._link.send(answer)

    async def _answer(self, message: ToMasker) -> Message | None:
        masker = await self._of(message)
        at = {"round": message.round, "number": message.number}
        if masker is None or self._key is None:
            return None
        match message:
            case MaskAsk():
                return MaskKeys(**at, keys=masker.keys)
            case MaskPeers(keys=keys, sites=sites):
                known = await asyncio.to_thread(self._founders, sites)
                boxes = masker.shared(keys, known, os.urandom)
                answer: Message = MaskShares(**at, boxes=boxes)
            case MaskBoxes(boxes=boxes):
                masker.received(boxes)
                await self._save(masker)
                return None
            case MaskSurvivors(survivors=survivors):
                answer = MaskAgreement(**at, agreement=masker.agree(self._key, survivors))
            case MaskAgreements(agreements=agreements):
                answer = MaskReveal(**at, reveal=masker.reveal(agreements))
        await self._save(masker)
        return answer

    async def _of(self, message: ToMasker) -> Masker | None:
        """Part of this site in the session that the message is about; made anew where it is asked for keys."""
        if self._masker is None or self._masker.secrets.session.round != message.round:
            secrets = await asyncio.to_thread(self._store.load, message.round)
            self._masker = Masker(secrets) if secrets else None
        masker = self._masker
        if masker and masker.secrets.session.number == message.number:
            return masker
        if not isinstance(message, MaskAsk) or (masker and masker.secrets.session.number > message.number):
            return None
        if masker and masker.members:  # its update may have left under these masks: a second sum would show it
            raise UserFacingError("secure.second_sum")
        return await self._begun(message)

    async def _begun(self, message: MaskAsk) -> Masker | None:
        plan, key, works = self._part.plan, self._key, self._part.due is not None
        if plan is None or plan.round != message.round or plan.masking is None or key is None or not works:
            return None
        session = Session(
            federation=self._federation,
            round=plan.round,
            layout=self._layout(plan).sha256,
            number=message.number,
        )
        masker = Masker.begin(self._part.site, key, session, plan.masking, os.urandom)
        await asyncio.to_thread(self._store.forget_before, plan.round)
        await self._save(masker)
        self._masker, self._fault = masker, None
        return masker

    async def _save(self, masker: Masker) -> None:
        await asyncio.to_thread(self._store.save, masker.secrets)

    def _founders(self, told: dict[str, str]) -> dict[str, str]:
        """Identities of the sites that began together, as they were told first.

        Raises UserFacingError where they are too few or this site is not among them.
        """
        if (known := self._outbox.recall(_FOUNDERS)) is None:
            if len(told) < LEAST_SITES:
                raise UserFacingError("secure.too_few_sites", sites=len(told), least=LEAST_SITES)
            if self._key is None or told.get(self._part.site) != self._key.public:
                raise UserFacingError("secure.not_my_keys")
            known = json.dumps(told, sort_keys=True)
            self._outbox.remember(_FOUNDERS, known)
        found: dict[str, str] = json.loads(known)
        return found

    def _layout(self, plan: Plan) -> Layout:
        spec = self._part.spec
        assert spec is not None and plan.masking is not None
        return Layout.of(plan.start, spec.base.modules, plan.shared, plan.rank, plan.masking)

    def checked(self, plan: Plan) -> Plan:
        """The plan; raises UserFacingError where it asks for a mask that this site cannot make, or makes no more.

        Of two updates with the same masks the difference would be open, and of two in different sums perhaps more.
        """
        if plan.masking and not self._link.answers:
            raise UserFacingError("secure.not_carried", round=plan.round)
        made = (entry.plan for entry in self._part.entries.values() if "masked" in entry.update.parts)
        if plan.masking and any(one.round == plan.round and one != plan for one in made):
            raise UserFacingError("secure.second_update", round=plan.round)
        return plan

    # -- the update --------------------------------------------------------------------------------------------------

    async def masked(self, plan: Plan, given: Given, result: LocalResult) -> LocalResult:
        """The result with one masked part in place of the adapter. Waits for the others' shares; days, if need be.

        As it is where the plan asks for no mask. Raises UserFacingError where this site cannot mask in the round.
        """
        if plan.masking is None:
            return result
        while (masker := await self._ready(plan)) is None:
            self._news.clear()
            await self._news.wait()
        return await asyncio.to_thread(self._mask, masker, plan, given, result)

    async def _ready(self, plan: Plan) -> Masker | None:
        if self._fault and self._fault[0] == plan.round:
            raise self._fault[1]
        masker = self._masker
        if masker is None or masker.secrets.session.round != plan.round:
            secrets = await asyncio.to_thread(self._store.load, plan.round)
            masker = Masker(secrets) if secrets else None
        if masker and masker.secrets.session.layout != self._layout(plan).sha256:
            raise UserFacingError("secure.out_of_order")
        return masker if masker and masker.members else None

    def _mask(self, masker: Masker, plan: Plan, given: Given, result: LocalResult) -> LocalResult:
        spec, layout = self._part.spec, self._layout(plan)
        assert spec is not None and plan.masking is not None
        weight = spec.method.own_weight(result.update.report, plan.masking.largest_weight)
        with tempfile.TemporaryDirectory(dir=make_folder(self._folder)) as folder:
            path = Path(folder) / "update"
            path.write_bytes(result.blobs["adapter"])
            with open_update(path, plan.shared, given.start) as after:
                found = encoded(layout, given.start, after, weight, len(masker.members), masker.least)
        masker.mask(found.numbers)
        blob = blob_of(layout, found.numbers)
        part = Part(sha256=hashlib.sha256(blob).hexdigest(), size=len(blob))
        known = self._founders({})
        among = MaskedAmong(
            sites=masker.members,
            phrase=phrase_of(known.values()),
            clipped=found.clipped,
            values=layout.values,
        )
        return replace(
            result,
            update=result.update.model_copy(update={"parts": {"masked": part}}),
            blobs={"masked": blob},
            evidence=result.evidence.model_copy(update={"masked": among}),
        )
