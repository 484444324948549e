# SPDX-License-Identifier: Apache-2.0
"""Adapters that act together where one of this site's is tried on a note: with what lies frozen and its own. No Qt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from ...errors import UserFacingError
from ...federation import Plan
from ...storage.outbox import Record
from ..work.desk import Desk
from ..work.requests import AdapterFiles

Find = Callable[[str], Path | None]


def files_of(sha256: str, desk: Desk, find: Find, own: Mapping[str, Path]) -> AdapterFiles:
    """The federation's adapter with this hash, or this site's update: with what belongs beside it. `own`: files of the
    site's own parts, for a model that has them. Raises UserFacingError where a file is not here.
    """
    made = _plan_of_update(sha256, desk.record)
    frozen = made.frozen if made else _frozen_beside(sha256, desk)
    files = AdapterFiles(
        adapter=_found(sha256, find),
        frozen=_found(frozen, find) if frozen else None,
        personal=own.get("personal"),
        own_b=own.get("B"),
    )
    if made and (len(made.shared) == 1 or made.packing):
        files = replace(files, factors=made.shared, start=_found(made.start, find), packing=made.packing)
    return files


def is_own_update(sha256: str, desk: Desk) -> bool:
    """Tells whether this is the adapter part of an update that was made here."""
    return _plan_of_update(sha256, desk.record) is not None


def _plan_of_update(sha256: str, record: Record) -> Plan | None:
    for entry in record.entries:
        part = entry.update.parts.get("adapter")
        if part and part.sha256 == sha256:
            return entry.plan
    return None


def _frozen_beside(sha256: str, desk: Desk) -> str | None:
    if sha256 == desk.record.final:
        return desk.record.final_frozen
    if desk.fetched and desk.fetched.start == sha256:
        return desk.fetched.frozen
    return next((entry.plan.frozen for entry in desk.record.entries if entry.plan.start == sha256), None)


def _found(sha256: str, find: Find) -> Path:
    if (path := find(sha256)) is None:
        raise UserFacingError("storage.no_blob", sha256=sha256)
    return path
