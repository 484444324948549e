# SPDX-License-Identifier: Apache-2.0
"""The download in fewer bits: the new common adapter is the round's start plus a packed difference from it.

Who holds the start fetches the difference and rebuilds the same float32 adapter, bit for bit, which its sha256 proves;
who does not fetches the adapter itself. So rounding is part of combining: what it took is kept at the coordinator and
added to the next round's result before that is rounded (error feedback, as for updates; lora.feedback).

A difference serves only where both adapters have a basis in common. Products come out in a basis of their own, so they
are turned towards the start's first, which changes no delta W. A start of smaller rank has zeros where the new adapter
has more directions. Where a rank has fallen, or where rounding would take more than MOST_LOST of what the round moved,
the adapter travels whole, together with what was kept.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from .. import events
from ..arrays import np
from ..lora import Adapter, Module, algebra
from ..lora.algebra import Cut
from ..lora.feedback import lost_in, with_lost
from ..lora.module import Factor
from ..lora.quantised import Packing, extended, packed
from ..lora.rotation import turned_towards
from .inputs import RoundCombined
from .plan import FACTORS, Difference, TransferSettings

# |delta W as rounded - before rounding| / |delta W before rounding - of the start|, at most. Sound differences lose 8 %
# in 4 bits, and those of adapters in unlike bases several times as much as the round moved. Inferred.
MOST_LOST: Final = 0.2
# A chain of differences is as long as it is cheaper than the adapter, and no longer than this. Inferred.
MOST_DIFFERENCES: Final = 8
# Beyond this a scale may leave bfloat16.
_LARGEST: Final = 1e37


@dataclass(frozen=True)
class Rounded:
    """The adapter that all will hold, what rounding took, and the blob and name of its difference from the start.

    Without a difference it travels whole, `whole_because` of a code where somebody should know. `share`: what rounding
    took, or would have taken, of what the round moved.
    """

    adapter: Adapter
    lost: Adapter | None = None
    blob: bytes = b""
    difference: Difference | None = None
    share: float | None = None
    whole_because: str = ""


def rounded(new: Adapter, start: Adapter, lost: Adapter | None, transfer: TransferSettings, cut: Cut) -> Rounded:
    """The combined adapter as all will hold it. The last bits depend on the number of BLAS threads."""
    packing = transfer.packing(cut)
    assert packing is not None
    begun = Adapter({name: extended(module, new[name].rank) for name, module in start.items()})
    alike = _form(new) == _form(begun)
    if alike and cut == "best":
        new = turned_towards(new, begun)
    factors = _changed(new, begun) if alike else FACTORS
    if not factors:
        return Rounded(begun, lost)
    target = with_lost(new, lost, new, factors, cut)
    if alike:
        target = _held(target, begun, factors)
    kept = lost is not None and len(factors) == 1  # of the factor that does not move now
    whole = Rounded(target, lost_in(target, target, lost, factors) if kept else None)
    if not alike:
        return replace(whole, whole_because="coordinator.whole_other_rank")
    found = _packed(target, start, packing, factors)
    if found.share is None or found.share > MOST_LOST:
        return replace(whole, share=found.share, whole_because="coordinator.whole_too_much_lost")
    if found.difference is None:
        return whole
    return replace(found, lost=lost_in(target, found.adapter, lost, factors) if transfer.feedback else None)


def _packed(target: Adapter, start: Adapter, packing: Packing, factors: tuple[Factor, ...]) -> Rounded:
    """Packs a target; no share where values are too large for that, no difference where it would not be smaller."""
    if max(_largest(target), _largest(start)) > _LARGEST:
        return Rounded(target)
    blob, adapter = packed(target, start, packing, factors)
    moved = algebra.distance(target, start)
    share = algebra.distance(adapter, target) / moved if moved else 0.0
    size, whole = len(blob), sum(len(piece) for piece in adapter.blob_pieces())
    if size >= whole:
        return Rounded(target, share=share)
    ends = {"start": start.sha256, "adapter": adapter.sha256}
    found = Difference(sha256=hashlib.sha256(blob).hexdigest(), size=size, whole=whole, factors=factors, **ends)
    return Rounded(adapter, blob=blob, difference=found, share=share)


def chained(before: tuple[Difference, ...], given: RoundCombined) -> tuple[Difference, ...]:
    """The differences that lead to a round's result, the oldest first: as many as are cheaper than the result."""
    if given.difference is None:
        return before if before and before[-1].adapter == given.adapter else ()
    chain = (*before, given.difference)[-MOST_DIFFERENCES:]
    while sum(one.size for one in chain) >= given.difference.whole:
        chain = chain[1:]
    return chain


def came_whole(given: RoundCombined, now: datetime) -> list[events.Event]:
    """Warning that sites have to fetch this round's adapter whole, and why; none if that is as usual."""
    if not given.whole_because:
        return []
    share = round(100 * given.rounding) if given.rounding is not None else 100
    params: dict[str, str | int | float] = {"round": given.round, "percent": share, "most": round(100 * MOST_LOST)}
    return [events.Warned(time=now, site="", round=given.round, code=given.whole_because, params=params)]


def _form(adapter: Adapter) -> list[tuple[str, tuple[int, int], int, float]]:
    return [(name, module.shape, module.rank, module.scale) for name, module in adapter.items()]


def _changed(new: Adapter, start: Adapter) -> tuple[Factor, ...]:
    """The factors that differ anywhere. A frozen one does not, and must not by rounding either."""
    pairs = [(module, start[name]) for name, module in new.items()]
    same = {
        "A": all(np.array_equal(after.A, before.A) for after, before in pairs),
        "B": all(np.array_equal(after.B, before.B) for after, before in pairs),
    }
    return tuple(factor for factor in FACTORS if not same[factor])


def _held(target: Adapter, start: Adapter, factors: tuple[Factor, ...]) -> Adapter:
    """The target whose other factor is the start's own, to the sign of a zero."""
    return Adapter(
        {
            name: Module(
                module.B if "B" in factors else start[name].B,
                module.A if "A" in factors else start[name].A,
                module.scale,
            )
            for name, module in target.items()
        }
    )


def _largest(adapter: Adapter) -> float:
    return max(float(max(np.abs(module.A).max(), np.abs(module.B).max())) for module in adapter.values())
