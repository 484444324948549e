# SPDX-License-Identifier: Apache-2.0
"""Order of work on the one working thread: the site whose screen a person watches comes first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from ..site import JobRunner

T = TypeVar("T")

# Seconds that the others wait. Enough to be asked and to fetch an adapter on this computer; a watched site that takes
# no part in a round, or declines it, costs no more than this.
PATIENCE = 5.0


class Turns:
    """Gives the watched site its turn first in each round: all sites are asked at once, and milliseconds would decide.

    Lives on the event loop. `first` and `others` are the jobs to hand to the sites; closing them is up to who made
    the jobs given here.
    """

    def __init__(self, jobs: JobRunner, patience: float = PATIENCE) -> None:
        self._came = asyncio.Event()
        self.first: JobRunner = _First(jobs, self._came)
        self.others: JobRunner = _Others(jobs, self._came, patience)

    def new_round(self) -> None:
        """The others wait for the watched site again."""
        self._came.clear()


class _First:
    def __init__(self, jobs: JobRunner, came: asyncio.Event) -> None:
        self._jobs, self._came = jobs, came

    async def run(self, job: Callable[[], T]) -> T:
        work = asyncio.ensure_future(self._jobs.run(job))
        asyncio.get_running_loop().call_soon(self._came.set)  # after the task has queued its job
        return await work


class _Others:
    def __init__(self, jobs: JobRunner, came: asyncio.Event, patience: float) -> None:
        self._jobs, self._came, self._patience = jobs, came, patience

    async def run(self, job: Callable[[], T]) -> T:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._came.wait(), self._patience)
        return await self._jobs.run(job)
