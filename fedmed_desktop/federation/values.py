# SPDX-License-Identifier: Apache-2.0
"""Base of the federation's values, and the hashes by which they name each other."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

# Names of blobs become file names, so a plan from a hostile coordinator must not hold any other text.
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Frozen(BaseModel):
    """Base of all values of the federation: immutable; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
