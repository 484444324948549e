# SPDX-License-Identifier: Apache-2.0
"""Counts of what was found, invented and missed in one text, by the three measures of the field.

The definitions follow Fed-MedLoRA's evaluation (arXiv 2601.22124; its code counts tokens' BIO tags, here characters):
its headline is type-agnostic, ours is strict and typed, with the others beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..scores import Counts, TaskScores
from .notes import Span


def score(gold: Iterable[Span], predicted: Iterable[Span], types: Iterable[str]) -> TaskScores:
    """Scores of one text for exactly the asked `types`, zeros included; other types are ignored.

    strict: the same span and type. lenient: the same type and at least one character in common, each span matched at
    most once, from the left. unified: the same span, of any of the types. A span listed twice counts once.
    """
    asked = sorted(set(types))
    true, found = set(gold), set(predicted)
    strict: dict[str, Counts] = {}
    lenient: dict[str, Counts] = {}
    for name in asked:
        true_here, found_here = {s for s in true if s.type == name}, {s for s in found if s.type == name}
        strict[name] = _counts(len(true_here & found_here), true_here, found_here)
        lenient[name] = _counts(_overlapping(sorted(true_here), sorted(found_here)), true_here, found_here)
    true_places, found_places = ({(s.start, s.end) for s in spans if s.type in strict} for spans in (true, found))
    unified = _counts(len(true_places & found_places), true_places, found_places)
    return TaskScores(strict=strict, lenient=lenient, unified=unified)


def _counts(matched: int, true: set[Span] | set[tuple[int, int]], found: set[Span] | set[tuple[int, int]]) -> Counts:
    return Counts(tp=matched, fp=len(found) - matched, fn=len(true) - matched)


def _overlapping(true: Sequence[Span], found: Sequence[Span]) -> int:
    """Pairs that overlap, each span in at most one; both sorted. For spans of one kind that do not overlap each other,
    as apply_types and parse_answer give them, no other matching has more pairs."""
    matched = i = j = 0
    while i < len(true) and j < len(found):
        if true[i].end <= found[j].start:
            i += 1
        elif found[j].end <= true[i].start:
            j += 1
        else:
            matched, i, j = matched + 1, i + 1, j + 1
    return matched
