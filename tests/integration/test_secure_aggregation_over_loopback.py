# SPDX-License-Identifier: Apache-2.0
"""Masked rounds over real sockets and disks: the plain aggregate, no single update, and sites that are lost."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from fedmed_desktop import events
from fedmed_desktop.federation import FederationSpec
from fedmed_desktop.federation.methods import FedAvg, FedMedLora, FedMedLoraPlus, FedProx, FedRot
from fedmed_desktop.federation.secure_aggregation import SecureAggregationSettings
from fedmed_desktop.federation.spec import RoundSettings
from fedmed_desktop.federation.work import Entry
from fedmed_desktop.lora import Adapter
from fedmed_desktop.site import Jobs, Verdict
from tests.parts.federation import INITIAL, moved, small_spec
from tests.parts.loopback import PATIENCE, agent, all_of, coordinator, running, stop, until

pytestmark = pytest.mark.integration

ROUND = RoundSettings(sites=3, quorum=3, training_minutes=10, approval_minutes=60)
MASKED = SecureAggregationSettings(on=True, clip=1.0, largest_weight=1000)


def spec_of(rounds: int = 1, masked: bool = True, **changes: object) -> FederationSpec:
    how = MASKED if masked else SecureAggregationSettings()
    return small_spec(rounds=rounds, round=ROUND, secure_aggregation=how, **changes)


class Federation:
    """Three sites that move each by the seed of its plan."""

    def __init__(self, folder: Path, spec: FederationSpec) -> None:
        self.folder, self.spec = folder, spec
        self.seen: list[events.Event] = []

    async def run(self, jobs: Jobs) -> Adapter:
        async with coordinator(self.folder / "c", self.spec, self.seen) as (host, port):
            agents = [agent(self.folder, name, port, jobs, self.seen) for name in "ABC"]
            await asyncio.wait_for(asyncio.gather(*(one.run() for one in agents)), PATIENCE)
            self.entries = {one.name: one.record().entries for one in agents}
            self.history = host.rounds.state.history
            self.blobs = {path.name: path.read_bytes() for path in host.blobs.folder.iterdir() if path.is_file()}
            return Adapter.from_blob(host.blobs.read(host.rounds.state.start))


def furthest(one: Adapter, other: Adapter) -> float:
    return max(
        float(max(np.abs(one[name].A - other[name].A).max(), np.abs(one[name].B - other[name].B).max())) for name in one
    )


@pytest.mark.parametrize(
    "method", [FedMedLora(), FedAvg(), FedProx(), FedRot(), FedMedLoraPlus(preset="described")], ids=lambda m: m.name
)
async def test_that_a_masked_federation_gives_the_plain_aggregate(tmp_path: Path, jobs: Jobs, method: object) -> None:
    masked = Federation(tmp_path / "masked", spec_of(method=method))
    plain = Federation(tmp_path / "plain", spec_of(masked=False, method=method))
    found, expected = await masked.run(jobs), await plain.run(jobs)
    assert furthest(expected, INITIAL) > 0.01
    assert furthest(found, expected) < 1e-5
    assert masked.history[0].residual is None and plain.history[0].residual is not None
    weights = {site: one.weight for site, one in masked.history[0].sites.items()}
    assert weights == {site: one.weight for site, one in plain.history[0].sites.items()}


async def test_that_no_single_update_is_on_the_coordinators_disk(tmp_path: Path, jobs: Jobs) -> None:
    masked = Federation(tmp_path, spec_of(rounds=2))
    await masked.run(jobs)
    for record in masked.history:
        for site, one in record.sites.items():
            (name,), (part,) = one.update.parts.keys(), one.update.parts.values()
            assert name == "masked"
            numbers = np.frombuffer(masked.blobs[part.sha256][40:], dtype=np.uint8)
            own = moved(INITIAL, masked.spec.site_seed(site, 1) % 2**32)
            assert abs(numbers.astype(np.float64).mean() / 2**8 - 0.5) < 0.1
            for module in own.values():
                assert module.B.tobytes() not in masked.blobs[part.sha256]


async def test_that_the_operator_approves_the_masked_bytes_and_is_told_with_whom(tmp_path: Path, jobs: Jobs) -> None:
    masked = Federation(tmp_path, spec_of())
    await masked.run(jobs)
    trained = {name: next(e for e in entries if e.plan.kind == "train") for name, entries in masked.entries.items()}
    assert {entry.state for entry in trained.values()} == {"acknowledged"}
    for name, entry in trained.items():
        assert entry.update.parts["masked"] == masked.history[0].sites[name].update.parts["masked"]
        assert entry.evidence.masked is not None and entry.evidence.masked.sites == ("A", "B", "C")
        assert entry.evidence.masked.clipped == 0
    assert len({entry.evidence.masked.phrase for entry in trained.values() if entry.evidence.masked}) == 1


class Later:
    """Stands in for an operator who decides when the test says so."""

    def __init__(self, approve: bool = True) -> None:
        self.asked, self.may = asyncio.Event(), asyncio.Event()
        self.approve = approve

    async def decide(self, entry: Entry) -> Verdict:
        self.asked.set()
        await self.may.wait()
        return Verdict(approve=self.approve, by="Ada", reason="", delay=timedelta(0))


async def test_that_a_site_lost_after_its_upload_does_not_lose_the_round(tmp_path: Path, jobs: Jobs) -> None:
    seen: list[events.Event] = []
    spec, last = spec_of(), Later()
    async with coordinator(tmp_path / "c", spec, seen) as (host, port):
        sites = {name: agent(tmp_path, name, port, jobs, seen) for name in "AB"}
        sites["C"] = agent(tmp_path, "C", port, jobs, seen, approver=last)
        async with running(sites["B"], sites["C"]), running(sites["A"]) as (lost,):
            await until(lambda: "A" in host.rounds.state.updates and last.asked.is_set())
            await stop(lost)
            last.may.set()
            await until(lambda: len(host.rounds.state.history) == 1)
            found = Adapter.from_blob(host.blobs.read(host.rounds.state.start))
            assert set(host.rounds.state.history[0].sites) == {"A", "B", "C"}
    plain = Federation(tmp_path / "plain", spec_of(masked=False))
    assert furthest(found, await plain.run(jobs)) < 1e-5


async def test_that_a_sum_that_too_few_can_open_waits_and_says_so_until_they_are_back(
    tmp_path: Path, jobs: Jobs
) -> None:
    seen: list[events.Event] = []
    spec, last = spec_of(), Later()
    async with coordinator(tmp_path / "c", spec, seen) as (host, port):
        last_site = agent(tmp_path, "C", port, jobs, seen, approver=last)
        lost = [agent(tmp_path, name, port, jobs, seen) for name in "AB"]
        async with running(last_site):
            async with running(*lost):
                await until(lambda: host.rounds.state.updates.keys() == {"A", "B"} and last.asked.is_set())
            last.may.set()
            await until(lambda: host.held_up.code == "secure.waits_for_sites")
            assert "C" in host.rounds.state.updates and not host.rounds.state.history
            async with running(agent(tmp_path, "B", port, jobs, seen)):
                await until(lambda: len(host.rounds.state.history) == 1)
            assert host.held_up.code is None
    told = [event.reason for event in all_of(seen, events.FederationPaused)]
    assert told.count("secure.waits_for_sites") >= 1 and all_of(seen, events.FederationResumed)


async def test_that_everybody_may_be_restarted_before_the_sum_is_opened(tmp_path: Path, jobs: Jobs) -> None:
    seen: list[events.Event] = []
    spec, last = spec_of(), Later()
    async with coordinator(tmp_path / "c", spec, seen) as (host, port):
        sites = [agent(tmp_path, name, port, jobs, seen) for name in "AB"]
        async with running(*sites, agent(tmp_path, "C", port, jobs, seen, approver=last)):
            await until(lambda: host.rounds.state.updates.keys() == {"A", "B"} and last.asked.is_set())
    assert host.rounds.state.phase == "open"
    async with coordinator(tmp_path / "c", spec, seen) as (host, port):
        agents = [agent(tmp_path, name, port, jobs, seen) for name in "ABC"]
        await asyncio.wait_for(asyncio.gather(*(one.run() for one in agents)), PATIENCE)
        found = Adapter.from_blob(host.blobs.read(host.rounds.state.start))
    plain = Federation(tmp_path / "plain", spec_of(masked=False))
    assert furthest(found, await plain.run(jobs)) < 1e-5


async def test_that_four_sites_go_on_without_the_one_whose_operator_keeps_its_update(
    tmp_path: Path, jobs: Jobs
) -> None:
    seen: list[events.Event] = []
    settings = RoundSettings(sites=4, quorum=3, training_minutes=10, approval_minutes=60)
    spec = small_spec(rounds=1, sites=4, round=settings, secure_aggregation=MASKED)
    keeps = Later(approve=False)
    keeps.may.set()
    async with coordinator(tmp_path / "c", spec, seen) as (host, port):
        agents = [agent(tmp_path, name, port, jobs, seen) for name in "ABC"]
        agents.append(agent(tmp_path, "D", port, jobs, seen, approver=keeps))
        async with running(*agents):
            await until(lambda: len(host.rounds.state.history) == 1)
            assert set(host.rounds.state.history[0].sites) == {"A", "B", "C"}
            found = Adapter.from_blob(host.blobs.read(host.rounds.state.start))
    plain = Federation(tmp_path / "plain", spec_of(masked=False))
    assert furthest(found, await plain.run(jobs)) < 1e-5


async def test_that_a_site_that_comes_later_takes_no_part_but_in_the_scores(tmp_path: Path, jobs: Jobs) -> None:
    seen: list[events.Event] = []
    spec, last = spec_of(rounds=2), Later()
    async with coordinator(tmp_path / "c", spec, seen) as (host, port):
        agents = [agent(tmp_path, name, port, jobs, seen) for name in "AB"]
        agents.append(agent(tmp_path, "C", port, jobs, seen, approver=last))
        newcomer = agent(tmp_path, "D", port, jobs, seen)
        async with running(*agents) as tasks:
            await until(last.asked.is_set)
            async with running(newcomer) as (new,):
                await until(lambda: "D" in host.rounds.state.sites)
                last.may.set()
                await asyncio.wait_for(asyncio.gather(*tasks, new), PATIENCE)
        assert [set(record.sites) for record in host.rounds.state.history] == [{"A", "B", "C"}] * 2
        assert set(host.rounds.state.evaluation) == {"A", "B", "C", "D"}
    assert not all_of(seen, events.Failed)
