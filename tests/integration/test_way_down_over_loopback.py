# SPDX-License-Identifier: Apache-2.0
"""Common adapters in fewer bits over real sockets and disks: who holds the one before fetches a difference."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedmed_desktop import events
from fedmed_desktop.federation import FederationSpec
from fedmed_desktop.federation.actions import Combine
from fedmed_desktop.federation.inputs import RoundCombined
from fedmed_desktop.federation.record import RoundRecord
from fedmed_desktop.federation.spec import RoundSettings
from fedmed_desktop.site import Jobs
from fedmed_desktop.storage import BlobStore
from fedmed_desktop.storage.adapters import combine_stored
from tests.parts.loopback import PATIENCE, agent, all_of, coordinator, running, stop, until
from tests.parts.plan import MethodTrainer
from tests.parts.way_down import FIRST, down_spec

pytestmark = pytest.mark.integration

WHOLE = len(FIRST.to_blob())


@pytest.fixture
def threads() -> Iterator[list[Jobs]]:
    three = [Jobs() for _ in "ABC"]
    yield three
    for one in three:
        one.close()


@pytest.fixture
def jobs(threads: list[Jobs]) -> Jobs:
    return threads[0]


def fetched(seen: list[events.Event], site: str = "") -> Counter[int]:
    """Bytes that came down, by round."""
    latest = {
        (event.site, event.blob): (event.round, event.bytes)
        for event in all_of(seen, events.TransferProgress)
        if event.direction == "down" and event.site.startswith(site)
    }
    total = Counter[int]()
    for number, size in latest.values():
        total[number] += size
    return total


def packed(record: RoundRecord) -> int:
    assert record.difference is not None
    return record.difference.size


async def ran(
    folder: Path, spec: FederationSpec, jobs: Jobs, names: str = "AB"
) -> tuple[str, list[RoundRecord], list[events.Event]]:
    seen: list[events.Event] = []
    async with coordinator(folder / "c", spec, seen, initial=FIRST) as (host, port):
        agents = [agent(folder, name, port, jobs, seen, MethodTrainer(ord(name))) for name in names]
        finals = await asyncio.wait_for(asyncio.gather(*(one.run() for one in agents)), PATIENCE)
        assert set(finals) == {host.rounds.state.start}
        return finals[0], host.rounds.state.history, seen


TWO = down_spec(rounds=3, sites=2, quorum=2)


@pytest.mark.parametrize("method", ["fed_medlora", "rolora", "fedsa", "ffa", "flexlora"])
async def test_that_after_the_first_adapter_only_differences_come_down(method: str, tmp_path: Path, jobs: Jobs) -> None:
    spec = down_spec(rounds=3, sites=2, quorum=2, method={"name": method})
    _, history, seen = await ran(tmp_path, spec, jobs)
    came = fetched(seen, "A")
    assert came[1] == WHOLE
    whole = [record.round for record in history if record.difference is None]
    assert whole in ([], [1]) and (method == "flexlora" or not whole)  # products: B is zero at first
    for record in history:
        assert came[record.round + 1] == (packed(record) if record.difference else WHOLE)
        assert came[record.round + 1] < 0.3 * WHOLE or record.round in whole
    warned = [event.code for event in all_of(seen, events.Warned)]
    assert warned == ["coordinator.whole_too_much_lost"] * len(whole)
    for site in "AB":  # no difference is left, and each adapter is there
        held = {path.name for path in (tmp_path / site / "blobs").glob("*") if path.is_file()}
        assert held >= {record.adapter for record in history}
        assert not held & {record.difference.sha256 for record in history if record.difference}


async def test_that_who_joins_late_or_missed_rounds_ends_with_the_same_adapter(
    tmp_path: Path, threads: list[Jobs]
) -> None:
    spec = down_spec(rounds=5, sites=2, quorum=2)
    seen, late = list[events.Event](), list[events.Event]()
    slow = MethodTrainer(ord("B"))
    async with coordinator(tmp_path / "c", spec, seen, initial=FIRST) as (host, port):
        agents = [
            agent(tmp_path, "A", port, threads[0], seen, MethodTrainer(65)),
            agent(tmp_path, "B", port, threads[1], seen, slow),
        ]
        async with running(*agents) as tasks:
            await until(lambda: host.rounds.state.round == 2)
            slow.hold.clear()
            await until(lambda: host.rounds.state.round == 3 or host.rounds.state.updates.keys() == {"A"})
            newcomer = agent(tmp_path, "C", port, threads[2], late, MethodTrainer(67))
            async with running(newcomer) as (third,):
                await until(lambda: "C" in host.rounds.state.sites)
                slow.hold.set()
                finals = await asyncio.wait_for(asyncio.gather(*tasks, third), PATIENCE)
        assert set(finals) == {host.rounds.state.start}
    came = fetched(late)
    first = min(came)
    assert first > 1 and came[first] == WHOLE
    assert all(size < 0.3 * WHOLE for number, size in came.items() if number != first)


async def test_that_who_missed_a_round_follows_the_chain(tmp_path: Path, jobs: Jobs) -> None:
    """One of three sites rests in each round, so that differences of two rounds lead on for some."""
    round_settings = RoundSettings(sites=3, quorum=2, clients=2, training_minutes=10, approval_minutes=60)
    _, history, seen = await ran(tmp_path, down_spec(rounds=6, round=round_settings, seed=3), jobs, "ABC")
    for site in "ABC":
        came = fetched(seen, site)
        assert sum(came.values()) == WHOLE + sum(packed(one) for one in history[min(came) - 1 :])


async def test_that_a_wrong_difference_costs_bytes_and_is_said(
    tmp_path: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    calm, _, _ = await ran(tmp_path / "calm", TWO, jobs)

    def lying(due: Combine, spec: FederationSpec, blobs: BlobStore, *_: object) -> RoundCombined:
        """Names another blob as the first round's difference: well made, but of other values."""
        given = combine_stored(due, spec, blobs)
        assert given.difference is not None
        if due.round > 1:
            return given
        data = bytearray(blobs.read(given.difference.sha256))
        data[-40] ^= 1
        other = given.difference.model_copy(update={"sha256": blobs.write(bytes(data))})
        return given.model_copy(update={"difference": other})

    monkeypatch.setattr("fedmed_desktop.coordinator.combining.combine_stored", lying)
    final, _, seen = await ran(tmp_path, TWO, jobs)
    assert final == calm
    warned = [(event.code, event.params["round"]) for event in all_of(seen, events.Warned)]
    assert warned == [("download.not_rebuilt", 2)] * 2
    came = fetched(seen, "A")
    assert came[2] > WHOLE and came[3] < 0.3 * WHOLE


