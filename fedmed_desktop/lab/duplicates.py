# SPDX-License-Identifier: Apache-2.0
"""Groups of near-duplicate notes, which stay together so that no method is tested on notes it was trained on.

Such notes have the same words, or share a third of their runs of words (see ALIKE). Shorter ones than RUN + LEAST - 1
words are phrases, not copies.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Final

RUN: Final = 8
"""Words; notes are compared by their runs of so many, whatever stands between the words."""

ALIKE: Final = 0.35
"""Share of the shorter note's runs that both have: MTSamples' own `dup_group` is made by the same rule."""

LEAST: Final = 10
"""Runs that both must have in any case: one stock phrase in two sentences is no copy (inferred)."""

_WORD: Final = re.compile(r"\w+")
_COMMON: Final = 40  # notes: a run that more have is a form's, and counts for nothing


def joined(groups: Sequence[str], texts: Sequence[str]) -> list[str]:
    """The group of each text after joining groups with near-duplicates, under the name of the first.

    Links go on: a copy of a copy is in the same group. The time goes with the number of words.
    """
    root = {group: group for group in groups}

    def first(group: str) -> str:
        while root[group] != group:
            group = root[group]
        return group

    order = {group: at for at, group in reversed(list(enumerate(groups)))}
    for one, other in near_duplicates(texts):
        early, late = sorted((first(groups[one]), first(groups[other])), key=lambda group: order[group])
        root[late] = early
    return [first(group) for group in groups]


def near_duplicates(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Places of two texts each: of the same words, or sharing enough of their runs; in no order that matters."""
    having: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    whole: dict[tuple[str, ...], int] = {}
    for place, text in enumerate(texts):
        words = tuple(_WORD.findall(text.lower()))
        if len(words) >= RUN + LEAST - 1 and (first := whole.setdefault(words, place)) != place:
            yield first, place
            continue
        for run in set(zip(*(words[at:] for at in range(RUN)), strict=False)):
            having[run].append(place)
    telling = [places for places in having.values() if len(places) <= _COMMON]
    lengths = Counter(place for places in telling for place in places)
    shared = Counter((one, other) for places in telling for one, other in combinations(places, 2))
    for (one, other), count in shared.items():
        if count >= max(LEAST, ALIKE * min(lengths[one], lengths[other])):
            yield one, other
