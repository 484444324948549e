# SPDX-License-Identifier: Apache-2.0
"""Counts of links (a mention, its modifier) that were found, invented and missed in one text."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from ..scores import Counts, TaskScores
from .notes import Span


class Link(NamedTuple):
    """A modifier (`tail`) of a mention (`head`); its type is the tail's. Offsets are those of the whole note."""

    head: Span
    tail: Span


def score_links(gold: Iterable[Link], predicted: Iterable[Link], modifiers: Iterable[str]) -> TaskScores:
    """Scores of one text for exactly the asked `modifiers`, zeros included; links by others are ignored.

    strict: the same places of mention and modifier, and the same modifier. lenient: the same modifier, and at least one
    character in common of both places, each link matched at most once, as many as can be. unified: the same places,
    whichever of the modifiers. The mention's own type is not compared: it is given or, end to end, scored as an entity.
    A link listed twice counts once.
    """
    asked = sorted(set(modifiers))
    true, found = ({_places(link) for link in links if link.tail.type in asked} for links in (gold, predicted))
    strict: dict[str, Counts] = {}
    lenient: dict[str, Counts] = {}
    for name in asked:
        true_here, found_here = ({one for one in links if one[2] == name} for links in (true, found))
        strict[name] = _counts(len(true_here & found_here), true_here, found_here)
        lenient[name] = _counts(_alike(sorted(true_here), sorted(found_here)), true_here, found_here)
    true_places, found_places = ({(head, tail) for head, tail, _ in links} for links in (true, found))
    unified = _counts(len(true_places & found_places), true_places, found_places)
    return TaskScores(strict=strict, lenient=lenient, unified=unified)


_Place = tuple[int, int]
_Typed = tuple[_Place, _Place, str]


def _places(link: Link) -> _Typed:
    return (link.head.start, link.head.end), (link.tail.start, link.tail.end), link.tail.type


def _counts(matched: int, true: Collection[object], found: Collection[object]) -> Counts:
    return Counts(tp=matched, fp=len(found) - matched, fn=len(true) - matched)


def _alike(true: Sequence[_Typed], found: Sequence[_Typed]) -> int:
    """The greatest number of pairs that overlap at both ends, each link in at most one: augmenting paths."""
    near = _near(true, found)
    of: dict[int, int] = {}
    for first in range(len(true)):
        came: dict[int, int] = {}
        waiting = [first]
        free: int | None = None
        while waiting and free is None:
            i = waiting.pop()
            for j in near[i]:
                if j in came:
                    continue
                came[j] = i
                if j not in of:
                    free = j
                    break
                waiting.append(of[j])
        while free is not None:  # back along the path: each of its links takes the next one's partner
            i = came[free]
            before = next((j for j, taker in of.items() if taker == i), None)
            of[free] = i
            free = before
    return len(of)


def _near(true: Sequence[_Typed], found: Sequence[_Typed]) -> list[list[int]]:
    """Finds for each true link the places of the found ones that overlap it at both ends; both sorted."""
    starts = [head[0] for head, _, _ in found]
    longest = max((head[1] - head[0] for head, _, _ in found), default=0)

    def around(head: _Place) -> range:
        return range(bisect_right(starts, head[0] - longest), bisect_left(starts, head[1]))

    return [[j for j in around(one[0]) if _overlap(one, found[j])] for one in true]


def _overlap(left: _Typed, right: _Typed) -> bool:
    return all(a[0] < b[1] and b[0] < a[1] for a, b in zip(left[:2], right[:2], strict=True))