@pytest.mark.parametrize("harm", ["gone", "damaged"])
async def test_that_the_coordinator_can_do_without_a_difference(harm: str, tmp_path: Path, threads: list[Jobs]) -> None:
    seen, slow = list[events.Event](), MethodTrainer(66)
    async with coordinator(tmp_path / "c", TWO, seen, initial=FIRST) as (host, port):
        first, second = (
            agent(tmp_path, "A", port, threads[0], seen, MethodTrainer(65)),
            agent(tmp_path, "B", port, threads[1], seen, slow),
        )
        async with running(first, second) as tasks:
            await until(lambda: host.rounds.state.round == 2)
            slow.hold.clear()
            (one, *_) = host.rounds.state.differences
            await stop(tasks[0])
            path = host.blobs.path(one.sha256)
            path.unlink() if harm == "gone" else path.write_bytes(path.read_bytes()[:-1] + b"?")
            BlobStore(tmp_path / "A" / "blobs").delete(one.adapter)
            async with running(agent(tmp_path, "A", port, threads[0], seen, MethodTrainer(65))) as (again,):
                await until(lambda: one.adapter in BlobStore(tmp_path / "A" / "blobs"))
                slow.hold.set()
                finals = await asyncio.wait_for(asyncio.gather(again, tasks[1]), PATIENCE)
        assert set(finals) == {host.rounds.state.start}
    assert not all_of(seen, events.Warned) and not all_of(seen, events.FederationPaused)


async def test_that_a_coordinator_that_starts_anew_in_every_round_comes_to_the_same_end(
    tmp_path: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And combining once more, as after a kill, gives the same bits, with what rounding has taken so far."""
    calm, history, _ = await ran(tmp_path / "calm", TWO, jobs)

    def twice(due: Combine, spec: FederationSpec, blobs: BlobStore, *_: object) -> RoundCombined:
        first, again = combine_stored(due, spec, blobs), combine_stored(due, spec, blobs)
        assert first == again and (due.lost is None) == (due.round == 1)
        return again

    monkeypatch.setattr("fedmed_desktop.coordinator.combining.combine_stored", twice)
    seen, trainers = list[events.Event](), {name: MethodTrainer(ord(name)) for name in "AB"}
    tasks, port = list[asyncio.Task[str]](), 0
    try:
        for number in (1, 2, 3, 4):
            async with coordinator(tmp_path / "c", TWO, seen, port, FIRST) as (host, port):
                if not tasks:
                    agents = [agent(tmp_path, name, port, jobs, seen, one) for name, one in trainers.items()]
                    tasks = [asyncio.create_task(one.run()) for one in agents]
                for trainer in trainers.values():
                    trainer.hold.set()
                await until(lambda: host.rounds.state.closed >= min(number, 3))  # noqa: B023
                for trainer in trainers.values():
                    trainer.hold.clear()
                if number == 4:
                    assert set(await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)) == {calm}
                    assert [one.difference for one in host.rounds.state.history] == [one.difference for one in history]
                    own = host.rounds.state.published() | host.rounds.state.parts() | {FIRST.sha256}
                    assert {path.name for path in host.blobs.folder.glob("*") if path.is_file()} == own
    finally:
        await stop(*tasks)


async def test_that_what_rounding_took_before_is_deleted_after_a_kill_too(tmp_path: Path, jobs: Jobs) -> None:
    _, history, seen = await ran(tmp_path, TWO, jobs)
    last = history[-1].lost
    before = {one.lost for one in history if one.lost} - {last}
    assert before and last
    kept = BlobStore(tmp_path / "c" / "blobs")
    assert not any(one in kept for one in before)
    for one in before:  # as if the coordinator had been killed before it could delete them
        (kept.folder / one).write_bytes(b"any")
    async with coordinator(tmp_path / "c", TWO, seen, initial=FIRST):
        assert not any(one in kept for one in before) and last in kept
