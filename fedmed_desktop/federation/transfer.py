# SPDX-License-Identifier: Apache-2.0
"""Check whether a method's adapters can be sent in fewer bits, up or down."""

from __future__ import annotations

from typing import Final

from .combine import Combining
from .methods.method import Method
from .plan import TransferSettings


def misfit(settings: TransferSettings, method: Method, combine: Combining) -> str | None:
    """Error code if adapters of this method cannot travel so, else None."""
    if settings.cut and "importance" in method.needs:  # there is one cut for each rank of a site
        return "methods.importance_fetches_whole"
    if not settings.packs:
        return None
    if method.name in _CONTROLS:
        return "methods.scaffold_travels_whole"
    if combine == "stack" and settings.feedback:
        return "methods.stack_has_no_feedback"
    if settings.down and (method.name in _FREEZES or combine == "stack"):
        return "methods.frozen_travels_whole"
    return None


# What lies frozen beside the common adapter is most of what sites fetch: in each round another one, and of many ranks.
_FREEZES: Final = ("fedex",)
_CONTROLS: Final = ("scaffold",)  # c is the sum of what the sites sent, c_i what they have: both move by the same bytes
