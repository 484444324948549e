# SPDX-License-Identifier: Apache-2.0
"""Combination of closed rounds in the background, tried again until its result is in the ledger."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from ..errors import UserFacingError
from ..federation import FederationSpec
from ..federation.actions import Combine
from ..federation.inputs import RoundCombined
from ..federation.noised import Noise
from ..protocol.messages import Message
from ..protocol.transfer import Chunk
from ..storage import BlobStore
from ..storage.adapters import combine_stored
from .held_up import HeldUp
from .recovery import LostParts

# Seconds until what failed is tried again: doubled each time up to this. Inferred.
_LAST_RETRY = 60.0


class Combining:
    """Combines for one host, on its event loop; files are read in threads.

    `apply` feeds the result to the rounds, `may_pass` says of a fault whether to try again, `retry` after how many
    seconds at first. `noise`: where whole sites are protected.
    """

    def __init__(
        self,
        spec: FederationSpec,
        blobs: BlobStore,
        lost: LostParts,
        held_up: HeldUp,
        apply: Callable[[RoundCombined], Awaitable[None]],
        tell: Callable[[str, Message], None],
        may_pass: Callable[[str, Exception], bool],
        retry: Callable[[], float],
        noise: Callable[[Combine], Noise] | None = None,
    ) -> None:
        self._spec = spec
        self._blobs = blobs
        self._lost = lost
        self._held_up = held_up
        self._apply = apply
        self._tell = tell
        self._may_pass = may_pass
        self._retry = retry
        self._noise = noise
        self._tasks: set[asyncio.Task[None]] = set()
        self._came_back = asyncio.Event()

    def spawn(self, due: Combine) -> None:
        """Begins a combination, unless it is under way: a round may close while the program is still starting."""
        name = f"combine round {due.round}"
        if any(task.get_name() == name for task in self._tasks):
            return
        task = asyncio.create_task(self._combine(due), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Waits for a running combination; it is done again at the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def caught_up(self) -> None:
        """Returns once no combination is under way, or something holds the federation up."""
        while self._tasks and not self._held_up.reason:
            await asyncio.wait(self._tasks, timeout=0.1)

    async def _combine(self, due: Combine) -> None:
        """Combines a round, and tries again until the result is in the ledger."""
        given, tries = None, 0
        while True:
            try:
                given = given or await self._combined(due)
                await self._apply(given)
                self._held_up.no_more("round")
                return
            except Exception as error:
                if isinstance(error, UserFacingError) and error.code in ("lora.file_damaged", "storage.no_blob"):
                    continue  # now it is known to be missing
                if not self._may_pass("round", error):
                    return
            for site, want in self._lost.wants().items():
                self._tell(site, want)
            tries = 0 if self._lost.sites else tries + 1  # to look for what is lost costs little, to combine much
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(_LAST_RETRY, self._retry() * 2 ** min(tries, 10))):
                    await self._came_back.wait()
            self._came_back.clear()

    async def _combined(self, due: Combine) -> RoundCombined:
        if fault := self._lost.look(due):
            raise fault
        work = asyncio.ensure_future(asyncio.to_thread(combine_stored, due, self._spec, self._blobs, self._noise))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            # No thread can be cut off: who stops waits for it, else the next start in this process would meet it.
            await asyncio.gather(work, return_exceptions=True)
            raise

    async def take_again(self, site: str, chunk: Chunk) -> None:
        """Takes bytes that no current upload asked for: of a lost part, or of a request that was given up."""
        if site in self._lost.sites and await asyncio.to_thread(self._lost.take, site, chunk):
            self._came_back.set()
