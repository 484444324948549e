# SPDX-License-Identifier: Apache-2.0
"""Carries out a combination from disk: module by module, so that memory does not grow with the number of sites."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack

from threadpoolctl import threadpool_limits

from ..federation import Plan, Update
from ..federation.actions import Combine
from ..federation.closing import close_round
from ..federation.inputs import RoundCombined
from ..federation.rounds import Rounds
from ..lora import algebra
from ..lora.blob import BlobReader
from ..lora.half import open_update
from ..lora.module import ModuleSource
from ..storage import BlobStore


def combine(due: Combine, rounds: Rounds, blobs: BlobStore) -> RoundCombined:
    """Combines the stored updates, keeps the next global adapter as a blob and says what came out.

    Pure in its inputs: carried out again after a crash it gives the same bytes. Runs off the event loop.
    """
    spec, plans = rounds.spec, rounds.state.plans
    with ExitStack() as readers:
        start = readers.enter_context(BlobReader(blobs.path(due.start)))
        frozen = readers.enter_context(BlobReader(blobs.path(due.frozen))) if due.frozen else None
        sources: dict[str, ModuleSource] = {
            site: readers.enter_context(_opened(update, plans[site], start, blobs))
            for site, update in due.updates.items()
        }
        control = readers.enter_context(BlobReader(blobs.path(due.control))) if due.control else None
        controls = {
            site: readers.enter_context(BlobReader(blobs.path(update.parts["control"].sha256)))
            for site, update in due.updates.items()
            if "control" in update.parts
        }
        outcome, residual = close_round(due, spec, sources, start, frozen, control, controls, rounds.state)
    with threadpool_limits(limits=1):  # the ledger keeps these too: their bits must not depend on threads
        norm, effective_rank = algebra.norm(outcome.adapter), algebra.effective_rank(outcome.adapter)
    return RoundCombined(
        round=due.round,
        adapter=blobs.write(outcome.adapter.to_blob()),
        frozen=blobs.write(outcome.frozen.to_blob()) if outcome.frozen is not None else due.frozen,
        control=blobs.write(outcome.control.to_blob()) if outcome.control is not None else due.control,
        state=outcome.state,
        measures=dict(outcome.measures),
        residual=residual,
        norm=norm,
        effective_rank=effective_rank,
    )


def _opened(update: Update, plan: Plan, start: ModuleSource, blobs: BlobStore) -> AbstractContextManager[ModuleSource]:
    return open_update(blobs.path(update.parts["adapter"].sha256), plan.shared, start)
