# SPDX-License-Identifier: Apache-2.0
"""In the demonstration the watched site computes first, whoever asked first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fedmed_desktop.demo.turns import Turns
from fedmed_desktop.site import Jobs


async def order_of_three(watched_asks: bool, patience: float) -> list[str]:
    """Who computed, in order, where two others ask for the thread before the watched site does."""
    jobs, done = Jobs(), list[str]()
    turns = Turns(jobs, patience)

    def job(name: str) -> Callable[[], None]:
        return lambda: done.append(name)

    try:
        turns.new_round()
        asked = [asyncio.ensure_future(turns.others.run(job(name))) for name in ("Lakeview", "Northside")]
        await asyncio.sleep(0.05)
        assert done == []
        if watched_asks:
            await turns.first.run(job("Mercy"))
        await asyncio.gather(*asked)
    finally:
        jobs.close()
    return done


async def test_that_turns_are_no_threads_of_their_own() -> None:
    """Whoever made the thread closes it: what the sites are handed can only run jobs."""
    jobs = Jobs()
    try:
        turns = Turns(jobs)
        assert not any(isinstance(one, Jobs) or hasattr(one, "close") for one in (turns.first, turns.others))
    finally:
        jobs.close()


async def test_that_the_watched_site_computes_first_though_it_asks_last() -> None:
    assert await order_of_three(watched_asks=True, patience=60.0) == ["Mercy", "Lakeview", "Northside"]


async def test_that_a_watched_site_which_takes_no_part_holds_nobody_up_for_long() -> None:
    assert await order_of_three(watched_asks=False, patience=0.2) == ["Lakeview", "Northside"]
