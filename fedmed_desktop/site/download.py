# SPDX-License-Identifier: Apache-2.0
"""Fetching global adapters from the coordinator: resumed by offset after any cut, checked against their name."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from .. import events
from ..errors import UserFacingError
from ..protocol.messages import Message, Want
from ..protocol.transfer import MOST_FETCHES, Reception, decode_chunk
from ..storage import BlobStore


class Downloads:
    """All on one event loop; several may wait for the same blob."""

    def __init__(
        self,
        site: str,
        blobs: BlobStore,
        send: Callable[[Message], Awaitable[None]],
        emit: Callable[[events.Event], None],
        keep: Callable[[events.TransferProgress], None],
    ) -> None:
        """`keep` is handed the last progress of each fetch, beside the loop, for the site's own record."""
        self._site = site
        self._blobs = blobs
        self._send = send
        self._emit = emit
        self._keep = keep
        self._waiting: dict[str, _Download] = {}

    async def fetch(self, sha256: str, round_number: int) -> None:
        """Returns once the blob is on disk, however often the line breaks meanwhile; raises UserFacingError."""
        if await asyncio.to_thread(self._blobs.is_whole, sha256):
            return
        self._blobs.put_aside(sha256)  # damaged, if it is here
        download = self._waiting.get(sha256)
        if download is None:
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            download = self._waiting[sha256] = _Download(self._reception(sha256), done, round_number)
        download.waiters += 1
        try:
            if download.waiters == 1:
                await self._want(download)
            await asyncio.shield(download.done)
        finally:
            download.waiters -= 1

    async def ask_again(self) -> None:
        """Asks for all that is waited for, after a new connection."""
        for download in list(self._waiting.values()):
            if download.waiters:
                await self._want(download)

    async def chunk(self, frame: bytes) -> None:
        chunk = decode_chunk(frame)
        download = self._waiting.get(chunk.sha256)
        if download is None:
            return
        try:
            complete = await asyncio.to_thread(download.reception.write, chunk)
            progress = events.TransferProgress(
                site=self._site,
                round=download.round,
                direction="down",
                blob=chunk.sha256,
                bytes=download.reception.received,
                total=chunk.total,
            )
            self._emit(progress)
            if complete:
                await asyncio.to_thread(self._keep, progress)
                await self._complete(download)
        except UserFacingError as error:
            if error.code.startswith("protocol."):
                raise
            self._end(download, error)

    async def _complete(self, download: _Download) -> None:
        reception = download.reception
        try:
            path = await asyncio.to_thread(reception.finish)
        except UserFacingError as error:
            if error.code != "update.wrong_hash" or download.fetches == MOST_FETCHES:
                raise
            # Damaged on the way, or a power cut left holes in the bytes already held: all of it once more.
            download.fetches += 1
            download.reception = self._reception(reception.sha256)
            await self._want(download)
            return
        await asyncio.to_thread(self._blobs.adopt, path, reception.sha256)
        self._end(download, None)

    async def missing(self, sha256: str) -> None:
        if download := self._waiting.get(sha256):
            self._end(download, UserFacingError("storage.no_blob", sha256=sha256))
        else:  # the question came there as another one
            await self.ask_again()

    def _end(self, download: _Download, error: UserFacingError | None) -> None:
        del self._waiting[download.reception.sha256]
        if error is None or not download.waiters:
            download.done.set_result(None)
        else:
            download.done.set_exception(error)

    def _reception(self, sha256: str) -> Reception:
        return Reception(sha256, self._blobs.part_file(sha256, "coordinator"))

    async def _want(self, download: _Download) -> None:
        await self._send(Want(sha256=download.reception.sha256, offset=download.reception.received))


@dataclass
class _Download:
    """`waiters` counts who waits; with none left it is not asked for again. `fetches` counts beginnings."""

    reception: Reception
    done: asyncio.Future[None]
    round: int
    waiters: int = 0
    fetches: int = 1
