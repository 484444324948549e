# SPDX-License-Identifier: Apache-2.0
"""Deletion of blobs that no round can need any more: updates of rounds closed long ago, and what never counted.

Published adapters stay, and so do the updates of the last closed rounds, so that a round can be looked into and
combined once more. The ledger keeps the hashes and signatures of all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from weakref import WeakSet

from ..errors import UserFacingError
from ..federation.record import RoundsState
from ..storage import BlobStore, Ledger
from ..storage.audit_row import AuditEntry
from .auditing import Trail
from .offered import Offered

_LOG = logging.getLogger(__name__)


class Pruning:
    """Prunes for one host, on its event loop. `keep`: how many closed rounds keep their updates; None: all of them.

    `still` holds back all inputs and gives the ledger.
    """

    def __init__(
        self,
        keep: int | None,
        initial: str,
        blobs: BlobStore,
        trail: Trail,
        state: Callable[[], RoundsState],
        still: Callable[[], AbstractAsyncContextManager[Ledger]],
        clock: Callable[[], datetime],
    ) -> None:
        self._keep = keep
        self._initial = initial
        self._blobs = blobs
        self._trail = trail
        self._state = state
        self._still = still
        self._clock = clock
        self._offers: WeakSet[Offered] = WeakSet()

    def watch(self, offers: Offered) -> Offered:
        """Keeps what is being offered on a connection, for as long as that lasts: it may count in a moment."""
        self._offers.add(offers)
        return offers

    async def prune(self) -> None:
        """Deletes what the rule says, at the start and after each combination. A disk that refuses is asked later.

        What rounding took in earlier rounds goes in any case.
        """
        for sha256 in self._state().overtaken():
            await asyncio.to_thread(self._blobs.delete, sha256)
        if self._keep is None:
            return
        try:
            async with self._still() as ledger:
                state = self._state()
                if state.due:  # the result of a combination may be on the disk, and not in the ledger yet
                    return
                last = len(state.history) - self._keep
                if last > 0:
                    await asyncio.to_thread(ledger.prune_to, state.history[last - 1].round, self._clock())
                kept = state.published() | {self._initial} | state.parts(self._keep)
                kept |= {sha256 for offers in self._offers for sha256 in offers.parts()}
                # On the loop, so that nobody begins to use one meanwhile; a rename is quick, to delete may take long.
                gone = self._blobs.retire(kept)
            await asyncio.to_thread(self._blobs.delete_retired)
        except UserFacingError as error:
            _LOG.warning("old updates could not be deleted: %s", error)
            return
        if gone:
            about = {"object_type": "update", "object_id": f"{gone} files", "round": max(0, last)}
            self._trail.tell(AuditEntry(action_code="pruned", role="coordinator", **about))
