# SPDX-License-Identifier: Apache-2.0
"""Tables of what a method refuses, with an error code (wording.methods) as the reason: ways of combining, and moments
of the optimiser that sites keep between rounds.

A method that is not listed works with every way, and with such moments where factors are averaged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, get_args

from ..combine import Combining

REFUSED: Final[Mapping[str, Mapping[Combining, str]]] = {
    "adaptive_fedlora": {"factors": "methods.adaptive_needs_product"},
    "fedadam": {"product": "methods.server_optimizer_needs_factors", "stack": "methods.server_optimizer_needs_factors"},
    "fedavgm": {"product": "methods.server_optimizer_needs_factors", "stack": "methods.server_optimizer_needs_factors"},
    "fedex": {"product": "methods.fedex_is_exact", "stack": "methods.fedex_is_exact"},
    "fednova": {"stack": "methods.fednova_needs_start"},
    "fedrot": {"product": "methods.fedrot_needs_factors", "stack": "methods.fedrot_needs_factors"},
    "fedsa": {"product": "methods.fedsa_has_no_product", "stack": "methods.fedsa_has_no_product"},
    "ffa": {"product": "methods.ffa_keeps_a", "stack": "methods.ffa_keeps_a"},
    "flexlora": {"factors": "methods.flexlora_is_product", "stack": "methods.flexlora_is_product"},
    "flora": {"factors": "methods.flora_is_stack", "product": "methods.flora_is_stack"},
    "rolora": {"product": "methods.rolora_needs_factors", "stack": "methods.rolora_needs_factors"},
    "scaffold": {"product": "methods.scaffold_needs_factors", "stack": "methods.scaffold_needs_factors"},
}

_NO_MOMENTS: Final[Mapping[str, str]] = {
    "fedrot": "methods.fedrot_turns_moments",
    "rolora": "methods.rolora_has_old_moments",
}


def refusal_of(method: str, combine: Combining) -> str | None:
    """Error code if this method cannot combine this way, else None."""
    return REFUSED.get(method, {}).get(combine)


def refusal_of_moments(method: str, combine: Combining) -> str | None:
    """Error code if sites cannot go on from their optimiser's moments, else None.

    A product comes out in a basis of its own in every round, and a stack starts afresh.
    """
    return "methods.moments_need_factors" if combine != "factors" else _NO_MOMENTS.get(method)


def usual(method: str) -> Combining:
    """The way of combining used if the specification names none: the first that fits."""
    ways: tuple[Combining, ...] = get_args(Combining)
    return next(way for way in ways if refusal_of(method, way) is None)
