# SPDX-License-Identifier: Apache-2.0
"""What a face can know of a site without asking anyone: the record, before, during, after, and after a restart."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from pathlib import Path

from fedmed_desktop import events
from fedmed_desktop.federation.work import Entry
from fedmed_desktop.site import Jobs, Record, Verdict
from tests.parts.federation import small_spec
from tests.parts.loopback import agent, all_of, coordinator, running, until

NOWHERE = 1  # a port that nobody listens on


class Waits:
    """Stands in for an operator who has not looked yet."""

    async def decide(self, entry: Entry) -> Verdict:
        await asyncio.Event().wait()
        raise AssertionError("never answers")


class Approves:
    async def decide(self, entry: Entry) -> Verdict:
        return Verdict(approve=True, by="Ada", reason="fine", delay=timedelta(0))


def test_that_a_site_that_never_joined_has_an_empty_record(tmp_path: Path) -> None:
    jobs = Jobs()
    site = agent(tmp_path, "A", NOWHERE, jobs, [])
    assert site.record() == Record(None, (), (), None)
    site.close()
    site.close()
    assert site.record() == Record(None, (), (), None)
    agent(tmp_path, "A", NOWHERE, jobs, []).close()  # the folder is free again
    jobs.close()


async def test_that_the_record_is_the_same_after_a_restart_without_a_coordinator(tmp_path: Path, jobs: Jobs) -> None:
    spec = small_spec(rounds=2, sites=1, quorum=1)
    seen: list[events.Event] = []
    async with coordinator(tmp_path / "c", spec, []) as (_, port):
        site = agent(tmp_path, "A", port, jobs, seen, approver=Waits())
        async with running(site):
            await until(lambda: bool(all_of(seen, events.UpdatePending)))
            during = await asyncio.to_thread(site.record)
    again = agent(tmp_path, "A", NOWHERE, jobs, [])
    assert again.record() == site.record() == during
    assert during.spec == spec and during.final is None and during.decisions == ()
    assert [entry.state for entry in during.entries] == ["pending"]
    again.close()
    [joined] = all_of(seen, events.Joined)
    assert (joined.federation, joined.environment, joined.method) == ("Test federation", "test", "fed_medlora")
    assert (joined.site, joined.rounds, joined.sites, joined.types) == ("A", 2, 1, ("drug", "problem"))


async def test_that_the_record_of_a_finished_federation_names_its_final_adapter(tmp_path: Path, jobs: Jobs) -> None:
    spec = small_spec(rounds=1, sites=1, quorum=1, environment="production")
    seen: list[events.Event] = []
    done, read = threading.Event(), list[Record]()
    async with coordinator(tmp_path / "c", spec, []) as (_, port):
        site = agent(tmp_path, "A", port, jobs, seen, approver=Approves())

        def keep_reading() -> None:
            while not done.is_set():
                read.append(site.record())

        reading = asyncio.ensure_future(asyncio.to_thread(keep_reading))
        async with asyncio.timeout(20):
            final = await site.run()
        done.set()
        await reading
    record = site.record()
    assert record.final == final and record.spec == spec
    assert [(d.round, d.decision) for d in record.decisions] == [
        (number, word) for number in (1, 2) for word in ("approved", "released", "acknowledged")
    ]
    assert [entry.state for entry in record.entries] == ["acknowledged"] * 2
    assert all_of(seen, events.Joined)[0].environment == "production"
    for one in read:  # an entry's state and its last decision are of one moment
        for entry in one.entries:
            last = [d.decision for d in one.decisions if d.sha256 == entry.sha256][-1:]
            assert entry.state == (last[0] if last else "pending")
