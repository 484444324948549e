# SPDX-License-Identifier: Apache-2.0
"""Bounded numbers: the only ones that a message, an update or a row of the ledger may hold.

The bounds lie far above anything real, and low enough that no sum, product or quotient that the coordinator forms of
such numbers overflows: one site's absurd number must never stop the others. Strict: neither `true` nor `\"1\"` is a
number. All inferred.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

LARGEST_COUNT: Final = 2**53  # every whole number up to it is a float64 as well
LARGEST_SCALAR: Final = 1e30

Count = Annotated[int, Field(strict=True, ge=0, le=LARGEST_COUNT)]
PositiveInt = Annotated[int, Field(strict=True, ge=1, le=LARGEST_COUNT)]
Whole = Annotated[int, Field(strict=True, ge=-LARGEST_COUNT, le=LARGEST_COUNT)]
Number = Annotated[float, Field(strict=True, ge=-LARGEST_SCALAR, le=LARGEST_SCALAR)]
Scalar = Annotated[float, Field(strict=True, ge=0, le=LARGEST_SCALAR)]
Share = Annotated[float, Field(strict=True, ge=0, le=1)]
PositiveFloat = Annotated[float, Field(strict=True, gt=0, le=LARGEST_SCALAR)]


def within(value: float) -> float:
    """Clamps a number to the bounds; for numbers computed from bounded ones."""
    return max(-LARGEST_SCALAR, min(LARGEST_SCALAR, value))
