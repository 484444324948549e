# SPDX-License-Identifier: Apache-2.0
"""Carries out a combination from disk: module by module, so that memory does not grow with the number of sites."""

from __future__ import annotations

from contextlib import ExitStack

from threadpoolctl import threadpool_limits

from ..federation.combine import Term
from ..federation.inputs import RoundCombined
from ..federation.rounds import Combine, Rounds
from ..lora import algebra
from ..lora.blob import BlobReader
from ..storage import BlobStore


def combine(due: Combine, rounds: Rounds, blobs: BlobStore) -> RoundCombined:
    """Combines the stored updates, keeps the next global adapter as a blob and says what came out.

    Pure in its inputs: carried out again after a crash it gives the same bytes. Runs off the event loop.
    """
    method = rounds.spec.method
    with ExitStack() as readers:
        terms = [
            Term(
                order=update.sha256,
                weight=due.weights[site],
                source=readers.enter_context(BlobReader(blobs.path(update.parts["adapter"].sha256))),
            )
            for site, update in due.updates.items()
        ]
        combination = method.combiner(terms)
    outcome = method.finish(combination.adapter, due.frozen, rounds.state.method)
    with threadpool_limits(limits=1):  # the ledger keeps these too: their bits must not depend on threads
        norm, effective_rank = algebra.norm(outcome.adapter), algebra.effective_rank(outcome.adapter)
    return RoundCombined(
        round=due.round,
        adapter=blobs.write(outcome.adapter.to_blob()),
        frozen=outcome.frozen,
        state=outcome.state,
        residual=combination.residual,
        norm=norm,
        effective_rank=effective_rank,
    )
