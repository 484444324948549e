# SPDX-License-Identifier: Apache-2.0
"""Check for settings that secure aggregation excludes: what needs single updates cannot be computed from a sum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..combine import Combining
from .values import LEAST_SITES, SecureAggregationSettings

# Of all methods, those that are no weighted sum of what each site can say alone.
REFUSED: Final[Mapping[str, str]] = {
    "adaptive_fedlora": "secure.adaptive_needs_each",
    "fedex": "secure.fedex_needs_each",
    "flexlora": "secure.product_needs_each",
    "flora": "secure.stack_needs_each",
    "fednova": "secure.fednova_needs_steps",
    "scaffold": "secure.scaffold_sends_two",
}


def misfit(
    settings: SecureAggregationSettings,
    method: str,
    combine: Combining,
    *,
    scored_by: str,
    screens: bool,
    packs: bool,
    quorum: int,
    clients: int | None,
) -> str | None:
    """Error code if updates of such a federation cannot be masked, else None."""
    if not settings.on:
        return None
    if method in REFUSED:
        return REFUSED[method]
    if combine != "factors":
        return "secure.product_needs_each" if combine == "product" else "secure.stack_needs_each"
    if scored_by == "coordinator":
        return "secure.scored_at_coordinator"
    if screens:
        return "secure.screening_needs_each"
    if packs:
        return "secure.masked_travels_whole"
    if settings.largest_weight is None:
        return "secure.no_largest_weight"
    if clients is not None:
        return "secure.asks_all_sites"
    return "secure.quorum_of_three" if quorum < LEAST_SITES else None
