# SPDX-License-Identifier: Apache-2.0
"""Relations of concepts, as PubTator and BioC have them, read as relations of mentions.

A corpus says "this drug causes that disease" of a whole document, not of two places in it. It is read as said of the
two mentions of these concepts that are nearest to each other, the earliest of them where several are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
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


def nearest(concepts: Mapping[str, Sequence[Mention]], head: str, tail: str, kind: str) -> Link | None:
    """The relation between the nearest mentions of two concepts; None if one of them has no mention."""
    pairs = [
        (abs(one.start - other.start), min(one.start, other.start), one.id, other.id)
        for one in concepts.get(head, ())
        for other in concepts.get(tail, ())
        if one.id != other.id
    ]
    if not pairs or not kind.strip():
        return None
    _, _, one, other = min(pairs)
    return Link(one, other, kind.strip())
