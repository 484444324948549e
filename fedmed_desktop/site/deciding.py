# SPDX-License-Identifier: Apache-2.0
"""Restoring a site's part from its outbox, and recording decisions there. Both read the disk."""

from __future__ import annotations

from datetime import datetime

from ..errors import UserFacingError
from ..federation import part_actions as do
from ..federation.part import SitePart
from ..federation.work import Entry
from ..storage.outbox import Outbox


def record(box: Outbox, action: do.Record, now: datetime) -> Entry:
    """Writes a decision; returns what the outbox says then, which holds where something else was faster."""
    sha256 = action.sha256
    try:
        if action.decision == "kept":
            box.remember(f"attempt {sha256}", str(action.attempt))
        if action.decision == "released":  # its time has come, even if the clock was set back meanwhile
            now = max(now, box.entry(sha256).effective or now)
        return box.decide(action, now)
    except UserFacingError as error:
        if error.code not in ("storage.not_released", "storage.not_possible_now"):
            raise
        return box.entry(sha256)


def part_of(box: Outbox, site: str, rank_cap: int | None) -> SitePart:
    """The site's part as its outbox knows it. Raises UserFacingError where that is damaged."""
    known = box.record()
    kept = {one.sha256: box.recall(f"attempt {one.sha256}") for one in known.entries}
    kept_at = {sha256: int(attempt) for sha256, attempt in kept.items() if attempt}
    return SitePart(site, known.entries, kept_at, known.spec, rank_cap)
