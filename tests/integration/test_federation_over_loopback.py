# SPDX-License-Identifier: Apache-2.0
"""A coordinator and sites over real loopback websockets and real SQLite; only the GPU is stood in for."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

from fedmed_desktop import events
from fedmed_desktop.federation import FederationSpec
from fedmed_desktop.federation.work import Entry
from fedmed_desktop.site import Jobs, Verdict
from tests.parts.federation import INITIAL, NumpyTrainer, small_spec
from tests.parts.loopback import agent, coordinator


async def run_federation(folder: Path, spec: FederationSpec, names: list[str]) -> tuple[str, list[events.Event]]:
    seen: list[events.Event] = []
    jobs = Jobs()
    try:
        async with coordinator(folder / "coordinator", spec, seen) as (host, port):
            agents = [agent(folder, name, port, jobs, seen, NumpyTrainer(ord(name))) for name in names]
            results = await asyncio.wait_for(asyncio.gather(*(a.run() for a in agents)), 60)
            assert host.rounds.state.phase == "finished"
            assert set(results) == {host.rounds.state.start}
            return results[0], seen
    finally:
        jobs.close()


async def test_that_three_sites_finish_three_rounds_and_hold_the_same_final_adapter(tmp_path: Path) -> None:
    final, seen = await run_federation(tmp_path, small_spec(), ["A", "B", "C"])
    assert final != INITIAL.sha256
    combined = [event for event in seen if isinstance(event, events.RoundCombined)]
    assert [event.round for event in combined] == [1, 2, 3]
    receipts = [event for event in seen if isinstance(event, events.ReceiptReceived)]
    assert len(receipts) == 3 * 4


async def test_that_the_same_federation_gives_the_same_adapter_twice(tmp_path: Path) -> None:
    first, _ = await run_federation(tmp_path / "1", small_spec(), ["A", "B", "C"])
    second, _ = await run_federation(tmp_path / "2", small_spec(), ["C", "B", "A"])
    other, _ = await run_federation(tmp_path / "3", small_spec(seed=1), ["A", "B", "C"])
    assert second == first
    assert other != first


class ChangesTheirMind:
    """Stands in for an operator who keeps the first update and, asked once more, sends it."""

    def __init__(self) -> None:
        self.asked: list[Entry] = []

    async def decide(self, entry: Entry) -> Verdict:
        self.asked.append(entry)
        return Verdict(approve=len(self.asked) > 1, by="Ada", reason="", delay=timedelta(0))


async def test_that_an_operator_is_asked_again_where_a_round_cannot_close_without_the_kept_update(
    tmp_path: Path, jobs: Jobs
) -> None:
    seen: list[events.Event] = []
    person = ChangesTheirMind()
    async with coordinator(tmp_path / "c", small_spec(rounds=1, sites=2), seen) as (_, port):
        sites = [agent(tmp_path, "A", port, jobs, seen, approver=person), agent(tmp_path, "B", port, jobs, seen)]
        final, _ = await asyncio.wait_for(asyncio.gather(*(site.run() for site in sites)), 60)
    assert final != INITIAL.sha256
    assert [entry.plan.round for entry in person.asked] == [1, 1, 2]
    assert person.asked[0].sha256 == person.asked[1].sha256
    assert [e.attempt for e in seen if isinstance(e, events.RoundOpened)] == [1, 2, 1]
    by_ada = [e.decision for e in seen if isinstance(e, events.DecisionRecorded) and e.by == "Ada" and e.round == 1]
    assert by_ada == ["kept", "approved"]
