# SPDX-License-Identifier: Apache-2.0
"""Relations of concepts, as PubTator and BioC have them, read as relations of mentions.

A corpus says "this drug causes that disease" of a whole document, not of two places in it. It is read as said of the
two mentions of these concepts that are nearest to each other, the earliest of them where several are.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Final

from .mentions import Link
from .offsets import Mention

_NONE: Final = frozenset({"", "-", "-1", "None"})
_BETWEEN: Final = re.compile(r"[|,;+]")


def concepts_of(cell: str) -> Iterator[str]:
    """Ids of concepts in a cell, of which a composite mention has several; "-1" and the like are none."""
    for concept in (cell, *_BETWEEN.split(cell)):
        if (whole := concept.strip()) not in _NONE:
            yield whole
            # MESH:D003866 is D003866 in the rows of relations; a number alone may be of any vocabulary.
            bare = whole.rpartition(":")[2]
            if bare != whole and not bare.isdecimal():
                yield bare


class Concepts:
    """The mentions of each concept of one document, and the nearest ones of two: of any number in little time."""

    def __init__(self) -> None:
        self._mentions: dict[str, list[Mention]] = {}
        self._found: dict[tuple[str, str], tuple[str, str] | None] = {}

    def __contains__(self, concept: str) -> bool:
        return concept in self._mentions

    def add(self, cells: Iterable[str], mention: Mention) -> None:
        """A mention of the concepts that these cells name; all of them before anything is looked for."""
        for concept in {concept for cell in cells for concept in concepts_of(cell)}:
            self._mentions.setdefault(concept, []).append(mention)

    def nearest(self, head: str, tail: str, kind: str) -> Link | None:
        """The relation between the nearest mentions of two concepts; None if one of them has no mention."""
        if (head, tail) not in self._found:
            self._found[head, tail] = self._nearest(head, tail)
        ends = self._found[head, tail]
        return Link(*ends, kind.strip()) if ends and kind.strip() else None

    def _nearest(self, head: str, tail: str) -> tuple[str, str] | None:
        ids: dict[int, list[str]] = {}
        for other in self._mentions.get(tail, ()):
            ids.setdefault(other.start, []).append(other.id)
        first = {start: sorted(there)[:2] for start, there in ids.items()}  # one of two is not the mention itself
        starts = sorted(first)
        pairs: list[tuple[int, int, str, str]] = []
        for one in self._mentions.get(head, ()):
            at = bisect_left(starts, one.start)
            for start in starts[max(0, at - 1) : at + 2]:
                others = [other for other in first[start] if other != one.id][:1]
                pairs += [(abs(one.start - start), min(one.start, start), one.id, other) for other in others]
        return min(pairs)[2:] if pairs else None
