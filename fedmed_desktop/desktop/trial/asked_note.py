# SPDX-License-Identifier: Apache-2.0
"""The note that is to be read, and what is to be found in it: files, limits, and the types as typed. No Qt."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ...errors import UserFacingError, disk_fault

MOST_CHARACTERS: Final = 20_000  # about ten pages; a small model on a laptop reads that for minutes (inferred)
MOST_BYTES: Final = 4 * MOST_CHARACTERS  # no character of UTF-8 has more than four
MOST_TYPES: Final = 12


def note_of_file(path: Path) -> str:
    """The text of a file, without a byte order mark; a file of any size costs no more than the longest note.

    Raises UserFacingError: `desktop.note_too_long`, `desktop.note_binary`, `desktop.note_encoding`, and what
    disk_fault makes of a file that cannot be read. May take long on a network share: not for the GUI thread.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise disk_fault(error, path) from None
    if b"\x00" in data[:MOST_BYTES]:
        raise UserFacingError("desktop.note_binary", name=path.name)
    if len(data) > MOST_BYTES:
        raise UserFacingError("desktop.note_too_long", limit=MOST_CHARACTERS)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserFacingError("desktop.note_encoding", name=path.name) from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if len(text) > MOST_CHARACTERS:
        raise UserFacingError("desktop.note_too_long", limit=MOST_CHARACTERS)
    return text


def check_note(text: str) -> None:
    """Raises UserFacingError (`clinical.note_empty`, `desktop.note_too_long`)."""
    if not text.strip():
        raise UserFacingError("clinical.note_empty")
    if len(text) > MOST_CHARACTERS:
        raise UserFacingError("desktop.note_too_long", limit=MOST_CHARACTERS)


def asked_types(typed: str) -> tuple[str, ...]:
    """ "drug, problem" -> ("drug", "problem"), as a federation's types are written: plain lower-case words.

    Raises UserFacingError (`clinical.no_types_asked`, `desktop.type_word`, `desktop.types_many`).
    """
    names = [name.strip().lower().replace(" ", "_") for name in typed.replace(";", ",").split(",")]
    found = tuple(dict.fromkeys(name for name in names if name))
    if not found:
        raise UserFacingError("clinical.no_types_asked")
    if wrong := next((name for name in found if not name.isidentifier()), None):
        raise UserFacingError("desktop.type_word", name=wrong[:40])
    if len(found) > MOST_TYPES:
        raise UserFacingError("desktop.types_many", limit=MOST_TYPES)
    return found
