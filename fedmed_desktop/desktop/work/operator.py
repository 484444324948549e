# SPDX-License-Identifier: Apache-2.0
"""The person at the desktop as the site's approver: the agent waits here until a button was pressed."""

from __future__ import annotations

import asyncio

from ...errors import UserFacingError
from ...federation.work import Entry
from ...site import Verdict


class Operator:
    """Implements site.Approver. On the agent's loop; the GUI thread reaches `answer` through NetworkThread.call."""

    def __init__(self) -> None:
        self._asked: dict[str, asyncio.Future[Verdict]] = {}

    async def decide(self, entry: Entry) -> Verdict:
        """Returns when the person has decided; cancelled when the round closes. To hold is to press nothing here."""
        answer: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._asked[entry.sha256] = answer
        try:
            return await answer
        finally:
            del self._asked[entry.sha256]

    def answer(self, sha256: str, verdict: Verdict) -> None:
        """Raises UserFacingError("desktop.not_asked") where the question is gone: the round closed this moment."""
        answer = self._asked.get(sha256)
        if answer is None or answer.done():
            raise UserFacingError("desktop.not_asked")
        answer.set_result(verdict)
