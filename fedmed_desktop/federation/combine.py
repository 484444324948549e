# SPDX-License-Identifier: Apache-2.0
"""Combiners: functions that combine updates into one adapter.

They work module by module, in float64, in the order of the updates' hashes. So the order of arrival changes no bit, and
memory holds at most one module's factors of every site, never whole updates. There are three ways, for any mix of
ranks, and none forms a d x k matrix (guide/methods.md):

- `factors` averages A and B separately (FedIT, arXiv 2305.05644). Cheap but inexact. Smaller ranks are padded with
  zeros, and their sites start from the start's first directions (plan.cut), as the HeteroLoRA baseline in FlexLoRA's
  repository does. Directions that only the largest ranks have are averaged with zeros and fade.
- `product` averages delta W itself and keeps its best approximation of the planned rank (FlexLoRA, arXiv 2402.11505, in
  QR form). At mixed ranks, directions that few sites reach fade from round to round; `combine_product_by_level` guards
  against that.
- `stack` is exact (FLoRA, arXiv 2409.05976): every site's B side by side, every A below the other. It grows, so it is
  not trained further: it lies frozen beside the base, and sites continue with a fresh adapter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from pydantic import JsonValue

from ..arrays import np, one_thread
from ..lora import Adapter, Module, algebra
from ..lora.module import ModuleSource, kaiming_rows, naming
from ..lora.room import Room
from .averaging import Weighted, average, average_and_missed
from .screened import Screening
from .way_down import Rounded

Combining = Literal["factors", "product", "stack"]


@dataclass(frozen=True)
class Sources:
    """The adapters of a closed round, each read module by module; mappings are by site.

    The round started from `start` and `frozen`. `control` is SCAFFOLD's c, or the state of an optimiser at the server;
    `controls` are the changes of the c_i. A half update is completed with the factors of `start`. `lost` is what
    rounding took from earlier common adapters.
    """

    start: ModuleSource
    updates: Mapping[str, ModuleSource]
    frozen: ModuleSource | None = None
    control: ModuleSource | None = None
    controls: Mapping[str, ModuleSource] = field(default_factory=dict)
    lost: Adapter | None = None


@dataclass(frozen=True)
class Term:
    """One update in a combination. `order` is the update's sha256; weights may be negative."""

    order: str
    weight: float
    source: ModuleSource


@dataclass(frozen=True)
class Goal:
    """Requirements for the result.

    `rank`: rank of the next global adapter (`product`, and the fresh one of `stack`); None for each module's largest
    of the updates.
    `frozen`: the adapter beside the base so far; after additions it is cut back to `frozen_rank` per module.
    `seed`: for the A of a fresh adapter.
    """

    rank: int | None = None
    frozen: ModuleSource | None = None
    frozen_rank: int = 256
    seed: int = 0


PLAIN: Final = Goal()


@dataclass(frozen=True)
class Combination:
    """The next round's start: the global adapter and the frozen one beside the base (None: as before).

    `residual` is |ideal - combined| / |ideal| for this round's updates, ideal = sum of w_k s_k B_k A_k. Where factors
    of more than averaging.MOST_EXACT updates are averaged, it is an estimate; None where only the sum of the updates is
    known. The part added to the frozen adapter counts as combined, and energy dropped by cutting it back as missed. A
    method may add the control (None: as before), its state for the next round and its measures of this one.
    `screening`: what was found in the updates beforehand, where the specification wants that. `way_down`: how the
    adapter came to be rounded, where sites fetch differences. `cuts`: the adapter at smaller ranks, where they fetch it
    so.
    """

    adapter: Adapter
    residual: float | None
    frozen: Adapter | None = None
    control: Adapter | None = None
    state: dict[str, JsonValue] = field(default_factory=dict)
    measures: Mapping[str, float] = field(default_factory=dict)
    screening: Screening | None = None
    way_down: Rounded | None = None
    cuts: Mapping[int, Adapter] = field(default_factory=dict)


Combiner = Callable[[Sequence[Term], Goal], Combination]


@dataclass(frozen=True)
class _Mixed:
    """One combined module, the squared norms of the missed part and of the ideal, and the frozen module `beside` it."""

    module: Module
    missed: float
    ideal: float
    beside: Module | None = None


_Mix = Callable[[str, Iterable[Weighted], Module | None], _Mixed]
_MixOfAll = Callable[[str, list[Weighted], Module | None], _Mixed]


def combine_factors(terms: Sequence[Term], goal: Goal = PLAIN) -> Combination:
    """Averages A and B separately, padded to the largest rank. Raises UserFacingError if a module's scales differ."""
    room, many = Room(), len(terms)

    def mix(name: str, parts: Iterable[Weighted], _: Module | None) -> _Mixed:
        return _Mixed(*average(name, parts, many, room, goal.seed))

    return _combined(terms, goal, mix)


def combine_product(terms: Sequence[Term], goal: Goal = PLAIN) -> Combination:
    """Best approximation of the goal's rank to the weighted sum of delta W, split evenly (sqrt(S) on both sides).

    Takes any ranks and scales; the result has the largest scale. Costs O((d + k) R^2 + R^3), R the sum of the ranks.
    """

    def mix(name: str, parts: list[Weighted], _: Module | None) -> _Mixed:
        return _Mixed(*algebra.module_truncated_sum(parts, _rank(goal, parts)))

    return _combined(terms, goal, _of_all(mix))


