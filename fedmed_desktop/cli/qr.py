# SPDX-License-Identifier: Apache-2.0
"""QR codes for a terminal, two rows of squares in one line of text."""

from __future__ import annotations

import io
from typing import Final

import segno

# The blocks are the light squares; so they are light on dark whatever the terminal's own colours are.
_LIGHT_ON_DARK: Final = "\x1b[97;40m"
_USUAL: Final = "\x1b[0m"


def terminal_qr(text: str) -> str:
    """QR code of a text whose case does not matter, as an invitation's: in capitals it takes fewer squares."""
    drawn = io.StringIO()
    segno.make_qr(text.upper(), error="l").terminal(drawn, compact=True)
    return "\n".join(f"{_LIGHT_ON_DARK}{line}{_USUAL}" for line in drawn.getvalue().splitlines() if line)
