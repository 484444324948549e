# SPDX-License-Identifier: Apache-2.0
"""Probe: a bounded answer by which a site measures its connection before it joins.

Whoever reaches the port may ask, so its price is bounded instead: a mebibyte at a time and, all askers together, one
in five seconds on average. It is sent over TCP to who has opened the connection, so it cannot be turned on others.
"""

from __future__ import annotations

import os
from typing import Final

from .limits import Bucket, Clock

BYTES: Final = 2**20
_EVERY_SECONDS: Final = 5.0
_AT_ONCE: Final = 4.0


class Probe:
    """Bytes that no proxy can make fewer, and how often they are given."""

    def __init__(self, clock: Clock) -> None:
        self._bytes = b""
        self._turns = Bucket(_AT_ONCE, 1 / _EVERY_SECONDS, clock)

    def take(self) -> bytes | None:
        """The bytes; None: asked for too often, by whoever it was."""
        if not self._turns.take():
            return None
        self._bytes = self._bytes or os.urandom(BYTES)  # made when first asked for: most coordinators never are
        return self._bytes
