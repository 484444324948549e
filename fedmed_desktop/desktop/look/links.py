# SPDX-License-Identifier: Apache-2.0
"""Lines between linked words of a text: where each runs above its line of words, so that no two lie on another. No Qt.

A line leaves the modifier upwards, runs in a lane above the words, and comes down on the mention, where its arrow is.
Between two lines of text it goes round by the left edge, one lane for each there too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Place(NamedTuple):
    """A stretch of one line of words, by its edges in pixels; `line` is the line's own top."""

    left: float
    right: float
    top: float
    line: float


@dataclass
class Route:
    """One link: x at the modifier (`tail`) and at the mention (`head`), and its lanes, counted from the words upwards.

    `edge` is its lane at the left edge, None where both ends are on one line of text.
    """

    tail: Place
    head: Place
    tail_x: float = 0.0
    head_x: float = 0.0
    tail_lane: int = 0
    head_lane: int = 0
    edge: int | None = None


@dataclass
class Routes:
    """`lanes`: the most above any line of text; `edges`: those at the left edge."""

    routes: list[Route] = field(default_factory=list)
    lanes: int = 0
    edges: int = 0


def routes(ends: Sequence[tuple[Sequence[Place], Sequence[Place]]]) -> Routes:
    """A route for each (places of the modifier, places of its mention); the nearest places of the two are joined."""
    made = [Route(*_nearest(tails, heads)) for tails, heads in ends]
    _spread(made)
    edges = _Lanes()
    for route in sorted(made, key=lambda route: abs(route.tail.line - route.head.line)):
        if route.tail.line != route.head.line:
            route.edge = edges.take(0.0, *sorted((route.tail.line, route.head.line)))
    lanes = _Lanes()
    for route in sorted(made, key=lambda route: (route.edge is not None, abs(route.tail_x - route.head_x))):
        if route.edge is None:
            left, right = sorted((route.tail_x, route.head_x))
            route.tail_lane = route.head_lane = lanes.take(route.tail.line, left, right)
        else:
            route.tail_lane = lanes.take(route.tail.line, 0.0, route.tail_x)
            route.head_lane = lanes.take(route.head.line, 0.0, route.head_x)
    return Routes(made, lanes.most, edges.most)


class _Lanes:
    """Stretches that are taken in each lane of each line; two stretches of a lane never touch."""

    def __init__(self) -> None:
        self._taken: dict[tuple[float, int], list[tuple[float, float]]] = {}
        self.most = 0

    def take(self, line: float, start: float, end: float) -> int:
        lane = 0
        while any(start <= right and left <= end for left, right in self._taken.get((line, lane), [])):
            lane += 1
        self._taken.setdefault((line, lane), []).append((start, end))
        self.most = max(self.most, lane + 1)
        return lane


def _nearest(tails: Sequence[Place], heads: Sequence[Place]) -> tuple[Place, Place]:
    def apart(pair: tuple[Place, Place]) -> tuple[float, float]:
        tail, head = pair
        return abs(tail.line - head.line), abs(tail.left + tail.right - head.left - head.right)

    return min(((tail, head) for tail in tails for head in heads), key=apart)


def _spread(made: Sequence[Route]) -> None:
    """Ends that share a stretch stand side by side on it, in the order of where they come from."""
    ends: dict[Place, list[tuple[float, Route, bool]]] = {}
    for route in made:
        ends.setdefault(route.tail, []).append((_from(route.head, route.tail), route, True))
        ends.setdefault(route.head, []).append((_from(route.tail, route.head), route, False))
    for place, here in ends.items():
        here.sort(key=lambda end: end[0])
        for number, (_, route, is_tail) in enumerate(here, start=1):
            x = place.left + (place.right - place.left) * number / (len(here) + 1)
            if is_tail:
                route.tail_x = x
            else:
                route.head_x = x


def _from(other: Place, place: Place) -> float:
    """Position of the other end: its middle, or left of everything where it is on another line."""
    return (other.left + other.right) / 2 if other.line == place.line else -1.0
