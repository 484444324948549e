# SPDX-License-Identifier: Apache-2.0
"""Decides when, and whether, bytes of a released update may leave: by the site's policy as its files have it then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

from ..federation.part import SitePart

# Seconds in which a change of the policy's files is noticed while something waits here.
LOOK_EVERY: Final = 30.0


class Leaving:
    """Decides for one site, on its agent's loop. `look` reads the policy's files; None where there are none."""

    def __init__(
        self, part: SitePart, clock: Callable[[], datetime], look: Callable[[], Awaitable[None]] | None
    ) -> None:
        self._part, self._clock, self._look = part, clock, look

    def is_open(self) -> bool:
        """Tells whether this is an hour in which something may leave."""
        now = self._clock()
        return self._part.gate.policy.opening(now) == now

    async def may_move(self, sha256: str) -> bool:
        """Tells whether a part of a released update may leave, before its first byte. Waits for the policy's hours."""
        part = self._part
        while self._look:
            await self._look()
            entries = [e for e in part.entries.values() if any(p.sha256 == sha256 for p in e.update.parts.values())]
            if any(part.gate.word(entry, part.spec).action == "deny" for entry in entries):
                return False
            now = self._clock()
            if (opens := part.gate.policy.opening(now)) == now:
                break
            await asyncio.sleep(min(LOOK_EVERY, (opens - now).total_seconds()) if opens else LOOK_EVERY)
        return True
