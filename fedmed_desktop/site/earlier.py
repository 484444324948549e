# SPDX-License-Identifier: Apache-2.0
"""Earlier federations of this computer: what the sites in its data folders recorded, for comparing with."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from ..errors import UserFacingError
from ..events import Event
from ..storage import BlobStore
from ..storage.journal import Journal
from ..storage.outbox import Outbox, Record
from .folder import STATE

MEASURED: Final = "metrics.sqlite"


@dataclass(frozen=True)
class Earlier:
    """A federation that a site took part in. `rounds`: in which it trained; `last`: its last decision."""

    folder: Path
    federation: str
    rounds: int
    last: datetime


def earlier_federations(folders: Iterable[Path]) -> list[Earlier]:
    """Federations with at least one trained round, the last one first. A folder that is in use or damaged is left out.

    Reads files: not for a GUI thread.
    """
    found = []
    for folder in folders:
        try:
            record = read_record(folder)
        except (UserFacingError, OSError):
            continue
        trained = {entry.plan.round for entry in record.entries if entry.update.report.kind == "train"}
        if record.spec is not None and trained and record.decisions:
            found.append(Earlier(folder, record.spec.name, len(trained), record.decisions[-1].time))
    return sorted(found, key=lambda one: one.last, reverse=True)


def read_record(folder: Path) -> Record:
    """The record of the site in this folder. Raises UserFacingError where there is none, or it is in use or damaged."""
    if not (folder / STATE).is_file():
        raise UserFacingError("desktop.no_path")
    with closing(Outbox(folder / STATE, BlobStore(folder / "blobs"))) as outbox:
        return outbox.record()


def read_measured(folder: Path) -> tuple[Event, ...]:
    """Training steps and evaluations of the site in this folder, in order; () where there are none."""
    if not (folder / MEASURED).is_file():
        return ()
    faults: list[UserFacingError] = []
    with closing(Journal(folder / MEASURED, faults.append)) as journal:
        return tuple(journal.events())
