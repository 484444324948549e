# SPDX-License-Identifier: Apache-2.0
"""Answering the coordinator's requests for parts of updates: only those of released updates can be read out at all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from .. import events
from ..errors import UserFacingError
from ..protocol.messages import Missing
from ..protocol.wire import CANNOT_READ, send_blob
from ..storage.outbox import Outbox
from .link import Link


class _Closed(Exception):
    """The hours in which something may leave have ended, after so many bytes."""

    def __init__(self, sent: int) -> None:
        super().__init__(sent)
        self.sent = sent


class Uploads:
    """Uploads on the agent's loop. The coordinator pulls one part after the other; a request ends the one before."""

    def __init__(
        self,
        site: str,
        outbox: Outbox,
        link: Link,
        emit: Callable[[events.Event], None],
        may_move: Callable[[str], Awaitable[bool]],
        is_open: Callable[[], bool],
    ) -> None:
        """`may_move` waits until the site's policy lets a part leave, and says whether it does; `is_open`: whether it
        is still an hour in which something may.
        """
        self._site = site
        self._outbox = outbox
        self._link = link
        self._emit = emit
        self._may_move = may_move
        self._is_open = is_open
        self.task: asyncio.Task[None] | None = None

    def wanted(self, sha256: str, offset: int) -> None:
        if self.task:
            self.task.cancel()
        self.task = asyncio.create_task(self._send(sha256, offset))

    async def _send(self, sha256: str, offset: int) -> None:
        """Sends it to its end, with a rest while the site's policy lets nothing leave."""
        left: int | None = offset
        while left is not None:
            left = await self._send_from(sha256, left)

    async def _send_from(self, sha256: str, offset: int) -> int | None:
        """Returns the offset to send from later; None once everything is sent."""
        may = await self._may_move(sha256)
        connection = self._link.connection
        if connection is None:
            return None
        try:
            if not may:
                raise UserFacingError("storage.not_released", sha256=sha256)
            path = await asyncio.to_thread(self._outbox.open_released, sha256)
        except UserFacingError as error:
            if error.retryable:  # it is here, and can be read later: it is asked for on the next connection
                await connection.close(CANNOT_READ, error.code)
            else:
                await self._link.send(Missing(sha256=sha256))
            return None
        round_number = await asyncio.to_thread(self._outbox.round_of, sha256)

        def progress(sent: int, total: int) -> None:
            self._emit(
                events.TransferProgress(
                    site=self._site, round=round_number, direction="up", blob=sha256, bytes=sent, total=total
                )
            )
            if sent < total and not self._is_open():
                raise _Closed(sent)

        try:
            await send_blob(connection, sha256, path, offset, progress)
        except _Closed as closed:
            return closed.sent
        return None
