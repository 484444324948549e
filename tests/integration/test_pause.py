# SPDX-License-Identifier: Apache-2.0
"""Pausing a site: computing stands still, over rounds too; decisions and transfers go on."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

from fedmed_desktop import events
from fedmed_desktop.federation import Control, Given, LocalResult, Plan
from fedmed_desktop.federation.work import Emit, Entry
from fedmed_desktop.site import Jobs, Verdict
from tests.parts.federation import NumpyTrainer, small_spec
from tests.parts.loopback import agent, all_of, coordinator, running, until


class PacedTrainer(NumpyTrainer):
    """Says what it does, and takes a micro-step every few milliseconds until `hold` is set."""

    def __init__(self, notes: int) -> None:
        super().__init__(notes)
        self.steps = 0

    def train_round(self, plan: Plan, given: Given, checkpoints: Path, emit: Emit, control: Control) -> LocalResult:
        emit(events.PhaseChanged(site="A", round=plan.round, phase="training"))
        while not self.hold.wait(0.002):
            control.check()
            self.steps += 1
        control.check()
        emit(events.PhaseChanged(site="A", round=plan.round, phase="measuring"))
        return super().train_round(plan, given, checkpoints, emit, control)


class Asked:
    """Stands in for an operator who answers once told to."""

    def __init__(self) -> None:
        self.answer = asyncio.Event()

    async def decide(self, entry: Entry) -> Verdict:
        await self.answer.wait()
        return Verdict(approve=True, by="Ada", reason="", delay=timedelta(0))


def phases(seen: list[events.Event], site: str = "A") -> list[tuple[int, str]]:
    return [(e.round, e.phase) for e in all_of(seen, events.PhaseChanged) if e.site == site]


async def test_that_computing_stands_still_until_it_is_resumed_and_both_faces_are_told(
    tmp_path: Path, jobs: Jobs
) -> None:
    at_site: list[events.Event] = []
    at_coordinator: list[events.Event] = []
    trainer = PacedTrainer(5)
    trainer.hold.clear()
    spec = small_spec(rounds=1, sites=1, quorum=1)
    async with coordinator(tmp_path / "c", spec, at_coordinator) as (_, port):
        site = agent(tmp_path, "A", port, jobs, at_site, trainer)
        async with running(site) as [run]:
            await until(lambda: trainer.steps > 3)
            await asyncio.to_thread(site.pause)
            site.pause()
            assert site.paused
            await asyncio.sleep(0.02)
            before = trainer.steps
            await asyncio.sleep(0.05)
            assert trainer.steps == before
            await until(lambda: any(e.phase == "paused" for e in all_of(at_coordinator, events.SiteSeen)))
            site.resume()
            site.resume()
            await until(lambda: trainer.steps > before)
            trainer.hold.set()
            await asyncio.wait_for(run, 20)
    around = phases(at_site)
    at = around.index((1, "paused"))
    assert around[at - 1 : at + 2] == [(1, "training"), (1, "paused"), (1, "training")]
    assert around.count((1, "paused")) == 1
    told = [e.phase for e in all_of(at_coordinator, events.SiteSeen) if e.state == "phase"]
    at = told.index("paused")
    assert told[at - 1 : at + 2] == ["training", "paused", "training"]


async def test_that_a_paused_site_still_decides_and_sends_and_stays_paused_in_the_next_round(
    tmp_path: Path, jobs: Jobs
) -> None:
    seen: list[events.Event] = []
    trainer, person = PacedTrainer(5), Asked()
    async with coordinator(tmp_path / "c", small_spec(rounds=2, sites=1, quorum=1), []) as (host, port):
        site = agent(tmp_path, "A", port, jobs, seen, trainer, person)
        async with running(site) as [run]:
            await until(lambda: (1, "approval") in phases(seen))
            site.pause()
            person.answer.set()
            await until(lambda: host.rounds.state.round == 2 and (2, "paused") in phases(seen))
            await asyncio.sleep(0.05)
            assert trainer.trained == [1]
            site.resume()
            await asyncio.wait_for(run, 20)
    told = phases(seen)
    while_paused = told[told.index((1, "paused")) : told.index((2, "paused"))]
    assert {(1, "uploading"), (1, "sent"), (2, "downloading")} <= set(while_paused)
    assert told[told.index((2, "paused")) + 1] == (2, "waiting")


async def test_that_a_paused_site_is_ended_at_once(tmp_path: Path, jobs: Jobs) -> None:
    trainer = PacedTrainer(5)
    trainer.hold.clear()
    async with coordinator(tmp_path / "c", small_spec(sites=1, quorum=1), []) as (_, port):
        site = agent(tmp_path, "A", port, jobs, [], trainer)
        async with running(site) as [run]:
            await until(lambda: trainer.steps > 0)
            site.pause()
            run.cancel()
            async with asyncio.timeout(10):
                await asyncio.gather(run, return_exceptions=True)
        site.resume()
    site.pause()
