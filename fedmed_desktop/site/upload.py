# SPDX-License-Identifier: Apache-2.0
"""Answering the coordinator's requests for parts of updates: only those of released updates can be read out at all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from .. import events
from ..errors import UserFacingError
from ..protocol.messages import Missing
from ..protocol.wire import CANNOT_READ, send_blob
from ..storage import Outbox
from .link import Link


class Uploads:
    """On the agent's loop. The coordinator pulls one part after the other: a new request ends the one before."""

    def __init__(
        self,
        site: str,
        outbox: Outbox,
        link: Link,
        emit: Callable[[events.Event], None],
        may_move: Callable[[str], Awaitable[bool]],
    ) -> None:
        """`may_move` waits until the site's policy lets a part leave, and says whether it does."""
        self._site = site
        self._outbox = outbox
        self._link = link
        self._emit = emit
        self._may_move = may_move
        self.task: asyncio.Task[None] | None = None

    def wanted(self, sha256: str, offset: int) -> None:
        if self.task:
            self.task.cancel()
        self.task = asyncio.create_task(self._send(sha256, offset))

    async def _send(self, sha256: str, offset: int) -> None:
        may = await self._may_move(sha256)
        connection = self._link.connection
        if connection is None:
            return
        try:
            if not may:
                raise UserFacingError("storage.not_released", sha256=sha256)
            path = await asyncio.to_thread(self._outbox.open_released, sha256)
        except UserFacingError as error:
            if error.retryable:  # it is here, and can be read later: it is asked for on the next connection
                await connection.close(CANNOT_READ, error.code)
            else:
                await self._link.send(Missing(sha256=sha256))
            return
        round_number = await asyncio.to_thread(self._outbox.round_of, sha256)

        def progress(sent: int, total: int) -> None:
            self._emit(
                events.TransferProgress(
                    site=self._site, round=round_number, direction="up", blob=sha256, bytes=sent, total=total
                )
            )

        await send_blob(connection, sha256, path, offset, progress)
