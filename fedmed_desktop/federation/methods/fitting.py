# SPDX-License-Identifier: Apache-2.0
"""Table of the ways of combining that a method refuses, with an error code (wording.methods) as the reason.

A method that is not listed works with every way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, get_args

from ..combine import Combining

REFUSED: Final[Mapping[str, Mapping[Combining, str]]] = {
    "adaptive_fedlora": {"factors": "methods.adaptive_needs_product"},
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


def refusal_of(method: str, combine: Combining) -> str | None:
    """Error code if this method cannot combine this way, else None."""
    return REFUSED.get(method, {}).get(combine)


def usual(method: str) -> Combining:
    """The way of combining used if the specification names none: the first that fits."""
    ways: tuple[Combining, ...] = get_args(Combining)
    return next(way for way in ways if refusal_of(method, way) is None)
