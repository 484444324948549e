# SPDX-License-Identifier: Apache-2.0
"""Methods whose updates cannot travel in fewer bits."""

from __future__ import annotations

from typing import Final

from .combine import Combining
from .plan import TransferSettings


def misfit(settings: TransferSettings, method: str, combine: Combining) -> str | None:
    """Error code if updates of this method cannot travel so, else None."""
    if not settings.packs:
        return None
    if method in _CONTROLS:
        return "methods.scaffold_travels_whole"
    if combine == "stack" and settings.feedback:
        return "methods.stack_has_no_feedback"
    return None


_CONTROLS: Final = ("scaffold",)  # c is the sum of what the sites sent, c_i what they have: both move by the same bytes
