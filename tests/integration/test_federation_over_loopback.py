# SPDX-License-Identifier: Apache-2.0
"""A coordinator and sites over real loopback websockets and real SQLite; only the GPU is stood in for."""

from __future__ import annotations

import asyncio
from pathlib import Path

from fedmed_desktop import events
from fedmed_desktop.federation import FederationSpec
from fedmed_desktop.site import Jobs
from tests.federation_parts import INITIAL, NumpyTrainer, small_spec
from tests.loopback_parts import agent, coordinator


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


def test_that_three_sites_finish_three_rounds_and_hold_the_same_final_adapter(tmp_path: Path) -> None:
    final, seen = asyncio.run(run_federation(tmp_path, small_spec(), ["A", "B", "C"]))
    assert final != INITIAL.sha256
    combined = [event for event in seen if isinstance(event, events.RoundCombined)]
    assert [event.round for event in combined] == [1, 2, 3]
    receipts = [event for event in seen if isinstance(event, events.ReceiptReceived)]
    assert len(receipts) == 3 * 4


def test_that_the_same_federation_gives_the_same_adapter_twice(tmp_path: Path) -> None:
    first, _ = asyncio.run(run_federation(tmp_path / "1", small_spec(), ["A", "B", "C"]))
    second, _ = asyncio.run(run_federation(tmp_path / "2", small_spec(), ["C", "B", "A"]))
    other, _ = asyncio.run(run_federation(tmp_path / "3", small_spec(seed=1), ["A", "B", "C"]))
    assert second == first
    assert other != first
