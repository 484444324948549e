# SPDX-License-Identifier: Apache-2.0
"""Counts of a site's notes by specialty or of their entities by type: all that semantic drift is computed from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Final, Literal

from .notes import Note

LONGEST_KEY: Final = 80
MOST_KEYS: Final = 200
"""A report holds no more (federation.update); the rarest are left out."""


def histogram(
    notes: Iterable[Note], of: Literal["specialties", "types"], types: Collection[str] | None = None
) -> dict[str, int]:
    """Number of notes per specialty, or of entities per type, sorted by name; empty if none is given.

    `types`: those that count (None: all); modifiers are marked as entities too, but are none of a federation's types.

    Names are cut to 80 characters, without blanks at their edges. Notes should be in the federation's types already.
    """
    if of == "types":
        names = [entity.type for note in notes for entity in note.entities if types is None or entity.type in types]
    else:
        names = [note.specialty for note in notes if note.specialty is not None]
    counts = Counter(key for name in names if (key := name.strip()[:LONGEST_KEY].rstrip()))
    kept = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_KEYS]
    return dict(sorted(kept))
