# SPDX-License-Identifier: Apache-2.0
"""Probe: a bounded answer by which a site measures its connection before it joins.

Whoever reaches the port may ask, so its price is bounded instead: a mebibyte at a time and, all askers together, one
in five seconds on average. It is sent over TCP to who has opened the connection, so it cannot be turned on others.
"""

from __future__ import annotations

import os
from typing import Final

BYTES: Final = 2**20
_EVERY_SECONDS: Final = 5.0
_AT_ONCE: Final = 4.0


class Probe:
    """Bytes that no proxy can make fewer, and how often they are given."""

    def __init__(self) -> None:
        self._bytes = b""
        self._left = _AT_ONCE
        self._looked: float | None = None

    def take(self, now: float) -> bytes | None:
        """The bytes; None: asked for too often, by whoever it was. `now`: seconds of a clock that never goes back."""
        if self._looked is not None:
            self._left = min(_AT_ONCE, self._left + (now - self._looked) / _EVERY_SECONDS)
        self._looked = now
        if self._left < 1:
            return None
        self._left -= 1
        self._bytes = self._bytes or os.urandom(BYTES)  # made when first asked for: most coordinators never are
        return self._bytes
