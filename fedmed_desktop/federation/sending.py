# SPDX-License-Identifier: Apache-2.0
"""Encoding of a trained adapter for sending, and what the rounding takes from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..lora import Adapter
from ..lora.feedback import lost_in, with_lost
from ..lora.half import encode_update
from ..lora.quantised import packed
from .plan import FACTORS, Plan
from .work import Given

LOST: Final = "lost"


@dataclass(frozen=True)
class Sent:
    """The bytes that leave, the adapter that everybody reads in them, and what the site keeps for its next update."""

    blob: bytes
    adapter: Adapter
    lost: Adapter | None = None


def sent(plan: Plan, given: Given, begun: Adapter, trained: Adapter) -> Sent:
    """An update of the trained adapter. `begun`: the adapter that this site's training began with.

    A factor that is not shared stays the trained one. With feedback, what earlier updates lost is sent along.
    """
    if plan.packing is None:
        blob = encode_update(trained, plan.shared)
        return Sent(blob, Adapter.from_blob(blob) if plan.shared == FACTORS else trained)
    before = given.own.get(LOST) if plan.transfer.feeds_back else None
    target = with_lost(trained, before, begun, plan.shared, plan.cut)
    blob, adapter = packed(target, given.start, plan.packing, plan.shared)
    lost = lost_in(target, adapter, before, plan.shared) if plan.transfer.feeds_back else None
    return Sent(blob, adapter, lost)
