# SPDX-License-Identifier: Apache-2.0
"""Ranks of an adapter's modules by what they are worth, at the bytes that one rank for all of them takes.

After AdaLoRA (Zhang et al. 2023, arXiv 2303.10512), which prunes single directions of one training by their importance.
Here sites report one number per module (training.importance), and ranks change between rounds alone; how numbers become
ranks is inferred. Pure; the same on every machine.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Mapping

from ..lora.module import Ranks, rank_in

Shapes = Mapping[str, tuple[int, int]]
"""Module name -> (d, k), outputs and inputs of the adapted layer."""


def values_of(modules: Shapes, ranks: Ranks) -> int:
    """Number of values in both factors of all modules at these ranks; float32 takes four bytes for each."""
    return sum((d + k) * min(rank_in(ranks, name), d, k) for name, (d, k) in modules.items())


def allotted(
    modules: Shapes, worth: Mapping[str, float], rank: int, least: int, most: int, kept: Mapping[str, int] | None = None
) -> dict[str, int]:
    """A rank for each module, from `least` to `most`, whose values together are those of `rank` for all.

    Never more of them, and fewer by less than one rank of a module that is below `most`. `least` <= `rank` <= `most`;
    no rank is above min(d, k). Ranks are handed out one by one, each to the module with the largest `worth` / (rank +
    1): so they are as `worth`, which is per value, as far as the bounds allow (d'Hondt's method). `kept`: ranks that
    modules get first; where there are not enough values for all of these, none gets more than `rank` of them.
    """
    if not least <= rank <= most:
        raise ValueError("the rank must lie between the least and the most")
    floors = {name: max(least, (kept or {}).get(name, 0)) for name in modules}
    found = {name: min(most, floors[name], *shape) for name, shape in modules.items()}
    left = values_of(modules, rank) - values_of(modules, found)
    if left < 0:
        found = {name: min(rank, one) for name, one in found.items()}
        left = values_of(modules, rank) - values_of(modules, found)

    def turn(name: str) -> tuple[float, int, str]:
        after = found[name] + 1
        return -worth.get(name, 0.0) / after, after, name

    waiting = [turn(name) for name, shape in modules.items() if found[name] < min(most, *shape)]
    heapq.heapify(waiting)
    while waiting:
        _, after, name = heapq.heappop(waiting)
        if (cost := sum(modules[name])) > left:
            continue
        found[name], left = after, left - cost
        if after < min(most, *modules[name]):
            heapq.heappush(waiting, turn(name))
    return dict(sorted(found.items()))


def pooled_importance(reported: Mapping[str, Mapping[str, float]], weights: Mapping[str, float]) -> dict[str, float]:
    """The sites' shares of importance, by module, as their weighted mean; each site's own shares sum to 1 first.

    A site that reports zeros alone says that all modules are alike.
    """
    found: dict[str, list[float]] = {}
    for site in sorted(reported):
        whole = math.fsum(reported[site].values())
        for name, one in sorted(reported[site].items()):
            found.setdefault(name, []).append(weights[site] * (one / whole if whole > 0 else 1 / len(reported[site])))
    return {name: math.fsum(shares) for name, shares in sorted(found.items())}


def moved_share(modules: Shapes, rank: int, ranks: Ranks) -> float:
    """The share of an adapter's values that lie in other modules than they would at one rank; 0 where none do."""
    more = {name: max(rank, rank_in(ranks, name)) for name in modules}
    whole = values_of(modules, rank)
    return (values_of(modules, more) - whole) / whole


def of_each(pick: Callable[[Iterable[int]], int], ranks: Iterable[Ranks], names: Iterable[str]) -> Ranks:
    """The largest (`pick` = max) or smallest ranks of several adapters, by module; one number where each has one."""
    given = list(ranks)
    if all(isinstance(one, int) for one in given):
        return pick([rank_in(one, "") for one in given])
    return {name: pick([rank_in(one, name) for one in given]) for name in names}
