# SPDX-License-Identifier: Apache-2.0
"""All adapters that act together where one of this site's is tried on a note: what lies frozen, and the site's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ...errors import UserFacingError
from ...federation import Plan
from ...lora import Adapter, load_adapter
from ...lora.blob import BlobReader
from ...lora.half import open_update
from ...lora.module import Factor
from ...site import Record, with_own_b
from ..work.desk import Desk

Find = Callable[[str], Path | None]


@dataclass(frozen=True)
class Reads:
    """Files. `adapter` is a PEFT folder or a blob; where it holds some `factors` only, `start` has the others.

    `own_b`: an adapter whose B stands in for the one of `adapter`.
    """

    adapter: Path
    frozen: Path | None = None
    personal: Path | None = None
    own_b: Path | None = None
    factors: tuple[Factor, ...] = ("A", "B")
    start: Path | None = None


@dataclass(frozen=True)
class Loaded:
    """What a reader attaches."""

    adapter: Adapter
    frozen: Adapter | None
    personal: Adapter | None


def reads_of(sha256: str, desk: Desk, find: Find, own: Mapping[str, Path]) -> Reads:
    """The federation's adapter with this hash, or this site's update: with what belongs beside it.

    `own`: files of the site's own parts, for a model that has them. Raises UserFacingError where a file is not here.
    """
    made = _plan_of_update(sha256, desk.record)
    frozen = made.frozen if made else _frozen_beside(sha256, desk)
    reads = Reads(
        adapter=_found(sha256, find),
        frozen=_found(frozen, find) if frozen else None,
        personal=own.get("personal"),
        own_b=own.get("B"),
    )
    if made and len(made.shared) == 1:
        reads = replace(reads, factors=made.shared, start=_found(made.start, find))
    return reads


def load(reads: Reads) -> Loaded:
    """Reads the files; not for the GUI thread. Raises UserFacingError."""
    if reads.start is not None:
        with BlobReader(reads.start) as start, open_update(reads.adapter, reads.factors, start) as update:
            adapter = Adapter({name: update.module(name) for name in update.names})
    else:
        adapter = load_adapter(reads.adapter)
    if reads.own_b:
        adapter = with_own_b(adapter, {"B": load_adapter(reads.own_b)})
    beside = (load_adapter(path) if path else None for path in (reads.frozen, reads.personal))
    return Loaded(adapter, *beside)


def has_own(desk: Desk) -> bool:
    """Whether this site keeps a part of the model for itself, and has trained one."""
    plans = [entry.plan for entry in desk.record.entries if entry.plan.kind == "train"]
    return any(plan.own or plan.orthogonal for plan in plans)


def is_own_update(sha256: str, desk: Desk) -> bool:
    """Whether this is the adapter part of an update that was made here."""
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
