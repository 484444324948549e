# SPDX-License-Identifier: Apache-2.0
"""Paths that an option names to be written to: what is there already is never written over unasked."""

from __future__ import annotations

from pathlib import Path

from ..errors import UserFacingError
from ..files import is_taken


def check_new(path: Path, option: str) -> None:
    """Raises UserFacingError where something is there already; before hours of work, not after."""
    if is_taken(path):
        raise UserFacingError("output.exists", path=str(path), option=option)
