# SPDX-License-Identifier: Apache-2.0
"""The adapters that act at a site in a round: those named by the plan, and the site's own of its last round."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from ..federation.plan import Plan
from ..federation.work import Given
from ..lora import Adapter, Module, algebra
from ..lora.module import Ranks, rank_in
from .objectives import Variate

PERSONAL, CONTROL = "personal", "control"


@dataclass(frozen=True)
class SiteAdapters:
    """Adapters attached together: the one that is shared, one that never changes, and one that never leaves."""

    shared: Adapter
    frozen: Adapter | None = None
    personal: Adapter | None = None


def for_training(plan: Plan, given: Given) -> SiteAdapters:
    """The adapters of a round: the start at the planned rank, with the site's own factors if the plan says so.

    Own factors and a personal adapter are those of the site's last round. In its first, or after a change of rank, the
    start's factors stand in; a first personal adapter has B = 0, fresh rows of A and the start's scales. Raises
    ValueError if the plan names a frozen adapter that is not given.
    """
    shared = _with_own(resized(given.start, plan.by_module, plan.seed, plan.cut), plan, given.own)
    return SiteAdapters(shared, _frozen(plan, given), _personal(plan, given.own, shared))


def for_scoring(plan: Plan, given: Given) -> SiteAdapters:
    """The adapters without a change of rank; no personal one if the site has none yet. Raises ValueError."""
    personal = given.own.get(PERSONAL) if plan.orthogonal else None
    return SiteAdapters(_with_own(given.start, plan, given.own), _frozen(plan, given), personal)


def variate(plan: Plan, given: Given, start: Adapter) -> Variate | None:
    """SCAFFOLD's c and c_i in the shape of `start`; None if the plan has no control variates.

    Both are zero in the first round, and c_i after a change of rank: factors of different ranks have nothing in common.
    Raises ValueError if the plan names a control that is not given.
    """
    if plan.variate is None:
        return None
    if plan.variate.control is not None and given.control is None:
        raise ValueError("the plan names a control that was not given")
    own = given.own.get(CONTROL)
    return Variate(given.control, own if own is not None and _alike(own, start) else None)


def resized(adapter: Adapter, ranks: Ranks, seed: int, cut: algebra.Cut = "best") -> Adapter:
    """The adapter at a plan's ranks: larger modules cut, smaller ones grown with fresh rows from `seed`."""
    smaller = {name: algebra.module_cut(module, rank_in(ranks, name), cut) for name, module in adapter.items()}
    return algebra.grow(Adapter(smaller), ranks, seed)


def _with_own(start: Adapter, plan: Plan, own: Mapping[str, Adapter]) -> Adapter:
    kept = {factor: own[factor] for factor in plan.own if factor in own and _alike(own[factor], start)}
    if not kept:
        return start
    a, b = kept.get("A", start), kept.get("B", start)
    return Adapter({name: Module(b[name].B, a[name].A, module.scale) for name, module in start.items()})


def _frozen(plan: Plan, given: Given) -> Adapter | None:
    if plan.frozen is not None and given.frozen is None:
        raise ValueError("the plan names a frozen adapter that was not given")
    return given.frozen if plan.frozen is not None else None


def _personal(plan: Plan, own: Mapping[str, Adapter], shared: Adapter) -> Adapter | None:
    if plan.orthogonal is None:
        return None
    # Not the plan's own seed: rows that the shared adapter grows by it would be the same ones.
    seed = int.from_bytes(hashlib.sha256(f"personal {plan.seed}".encode()).digest()[:8], "big")
    if kept := own.get(PERSONAL):
        return resized(kept, plan.orthogonal.rank, seed)
    fresh = Adapter.initial(shared.shapes, plan.orthogonal.rank, 1.0, seed)
    return Adapter({name: Module(module.B, module.A, shared[name].scale) for name, module in fresh.items()})


def _alike(left: Adapter, right: Adapter) -> bool:
    return left.shapes == right.shapes and left.ranks == right.ranks
