# SPDX-License-Identifier: Apache-2.0
"""Joining a federation: what is typed, whether each field is right, and the request that comes of it. No Qt. After
Electrum's wizards: everything that can be wrong is decided here, so that it is tested without a window.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from ...clinical import SiteNotes
from ...errors import UserFacingError
from ...protocol.messages import site_name
from ...site.link import check_address
from ...wording import together, tr
from ..look.fields import Verdict
from ..work.requests import JoinRequest
from ..work.verdicts import folder_of, judged
from .preview import NotesPreview

FieldName = Literal["address", "name", "model", "notes", "types_map"]

NEEDED: tuple[FieldName, ...] = ("address", "name", "model", "notes")


@dataclass(frozen=True)
class JoinForm:
    """The fields as typed."""

    address: str = ""
    name: str = ""
    model: str = ""
    notes: str = ""
    types_map: str = ""

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, getattr(self, field.name).strip())

    @classmethod
    def of(cls, request: JoinRequest) -> JoinForm:
        types_map = str(request.types_map) if request.types_map else ""
        return cls(request.address, request.name, str(request.model), str(request.notes), types_map)

    def request(self, root: Path) -> JoinRequest:
        """For a form of which every verdict is right; `root` holds a folder for each site and coordinator."""
        return JoinRequest(
            address=self.address,
            name=self.name,
            model=folder_of(self.model),
            notes=folder_of(self.notes),
            types_map=folder_of(self.types_map) if self.types_map else None,
            data_dir=site_folder(root, self.address, self.name),
        )


@dataclass(frozen=True)
class NotesLook:
    """Findings of a look at the notes: verdicts on both fields and, where both are right, what to show of them. `notes`
    are kept so that another types map does not mean to read them again.
    """

    folder: str
    folder_verdict: Verdict
    map_verdict: Verdict
    notes: SiteNotes | None = None
    preview: NotesPreview | None = None


def site_folder(root: Path, address: str, name: str) -> Path:
    """By address and name: joining under the same name again goes on where it was left."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "site"
    own = hashlib.sha256("\n".join((address, name)).encode()).hexdigest()[:12]
    return root / f"{plain}-{own}"


def look_at_address(typed: str) -> Verdict:
    return judged(typed, _address)


def look_at_name(typed: str) -> Verdict:
    return judged(typed, _name)


def _address(typed: str) -> str:
    check_address(typed)
    return tr("An address on this computer.")


def _name(typed: str) -> str:
    site_name(typed)
    return tr("The coordinator will know this site by this name.")


def splits_sentence(notes: SiteNotes) -> str:
    """How many notes a folder has, and what each part is for."""
    test = tr("{count:,} to test with") if notes.test else tr("none to test with")
    keys = ", ".join(f"{key} ({rows:,})" for key, rows in notes.unread.items())
    said = tr("%n note(s) to train on, {validation:,} to score rounds with, {test}.", "", len(notes.train))
    said = said.format(validation=len(notes.validation), test=test.format(count=len(notes.test or [])))
    return together(said, tr("Keys of rows that are not read: {keys}.").format(keys=keys) if keys else "")


def map_sentence(found: NotesPreview, source: str) -> str:
    """How many marked entities count; `source` says by which map. Raises UserFacingError where none does."""
    kept, ignored = found.entities_kept, found.entities_ignored
    if not kept:
        raise UserFacingError("desktop.types_ignored", found=", ".join(row.local for row in found.types) or "none")
    said = tr("{kept:,} of {all:,} marked entities count.") if ignored else tr("All {all:,} marked entities count.")
    return together(source, said.format(kept=kept, all=kept + ignored))
