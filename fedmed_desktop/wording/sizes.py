# SPDX-License-Identifier: Apache-2.0
"""Sizes beside that of the whole base model."""

from __future__ import annotations

from .figures import written
from .translation import tr


def of_full_model(count: float, full: int | None) -> str:
    """Words such as ", 0.14 % of the full model", to follow a size; "" where the model's is not known.

    `full`: the whole base model's bytes in bfloat16.
    """
    return tr(", {share} of the full model").format(share=percent_of(count, full)) if full else ""


def percent_of(count: float, full: int) -> str:
    """A share such as "0.14 %"; of one that would read as nothing, that it is less."""
    share = 100 * count / full
    return f"{written(share, '.2f')} %" if share >= 0.005 or not share else f"< {written(0.01, '.2f')} %"