def combine_product_by_level(terms: Sequence[Term], goal: Goal = PLAIN) -> Combination:
    """`combine_product` with a guard against rank collapse (raFLoRA, arXiv 2602.13486, at second hand).

    The round's distinct ranks r_1 < r_2 < .. divide each update's components, in order of size, into levels. Weights of
    the components r_(h-1) + 1 .. r_h are normalised over the sites whose rank is at least r_h. So components that only
    larger ranks have keep their size, instead of being averaged with zeros in every round. With equal ranks this is
    `combine_product`, to the last bit. Components are those of delta W, so a change of basis changes nothing. The
    residual is still measured against the plain weighted sum, so it includes what the guard adds.
    """

    def mix(name: str, parts: list[Weighted], _: Module | None) -> _Mixed:
        rank, levels = _rank(goal, parts), sorted({_reach(part) for _, part in parts})
        if len(levels) == 1:
            return _Mixed(*algebra.module_truncated_sum(parts, rank))
        module = algebra.module_truncated_sum(_by_level(parts, levels), rank)[0]
        return _Mixed(module, algebra.module_sum_energy([*parts, (-1.0, module)]), algebra.module_sum_energy(parts))

    return _combined(terms, goal, _of_all(mix))


def combine_stack(terms: Sequence[Term], goal: Goal = PLAIN) -> Combination:
    """Adds the exact weighted sum to the frozen adapter; the global one is fresh: A from the goal's seed, B = 0."""
    rng = np.random.Generator(np.random.PCG64(goal.seed))

    def mix(name: str, parts: list[Weighted], frozen: Module | None) -> _Mixed:
        d, k = parts[0][1].shape
        rank, scale = min(_rank(goal, parts), d, k), max(part.scale for _, part in parts)
        fresh = Module(np.zeros((d, rank), np.float32), kaiming_rows(rng, rank, k), scale)
        beside, dropped = _accumulated(frozen, parts, goal.frozen_rank)
        return _Mixed(fresh, dropped, algebra.module_sum_energy(parts), beside)

    return _combined(terms, goal, _of_all(mix))


def combine_factors_exactly(terms: Sequence[Term], goal: Goal = PLAIN) -> Combination:
    """`combine_factors`, with the part that it misses added to the frozen adapter (FedEx-LoRA, arXiv 2410.09432).

    The missed part, sum of w_k (B_k - B)(A_k - A), has rank at most (K - 1) r and is kept as two thin factors, so it
    also works with 4-bit bases, which cannot be added to.
    """

    room = Room()

    def mix(name: str, parts: list[Weighted], frozen: Module | None) -> _Mixed:
        (module, _, ideal), (b, a) = average_and_missed(name, parts, room)
        missed = Module(b.astype(np.float32), a.astype(np.float32), module.scale)
        beside, dropped = _accumulated(frozen, [(1.0, missed)], goal.frozen_rank)
        return _Mixed(module, dropped, ideal, beside)

    return _combined(terms, goal, _of_all(mix))


COMBINERS: Final[dict[Combining, Combiner]] = {
    "factors": combine_factors,
    "product": combine_product,
    "stack": combine_stack,
}


def _combined(terms: Sequence[Term], goal: Goal, mix: _Mix) -> Combination:
    # Two sites may send the same bytes; then weights decide the order, so that arrival still changes no bit.
    ordered = sorted(terms, key=lambda term: (term.order, term.weight))
    modules: dict[str, Module] = {}
    beside: dict[str, Module] = {}
    missed = ideal = 0.0
    with one_thread():
        for name in sorted(ordered[0].source.names):
            parts = ((term.weight, term.source.module(name)) for term in ordered)  # read when they are needed
            mixed = mix(name, parts, goal.frozen.module(name) if goal.frozen is not None else None)
            modules[name] = mixed.module
            missed, ideal = missed + mixed.missed, ideal + mixed.ideal
            if mixed.beside is not None:
                beside[name] = mixed.beside
    residual = math.sqrt(missed / ideal) if ideal > 0 else 0.0
    return Combination(Adapter(modules), residual, Adapter(beside) if beside else None)


def _of_all(mix: _MixOfAll) -> _Mix:
    """Adapts what needs a module of all updates at once."""

    def of_all(name: str, parts: Iterable[Weighted], frozen: Module | None) -> _Mixed:
        read = list(parts)
        with naming(name):
            return mix(name, read, frozen)

    return of_all


def _rank(goal: Goal, parts: Sequence[Weighted]) -> int:
    return goal.rank or max(part.rank for _, part in parts)


def _reach(part: Module) -> int:
    return min(part.rank, *part.shape)


def _by_level(parts: Sequence[Weighted], levels: Sequence[int]) -> list[Weighted]:
    """Each update's components level by level, with that level's weights; the lowest level keeps those given."""
    whole = sum(weight for weight, _ in parts)
    reaching = {level: sum(weight for weight, part in parts if _reach(part) >= level) for level in levels}
    cut: list[Weighted] = []
    for weight, part in parts:
        ordered, _, _ = algebra.module_truncated_sum([(1.0, part)], part.rank)
        begin = 0
        for level in levels[: levels.index(_reach(part)) + 1]:
            share = weight / reaching[level] * whole if reaching[level] else 0.0  # weights may be denormal
            cut.append((share, Module(ordered.B[:, begin:level], ordered.A[begin:level], part.scale)))
            begin = level
    return cut


def _accumulated(frozen: Module | None, parts: Sequence[Weighted], limit: int) -> tuple[Module, float]:
    """The frozen module with these added, cut back to rank `limit`, and the energy that this dropped."""
    terms = [*([(1.0, frozen)] if frozen is not None else []), *parts]
    module, dropped, _ = algebra.module_truncated_sum(terms, limit)
    used = np.flatnonzero(module.B.any(axis=0))
    used = used if len(used) else np.array([0])  # a module has at least rank 1
    return Module(module.B[:, used], module.A[used], module.scale), dropped
