# SPDX-License-Identifier: Apache-2.0
"""Fields that messages share."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ..federation.names import clean_name

# What a message that is still to be signed holds in place of its signature. No key signs so.
UNSIGNED: Final = "0" * 128

Code = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
SiteName = Annotated[str, AfterValidator(clean_name)]


class Said(BaseModel):
    """Part of what one side says: it is never changed, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
