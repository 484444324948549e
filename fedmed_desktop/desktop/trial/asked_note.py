# SPDX-License-Identifier: Apache-2.0
"""The note that is to be read, and what is to be found in it: limits, and the types as typed. No Qt."""

from __future__ import annotations

from typing import Final

from ...errors import UserFacingError

MOST_CHARACTERS: Final = 20_000  # about ten pages; a small model on a laptop reads that for minutes (inferred)
MOST_BYTES: Final = 4 * MOST_CHARACTERS  # no character of UTF-8 has more than four
MOST_TYPES: Final = 12


def check_note(text: str) -> None:
    """Raises UserFacingError (`clinical.note_empty`, `desktop.note_too_long`)."""
    if not text.strip():
        raise UserFacingError("clinical.note_empty")
    if len(text) > MOST_CHARACTERS:
        raise UserFacingError("desktop.note_too_long", limit=MOST_CHARACTERS)


def asked_types(typed: str) -> tuple[str, ...]:
    """ "drug, problem" -> ("drug", "problem"), as a federation's types are written: plain lower-case words. Raises
    UserFacingError (`clinical.no_types_asked`, `desktop.type_word`, `desktop.types_many`).
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
