# SPDX-License-Identifier: Apache-2.0
"""Fetching global adapters from the coordinator: resumed by offset after any cut, checked against their name."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from .. import events
from ..errors import UserFacingError
from ..protocol.messages import Message, Want
from ..protocol.transfer import Reception, decode_chunk
from ..storage import BlobStore


class Downloads:
    """All on one event loop; several may wait for the same blob."""

    def __init__(
        self,
        site: str,
        blobs: BlobStore,
        send: Callable[[Message], Awaitable[None]],
        emit: Callable[[events.Event], None],
    ) -> None:
        self._site = site
        self._blobs = blobs
        self._send = send
        self._emit = emit
        self._waiting: dict[str, tuple[Reception, asyncio.Future[None], int]] = {}

    async def fetch(self, sha256: str, round_number: int) -> None:
        """Returns once the blob is on disk, however often the line breaks meanwhile; raises UserFacingError."""
        if sha256 in self._blobs:
            return
        if sha256 not in self._waiting:
            reception = Reception(sha256, self._blobs.part_file(sha256, "coordinator"))
            self._waiting[sha256] = (reception, asyncio.get_running_loop().create_future(), round_number)
            await self._send(Want(sha256=sha256, offset=reception.received))
        await asyncio.shield(self._waiting[sha256][1])

    async def ask_again(self) -> None:
        """After a new connection."""
        for sha256, (reception, _, _) in list(self._waiting.items()):
            await self._send(Want(sha256=sha256, offset=reception.received))

    async def chunk(self, frame: bytes) -> None:
        chunk = decode_chunk(frame)
        if chunk.sha256 not in self._waiting:
            return
        reception, future, round_number = self._waiting[chunk.sha256]
        complete = await asyncio.to_thread(reception.write, chunk)
        self._emit(
            events.TransferProgress(
                site=self._site,
                round=round_number,
                direction="down",
                blob=chunk.sha256,
                bytes=reception.received,
                total=chunk.total,
            )
        )
        if complete:
            await self._complete(reception, future, round_number)

    async def _complete(self, reception: Reception, future: asyncio.Future[None], round_number: int) -> None:
        sha256 = reception.sha256
        del self._waiting[sha256]
        try:
            path = await asyncio.to_thread(reception.finish)
        except UserFacingError as error:
            future.set_exception(error)
            return
        await asyncio.to_thread(self._blobs.adopt, path, sha256)
        future.set_result(None)

    def missing(self, sha256: str) -> None:
        if found := self._waiting.pop(sha256, None):
            found[1].set_exception(UserFacingError("storage.no_blob", sha256=sha256))
