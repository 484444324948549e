# SPDX-License-Identifier: Apache-2.0
"""Sites are told where the federation stands: soon, not too often, without names, and at nobody's expense."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from functools import partial
from pathlib import Path

from fedmed_desktop import events
from fedmed_desktop.coordinator import Host
from fedmed_desktop.protocol.messages import Decline, Finished, Message, Progress, Standing, Welcome
from fedmed_desktop.site import Jobs
from tests.parts.federation import INITIAL, NumpyTrainer, moved, result_of, small_spec
from tests.parts.loopback import RawSite, agent, all_of, coordinator, running, until


async def finish(site: RawSite) -> list[Message]:
    """Takes part by hand until the coordinator says that it is over; all that was heard meanwhile."""
    heard: list[Message] = []
    while not isinstance(heard[-1] if heard else None, Finished):
        message = await site.next()
        assert not isinstance(message, bytes)
        heard.append(message)
        if message.type == "ask":
            await site.say(Progress(round=message.plan.round, phase="training"))
            if message.plan.kind == "evaluate":
                await site.say(Decline(round=message.plan.round, code="kept"))
            else:
                await site.offer(result_of(message.plan, INITIAL, moved(INITIAL, 7)))
    return heard


async def test_that_a_site_hears_of_the_others_as_counts_only(tmp_path: Path, jobs: Jobs) -> None:
    seen: list[events.Event] = []
    trainer = NumpyTrainer(5)
    trainer.hold.clear()
    async with coordinator(tmp_path / "c", small_spec(rounds=2, sites=3), []) as (host, port):
        host.bulletin.interval = 0.01
        site = agent(tmp_path, "Hillcrest", port, jobs, seen, trainer)
        others = [agent(tmp_path, name, port, jobs, [], NumpyTrainer(3)) for name in ("Lakeview", "Riverside")]
        async with running(*others) as first:
            await until(lambda: len(host.rounds.state.sites) == 2)
            async with running(site) as [run]:
                await until(lambda: any(e.phase == "open" for e in all_of(seen, events.StandingChanged)))
                trainer.hold.set()
                async with asyncio.timeout(30):
                    await asyncio.gather(run, *first)
    told = all_of(seen, events.StandingChanged)
    assert {e.site for e in told} == {"Hillcrest"}
    assert all(sum(e.sites.values()) <= 3 and e.connected <= 3 for e in told)
    for event in told:
        assert not any(name in event.model_dump_json(exclude={"site"}) for name in ("Lakeview", "Riverside"))
    last = told[-1]
    assert last.phase == "finished" and last.sites == {"sent": 3}
    assert [closed.round for closed in last.history] == [1, 2]
    first = last.history[0]
    assert first.sent == 3 and first.rank == 2 and first.other_ranks == (2, 2)
    assert first.weight is not None and 0 < first.weight < 1
    assert first.scores_before is not None and first.scores_before["entities"].unified.tp == 5 + 3 + 3


async def test_that_welcome_comes_first_and_the_last_standing_before_the_farewell(tmp_path: Path) -> None:
    spec = small_spec(rounds=1, sites=1, quorum=1)
    async with coordinator(tmp_path / "c", spec, []) as (_, port):
        async with RawSite(port) as site:
            await site.greet()
            during = await finish(site)
        async with RawSite(port) as site:
            await site.greet()
            again = await finish(site)
    assert isinstance(during[0], Welcome)
    for heard in (during, again):
        assert isinstance(heard[-1], Finished) and isinstance(heard[-2], Standing)
        assert heard[-2].phase == "finished" and len(heard[-2].history) == 1
    assert [message.type for message in again] == ["welcome", "standing", "finished"]


async def test_that_many_changes_are_told_as_few_and_the_latest_always(tmp_path: Path) -> None:
    async with (
        coordinator(tmp_path / "c", small_spec(sites=2), []) as (host, port),
        RawSite(port, "raw") as busy,
        RawSite(port, "other", "o" * 64) as quiet,
    ):
        host.bulletin.interval = 0.2
        await busy.join()
        await quiet.join()
        heard = [await quiet.hear(Standing)]
        for _ in range(80):  # fewer than a site may say at once
            await busy.say(Progress(round=1, phase="training"))
            await busy.say(Progress(round=1, phase="paused"))
        await busy.say(Progress(round=1, phase="approval"))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                while True:
                    heard.append(await quiet.hear(Standing))
    assert len(heard) <= 7
    assert heard[-1].sites == {"approval": 1, "waiting": 1} and heard[-1].connected == 2
    assert all(before != after for before, after in itertools.pairwise(heard))


def others_have_sent(host: Host, number: int) -> bool:
    state = host.rounds.state
    return state.round == number and len(state.updates) == 2


def closed(host: Host, number: int) -> bool:
    return host.rounds.state.round > number or host.rounds.state.phase == "finished"


async def test_that_a_line_that_takes_nothing_holds_up_nobody_and_is_not_cut_for_it(tmp_path: Path, jobs: Jobs) -> None:
    async with coordinator(tmp_path / "c", small_spec(rounds=3, sites=3), []) as (host, port):
        host.bulletin.interval = 0.0
        sites = [agent(tmp_path, name, port, jobs, [], NumpyTrainer(3)) for name in "AB"]
        async with RawSite(port, "deaf") as deaf, running(*sites) as runs:
            await deaf.join()
            deaf.line.transport.pause_reading()
            await until(lambda: host.rounds.state.round == 1 and host.rounds.state.phase == "open")
            for _ in range(2000):
                host.bulletin.told("A", 1, "training")
                host.bulletin.told("A", 1, "paused")
                await asyncio.sleep(0)
            for number in (1, 2, 3, 4):
                await until(partial(others_have_sent, host, number))
                assert "deaf" in host.sessions
                deaf.line.transport.resume_reading()
                await deaf.say(Decline(round=number, code="kept"))
                await until(partial(closed, host, number))
            async with asyncio.timeout(20):
                await asyncio.gather(*runs)
