# SPDX-License-Identifier: Apache-2.0
"""Review of a site's audit chain by a person: itself an entry of the chain, bound to the last entry that was seen."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from pathlib import Path

from ..errors import UserFacingError
from ..storage.audit import FILE, Audit
from ..storage.audit_row import AuditEntry


def mark_reviewed(data_dir: Path, number: int, digest: str, by: str, remark: str, now: datetime) -> None:
    """Writes that `by` has seen all entries up to this one, whose hash is `digest`; also while the site's agent runs.

    Blocks on the disk. Raises UserFacingError: the chain is broken, or the entry is not the one that was seen.
    """
    path = data_dir / FILE
    if not path.exists():
        raise UserFacingError("audit.none", path=str(path))
    with closing(Audit(path, "site", "")) as audit:
        seen = audit.entries(after=number - 1, most=1)
        if not seen or seen[0].hash != digest:
            raise UserFacingError("audit.not_seen", path=str(path), entry=number)
        audit.owner, audit.host_id = seen[0].owner, seen[0].host_id
        audit.append(
            AuditEntry(
                action_code="reviewed",
                role="operator",
                actor_name=by,
                object_type="entry",
                object_id=str(number),
                object_hash=digest,
                reason=remark,
                meaning="review",
            ),
            now=now,
        )
