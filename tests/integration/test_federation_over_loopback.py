# SPDX-License-Identifier: Apache-2.0
"""A coordinator and sites over real loopback websockets and real SQLite; only the GPU is stood in for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fedmed_desktop import events
from fedmed_desktop.coordinator import CoordinatorServer, Host
from fedmed_desktop.federation import FederationSpec
from fedmed_desktop.site import Backoff, Jobs, RuleApprover, SiteAgent
from fedmed_desktop.storage import BlobStore
from tests.federation_parts import FINGERPRINT, INITIAL, NumpyTrainer, small_spec

QUICK = Backoff(first=0.02, most=0.1)


@asynccontextmanager
async def coordinator(
    folder: Path, spec: FederationSpec, seen: list[events.Event], port: int = 0
) -> AsyncIterator[tuple[Host, int]]:
    BlobStore(folder / "blobs").write(INITIAL.to_blob())
    host = Host(spec, folder, seen.append)
    try:
        async with CoordinatorServer(host, "127.0.0.1", port, seen.append) as server:
            await host.start()
            yield host, server.port
    finally:
        await host.stop()


def agent(folder: Path, name: str, port: int, jobs: Jobs, seen: list[events.Event], trainer: NumpyTrainer) -> SiteAgent:
    return SiteAgent(
        name=name,
        address=f"ws://127.0.0.1:{port}",
        data_dir=folder / name,
        base_fingerprint=FINGERPRINT,
        make_trainer=lambda spec: trainer,
        approver=RuleApprover("test rule"),
        jobs=jobs,
        emit=seen.append,
        backoff=QUICK,
    )


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
