# SPDX-License-Identifier: Apache-2.0
"""Joining a federation: what is typed, whether each field is right, and the request that comes of it. No Qt.

After Electrum's wizards: everything that can be wrong is decided here, so that it is tested without a window.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict

from ...clinical import SiteNotes, read_notes_folder, read_types_map
from ...errors import UserFacingError, disk_fault
from ...lora.base_model import decoder_linears, weight_files
from ...protocol.messages import check_site_name
from ...site.link import check_address
from ...wording import sentence, told
from .preview import NotesPreview, preview
from .site_folders import site_folder

Field = Literal["address", "name", "model", "notes", "types_map"]
CONNECT_S: Final = 1.0

# What went wrong for those who do not know the files; the details follow for those who made them.
_PLAINLY: Final = {
    "clinical.types_file": "This file is not a types map.",
    "clinical.notes_row": "One of the notes is not written as notes must be.",
    "clinical.notes_unreadable": "The notes in this folder cannot be read.",
    "clinical.notes_split_missing": "This is not a folder of notes, or some of them are missing.",
    "model.no_file": "This is not the folder of a language model.",
    "model.damaged": "This language model is damaged.",
}
NEEDED: tuple[Field, ...] = ("address", "name", "model", "notes")


class JoinRequest(BaseModel):
    """A form that was right, and the folder that keeps the site's state. Kept between starts as JSON.

    `types_map` None: the `types.toml` beside the notes, if there is one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str
    name: str
    model: Path
    notes: Path
    types_map: Path | None = None
    data_dir: Path


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
class Verdict:
    """Whether a field is right, and the sentence below it: what is wrong and what to do, or what was found there.

    `warns`: right, but to be looked at.
    """

    state: Literal["empty", "checking", "wrong", "right"]
    sentence: str = ""
    warns: bool = False


EMPTY = Verdict("empty")
CHECKING = Verdict("checking", "Looking…")


@dataclass(frozen=True)
class NotesLook:
    """What a look at the notes found: verdicts on both fields and, where both are right, what to show of them.

    `notes` are kept so that another types map does not mean to read them again.
    """

    folder: str
    folder_verdict: Verdict
    map_verdict: Verdict
    notes: SiteNotes | None = None
    preview: NotesPreview | None = None


def folder_of(typed: str) -> Path:
    """The path that was typed, absolute; "~" is the person's home."""
    return Path(typed).expanduser().absolute()


def look_at_address(typed: str) -> Verdict:
    return _judged(typed, _address)


def reach_address(typed: str) -> Verdict:
    """Whether something answers at a right address; a second at most, so not on the GUI thread.

    Nothing is said to whoever answers. That nobody does is no mistake: a site may be there before its coordinator.
    """
    verdict = look_at_address(typed)
    if verdict.state != "right":
        return verdict
    parts = urlsplit(typed.strip())
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 0), CONNECT_S):
            return Verdict("right", "An address on this computer, and something answers there.")
    except OSError:
        sentence = "Nothing answers there now. You can join anyway; this site keeps trying."
        return Verdict("right", sentence, warns=True)


def look_at_name(typed: str) -> Verdict:
    return _judged(typed, _name)


def look_at_model(typed: str) -> Verdict:
    """Reads the headers of the weights, not the weights: milliseconds on a disk, seconds on a network share."""
    return _judged(typed, _model)


def look_at_notes(notes: str, types_map: str, earlier: NotesLook | None = None) -> NotesLook:
    """Reads every note (seconds for large folders) unless `earlier` has read this folder; never on the GUI thread."""
    notes, types_map = notes.strip(), types_map.strip()
    read: list[SiteNotes] = [earlier.notes] if earlier and earlier.notes and earlier.folder == notes else []

    def reading(typed: str) -> str:
        if not read:
            read.append(read_notes_folder(folder_of(typed)))
        return _splits(read[0])

    found = _judged(notes, reading)
    if found.state != "right":
        return NotesLook(notes, found, _judged(types_map, _map_alone))
    shown: list[NotesPreview] = []

    def mapping(typed: str) -> str:
        shown.append(preview(read[0], _types_map(typed, notes)))
        return _map_sentence(shown[0], typed, notes)

    verdict = _caught(types_map, mapping)
    return NotesLook(notes, found, verdict, read[0], shown[0] if shown else None)


# -- each field ------------------------------------------------------------------------------------------------------


def _judged(typed: str, check: Callable[[str], str]) -> Verdict:
    typed = typed.strip()
    return _caught(typed, check) if typed else EMPTY


def _caught(typed: str, check: Callable[[str], str]) -> Verdict:
    try:
        return Verdict("right", check(typed))
    except UserFacingError as error:
        plainly = _PLAINLY.get(error.code)
        return Verdict("wrong", f"{plainly} Details: {told(error)}" if plainly else told(error))
    except OSError as error:  # a folder that may not be looked into, a share that has gone
        return Verdict("wrong", told(disk_fault(error, Path(typed))))
    except (ValueError, RuntimeError):  # no path at all, or the home of a user that does not exist
        return Verdict("wrong", sentence("desktop.no_path", {}))


def _address(typed: str) -> str:
    check_address(typed)
    return "An address on this computer."


def _name(typed: str) -> str:
    check_site_name(typed)
    return "The coordinator will know this site by it."


def _model(typed: str) -> str:
    folder = folder_of(typed)
    size = sum(path.stat().st_size for path in weight_files(folder))
    layers = len(decoder_linears(folder))
    amount = f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.0f} MB"
    return f"A model of {amount} with {layers:,} layers to adapt."


def _splits(notes: SiteNotes) -> str:
    test = f"{len(notes.test):,} to test with" if notes.test else "none to test with"
    return f"{len(notes.train):,} notes to train on, {len(notes.validation):,} to score rounds with, {test}."


def _beside(notes: str) -> Path | None:
    path = folder_of(notes) / "types.toml"
    return path if path.exists() else None


def _types_map(typed: str, notes: str) -> dict[str, str]:
    path = folder_of(typed) if typed else _beside(notes)
    return read_types_map(path) if path else {}


def _map_alone(typed: str) -> str:
    return f"{len(read_types_map(folder_of(typed)))} types are mapped."


def _map_sentence(found: NotesPreview, typed: str, notes: str) -> str:
    kept, ignored = found.entities_kept, found.entities_ignored
    if not kept:
        raise UserFacingError("desktop.types_ignored", found=", ".join(row.local for row in found.types) or "none")
    source = "" if typed else "From types.toml beside the notes: " if _beside(notes) else "Without a map: "
    counted = (
        f"{kept:,} of {kept + ignored:,} marked entities count" if ignored else f"all {kept:,} marked entities count"
    )
    sentence = f"{source}{counted}."
    return sentence[0].upper() + sentence[1:]
