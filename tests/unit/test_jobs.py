# SPDX-License-Identifier: Apache-2.0
"""The working thread: one job at a time, on a thread that a face may bring along."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from fedmed_desktop.site import Jobs


def name_of_thread() -> str:
    return threading.current_thread().name


@pytest.mark.parametrize("own", [False, True])
def test_that_jobs_run_on_one_thread_which_a_face_may_bring_along(own: bool) -> None:
    jobs = Jobs(ThreadPoolExecutor(1, thread_name_prefix="face")) if own else Jobs()

    async def work() -> list[str]:
        return await asyncio.gather(*(jobs.run(name_of_thread) for _ in range(5)))

    try:
        names = asyncio.run(work())
    finally:
        jobs.close()
    assert len(set(names)) == 1 and names[0].startswith("face" if own else "training")


async def test_that_closing_shuts_the_executor_down_and_drops_what_has_not_begun() -> None:
    executor = ThreadPoolExecutor(1)
    jobs = Jobs(executor)
    begun, go, second = threading.Event(), threading.Event(), threading.Event()

    def first_job() -> bool:
        begun.set()
        return go.wait(10)

    first = asyncio.ensure_future(jobs.run(first_job))
    later = asyncio.ensure_future(jobs.run(second.set))
    await asyncio.to_thread(begun.wait, 10)
    closing = asyncio.ensure_future(asyncio.to_thread(jobs.close))
    with pytest.raises(asyncio.CancelledError):
        await later
    go.set()
    await asyncio.gather(first, closing)
    assert not second.is_set()
    with pytest.raises(RuntimeError):
        executor.submit(name_of_thread)
