# SPDX-License-Identifier: Apache-2.0
"""The check of notes before they are used: what there is, what cannot be used and why, and what should not be there."""

from __future__ import annotations

from .checker import Checked, Wanted, check_notes
from .fitting import DEFAULT_TOKENS, Tokens
from .identifiers import IDENTIFIERS, IdentifierKind
from .sources import types_file
from .values import NotesCheck, Place, Point, Spread

__all__ = [
    "DEFAULT_TOKENS",
    "IDENTIFIERS",
    "Checked",
    "IdentifierKind",
    "NotesCheck",
    "Place",
    "Point",
    "Spread",
    "Tokens",
    "Wanted",
    "check_notes",
    "types_file",
]
