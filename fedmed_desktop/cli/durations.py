# SPDX-License-Identifier: Apache-2.0
"""Durations as options: 30m, 12h, 7d."""

from __future__ import annotations

import argparse
import re
from datetime import timedelta
from typing import Final

_UNITS: Final = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(days=7)}
_LONGEST: Final = timedelta(days=365)
_TEXT: Final = re.compile(r"([0-9]{1,7})\s*([mhdw])", re.IGNORECASE)


def duration(text: str) -> timedelta:
    """Reads minutes, hours, days or weeks, from one minute to a year."""
    found = _TEXT.fullmatch(text.strip())
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number of minutes, hours or days, such as 30m, 12h or 7d")
    value = int(found[1]) * _UNITS[found[2].lower()]
    if not timedelta(0) < value <= _LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r} must be from 1m to 365d")
    return value
