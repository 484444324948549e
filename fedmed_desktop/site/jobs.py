# SPDX-License-Identifier: Apache-2.0
"""One working thread per process: trainings, evaluations and trials of all sites in it run one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Protocol, TypeVar

T = TypeVar("T")


class JobRunner(Protocol):
    """Interface for running jobs: on a working thread of its own, or in turns on a shared one."""

    async def run(self, job: Callable[[], T]) -> T: ...


class Jobs:
    """Runs jobs, first come, first served. `close` waits for the running job: stop its Control first.

    `executor`: what the jobs run on where a face has a thread of its own for them; it must run one job at a time, and
    `close` shuts it down (waiting, pending jobs cancelled). Without it, a pool of one thread.
    """

    def __init__(self, executor: Executor | None = None) -> None:
        self._executor = executor or ThreadPoolExecutor(max_workers=1, thread_name_prefix="training")

    async def run(self, job: Callable[[], T]) -> T:
        """Runs on the working thread. If the awaiting task is cancelled, a job that has begun still ends by itself."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, job)

    def close(self) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)
