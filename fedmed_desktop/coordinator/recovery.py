# SPDX-License-Identifier: Apache-2.0
"""Recovery of counted updates whose stored blob is missing or damaged: they are fetched again from their sites.

A site keeps what it sent and sends it again when asked for the hash. A part that comes back is checked by its hash
alone, since its contents were checked when it was first accepted.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

from ..errors import UserFacingError
from ..federation.actions import Combine
from ..federation.record import RoundsState
from ..protocol.messages import Want
from ..protocol.transfer import Chunk, Reception
from ..storage import BlobStore

_LOG = logging.getLogger(__name__)


@dataclass
class _Lost:
    site: str
    size: int
    reception: Reception | None = None
    seen: int = -1  # bytes received at the last look


class LostParts:
    """Lost parts of one round. Used on the host's event loop, except `take`, which writes files.

    `look` finds out what is lost and what has come back.
    """

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self._lost: dict[str, _Lost] = {}
        self._writing = threading.Lock()  # a late chunk of an older connection may come beside one of the newest

    @property
    def sites(self) -> list[str]:
        """Sites whose parts the round waits for."""
        return sorted({lost.site for lost in self._lost.values()})

    def look(self, due: Combine) -> UserFacingError | None:
        """Finds the inputs of a combination that are missing; returns the error that says what it waits for, if any."""
        starts = sorted({plan.start for plan in due.plans.values()})  # some are the round's, cut to a smaller rank
        if fault := lost_adapter(self._blobs, due.round, due.start, due.frozen, due.control, *starts):
            return fault
        parts = {part.sha256: (site, part.size) for site, one in due.updates.items() for part in one.parts.values()}
        gone = {sha256: whose for sha256, whose in parts.items() if sha256 not in self._blobs}
        self._lost = {sha256: self._lost.get(sha256) or _Lost(*whose) for sha256, whose in gone.items()}
        if not gone:
            return None
        return UserFacingError("coordinator.lost_update", round=due.round, sites=", ".join(self.sites), retryable=True)

    def wants(self) -> dict[str, Want]:
        """Requests to send, one for each site, which sends one blob at a time; none while bytes are arriving."""
        found: dict[str, Want] = {}
        moving = set[str]()
        for sha256, lost in self._lost.items():
            received = lost.reception.received if lost.reception else 0
            if received > lost.seen >= 0:
                moving.add(lost.site)
            found.setdefault(lost.site, Want(sha256=sha256, offset=received))
            lost.seen = received
        return {site: want for site, want in found.items() if site not in moving}

    def gone(self, site: str, sha256: str) -> UserFacingError | None:
        """Error to tell if a site no longer has a lost part either; None if the part is not one of its lost ones."""
        if sha256 not in self._lost or self._lost[sha256].site != site:
            return None
        return UserFacingError("coordinator.update_gone", sha256=sha256, path=str(self._blobs.folder))

    def take(self, site: str, chunk: Chunk) -> bool:
        """Writes bytes that a site sends again; True once a part is complete and back in the store."""
        lost = self._lost.get(chunk.sha256)
        if lost is None or lost.site != site:
            return False
        with self._writing:
            return self._write(lost, chunk)

    def _write(self, lost: _Lost, chunk: Chunk) -> bool:
        if chunk.sha256 in self._blobs:
            return True
        if lost.reception is None:
            path = self._blobs.part_file(chunk.sha256, f"{lost.site}, again")
            lost.reception = Reception(chunk.sha256, path, lost.size)
        try:
            if not lost.reception.write(chunk):
                return False
            self._blobs.adopt(lost.reception.finish(), chunk.sha256)
        except UserFacingError as error:
            _LOG.warning("%s, sent again by %s: %s", chunk.sha256[:12], lost.site, error)
            lost.reception, lost.seen = None, -1  # wrong bytes: it is requested again from the beginning
            if error.retryable:
                raise
            return False
        _LOG.info("%s came back from %s", chunk.sha256[:12], lost.site)
        return True


def lost_adapter(blobs: BlobStore, round_number: int, *named: str | None) -> UserFacingError | None:
    """Error that names the first of these own adapters that is missing, if one is; only a person can put it back."""
    for sha256 in named:
        if sha256 and sha256 not in blobs:
            return UserFacingError(
                "coordinator.lost_adapter", round=round_number, sha256=sha256, path=str(blobs.folder), retryable=True
            )
    return None


def check_adapters(blobs: BlobStore, state: RoundsState) -> None:
    """Checks the adapters that the open round starts from; raises UserFacingError naming one that is lost."""
    for sha256 in (state.start, state.frozen, state.control, *state.cuts.values()):
        if sha256 and sha256 in blobs and not blobs.is_whole(sha256):
            blobs.put_aside(sha256)
        if fault := lost_adapter(blobs, state.round, sha256):
            raise fault
