# SPDX-License-Identifier: Apache-2.0
"""Looks into what a join form names: an invitation's file, an address, the notes. Not for the GUI thread."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from ...clinical import SiteNotes, read_notes_folder, read_types_map
from ...protocol.invitation import read_invitation
from ...site.invited import read_given
from ...wording import tr
from ..look.fields import Verdict
from ..work.verdicts import caught, folder_of, judged
from .form import NotesLook, look_at_address, map_sentence, splits_sentence
from .preview import NotesPreview, preview

CONNECT_S: Final = 1.0


def open_invitation(given: str) -> tuple[str, Verdict]:
    """The line in a .fedmed file or in a picture of its QR code; "" where there is none, with the reason."""
    from .picture import is_picture, text_in_picture  # Qt; the rest of this file does without

    lines: list[str] = []

    def reading(typed: str) -> str:
        path = folder_of(typed)
        found = read_invitation(text_in_picture(path)) if is_picture(path) else read_given(str(path))
        lines.append(found.line())
        return ""

    verdict = caught(given.strip(), reading)
    return "".join(lines), verdict


def reach_address(typed: str) -> Verdict:
    """Looks whether something answers at a right address; it may take a second, so not on the GUI thread.

    Nothing is said to it. No answer is no mistake: a site may be there before its coordinator.
    """
    verdict = look_at_address(typed)
    if verdict.state != "right":
        return verdict
    parts = urlsplit(typed.strip())
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 0), CONNECT_S):
            return Verdict("right", tr("An address on this computer, where something answers."))
    except OSError:
        sentence = tr("Nothing answers there now. You can join anyway; this site keeps trying.")
        return Verdict("right", sentence, warns=True)


def look_at_notes(notes: str, types_map: str, earlier: NotesLook | None = None) -> NotesLook:
    """Reads every note (seconds for large folders) unless `earlier` has read this folder; never on the GUI thread."""
    notes, types_map = notes.strip(), types_map.strip()
    read: list[SiteNotes] = [earlier.notes] if earlier and earlier.notes and earlier.folder == notes else []

    def reading(typed: str) -> str:
        if not read:
            read.append(read_notes_folder(folder_of(typed)))
        return splits_sentence(read[0])

    found = judged(notes, reading)
    if found.state != "right":
        return NotesLook(notes, found, judged(types_map, _map_alone))
    shown: list[NotesPreview] = []

    def mapping(typed: str) -> str:
        shown.append(preview(read[0], _types_map(typed, notes)))
        return map_sentence(shown[0], _source(typed, notes))

    verdict = caught(types_map, mapping)
    return NotesLook(notes, found, verdict, read[0], shown[0] if shown else None)


def _beside(notes: str) -> Path | None:
    path = folder_of(notes) / "types.toml"
    return path if path.exists() else None


def _types_map(typed: str, notes: str) -> dict[str, str]:
    path = folder_of(typed) if typed else _beside(notes)
    return read_types_map(path) if path else {}


def _map_alone(typed: str) -> str:
    return tr("%n type(s) mapped.", "", len(read_types_map(folder_of(typed))))


def _source(typed: str, notes: str) -> str:
    """Words for the map that was used; "" where the person named one."""
    if typed:
        return ""
    return tr("From types.toml beside the notes:") if _beside(notes) else tr("Without a map:")
