# SPDX-License-Identifier: Apache-2.0
"""Loss of an update's model on notes that only the coordinator has, for methods that weigh sites by it."""

from __future__ import annotations

import asyncio

from ..errors import UserFacingError
from ..federation import FederationSpec, Plan, Scorer, Update
from ..lora import Adapter
from ..lora.blob import BlobReader
from ..lora.half import open_update
from ..storage import BlobStore


def check_scorer(spec: FederationSpec, given: bool) -> None:
    """Raises UserFacingError if the method needs a scorer that is not given, or is given one that it does not use."""
    needed = spec.method.scored_by == "coordinator"
    if needed and not given:
        raise UserFacingError("coordinator.no_scorer", method=spec.method.name)
    if given and not needed:
        raise UserFacingError("coordinator.scorer_unused", method=spec.method.name)


class Measuring:
    """Measures one update at a time, off the event loop; the scorer loads its base model at the first."""

    def __init__(self, scorer: Scorer, blobs: BlobStore) -> None:
        self._scorer = scorer
        self._blobs = blobs
        self._turn = asyncio.Lock()

    async def loss(self, plan: Plan, update: Update) -> float:
        """Loss of the base with this update and the plan's frozen adapter, in nats per supervised token."""
        async with self._turn:
            return await asyncio.to_thread(self._measure, plan, update)

    def _measure(self, plan: Plan, update: Update) -> float:
        sha256 = update.parts["adapter"].sha256
        started = BlobReader(self._blobs.path(plan.start), plan.start)
        path = self._blobs.path(sha256)
        with started as start, open_update(path, plan.shared, start, sha256, plan.packing) as source:
            adapter = Adapter({name: source.module(name) for name in source.names})
        frozen = Adapter.from_blob(self._blobs.read(plan.frozen)) if plan.frozen else None
        return self._scorer.loss(adapter, frozen)
