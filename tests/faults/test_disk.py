# SPDX-License-Identifier: Apache-2.0
"""Disks that are full or read-only: the federation pauses, says why, goes on serving, and continues by itself."""

from __future__ import annotations

import asyncio
import json
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fedmed_desktop import events
from fedmed_desktop.cli.coordinator import run as command_line
from fedmed_desktop.coordinator import Host
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation.inputs import Published, SiteJoined, TimePassed, UpdateArrived
from fedmed_desktop.federation.spec import BaseModelSpec, LoraSettings
from fedmed_desktop.files import write_durably
from fedmed_desktop.lora import Adapter
from fedmed_desktop.protocol.messages import Goodbye, Receipt, Standing
from fedmed_desktop.site import Jobs
from fedmed_desktop.storage import BlobStore
from fedmed_desktop.storage.outbox import Outbox
from tests.parts.federation import FINGERPRINT, INITIAL, NumpyTrainer, moved, result_of, small_spec
from tests.parts.hosting import audited
from tests.parts.loopback import PATIENCE, RawSite, agent, all_of, coordinator, running, until
from tests.unit.test_decided import BY

pytestmark = pytest.mark.integration

ONE = small_spec(rounds=1, sites=1, quorum=1)
TWO = small_spec(rounds=2, sites=2, quorum=2)


async def get(port: int, path: str) -> dict[str, Any]:
    def read() -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return dict(json.load(answer))

    return await asyncio.to_thread(read)


@contextmanager
def full_ledger(host: Host) -> Iterator[None]:
    """SQLite's own "disk full" inside the block: not one page more, and the last one filled."""
    database = host._ledger._database
    with database.transaction() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(UserFacingError):
        for _ in range(10_000):  # rows that mean nothing when they are fed again
            host._ledger.append(TimePassed(), datetime.now(UTC))
    yield
    with database.transaction() as connection:
        connection.execute("PRAGMA max_page_count = 1000000")


async def test_that_a_full_disk_pauses_the_federation_and_it_continues_by_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = list[events.Event]()
    async with coordinator(tmp_path, ONE, seen) as (host, port):
        host.retry = 0.05
        async with RawSite(port) as site:
            await site.join()
            plan = await site.plan()
            result = result_of(plan, INITIAL, moved(INITIAL, 1))
            with full_ledger(host):
                await site.offer(result)
                goodbye = await site.hear(Goodbye)
                assert goodbye.code == "storage.disk_full" and not goodbye.final
                assert host.rounds.state.updates == {}, "what is not in the ledger never counts"
                async with RawSite(port) as again:
                    await again.join()
                    told = await again.hear(Standing)
                    assert (told.phase, told.held_up) == ("paused", "storage.disk_full")
                    await again.say(again.offered(result.update, plan))
                    await again.hear(Goodbye)
                status = await get(port, "/status")
                assert (status["phase"], status["reason"]) == ("paused", "storage.disk_full")
                assert (await get(port, "/healthz"))["status"] == "ok"
                assert await asyncio.to_thread(command_line, ["--status", "--port", str(port)]) == 0
                said = capsys.readouterr().out
                assert "paused, round 1 of 1" in said and "The disk is full" in said
                await asyncio.sleep(0.2)  # tries that come to nothing
        await until(lambda: host.rounds.receipt_for("raw", 1) == result.update.sha256)
        await until(lambda: bool(all_of(seen, events.FederationResumed)))
        assert [event.reason for event in all_of(seen, events.FederationPaused)] == ["storage.disk_full"]
        async with RawSite(port) as site:
            await site.join()
            await site.say(site.offered(result.update, plan))
            await site.hear(Receipt)
        assert host._fault is not None and not host._fault.done()


@pytest.mark.parametrize("moment", ["a deadline", "a combination"])
async def test_that_what_the_coordinator_does_by_itself_is_tried_again(moment: str, tmp_path: Path) -> None:
    spec = small_spec(rounds=1, sites=1, quorum=1) if moment == "a combination" else small_spec(rounds=1, sites=2)
    clock = [datetime.now(UTC)]
    BlobStore(tmp_path / "blobs").write(INITIAL.to_blob())
    seen = list[events.Event]()
    host = Host(spec, tmp_path, seen.append, clock=lambda: clock[0])
    host.retry = 0.05
    await host.start()
    try:
        await _to_the_moment(moment, host, clock, seen)
    finally:
        await host.stop()


async def test_that_what_a_host_was_refused_for_a_full_disk_is_not_done_later(tmp_path: Path) -> None:
    """To publish ends the federation: who was told that it was not done may have thought better of it."""
    async with coordinator(tmp_path, small_spec(rounds=2, sites=1, quorum=1), []) as (host, _):
        host.retry = 0.01
        await host.apply(SiteJoined(site="A"))
        result = result_of(host.rounds.state.plans["A"], INITIAL, moved(INITIAL, 1))
        host.blobs.write(result.blobs["adapter"])
        await host.apply(UpdateArrived(site="A", update=result.update))
        await until(lambda: host.rounds.state.round == 2)
        before = host.rounds.dump()
        with full_ledger(host), pytest.raises(UserFacingError, match=r"storage.disk_full"):
            await host.apply(Published(adapter=host.rounds.state.start, by=BY))
        await asyncio.sleep(0.1)
        await host.settled()
        assert host.rounds.dump() == before and host.held_up.reason is None
    assert [row.stage for row in audited(tmp_path, "finished")] == ["intent", "failed"]


async def _to_the_moment(moment: str, host: Host, clock: list[datetime], seen: list[events.Event]) -> None:
    for site in "AB"[: host.spec.round.sites]:
        await host.apply(SiteJoined(site=site))
    result = result_of(host.rounds.state.plans["A"], INITIAL, moved(INITIAL, 1))
    if moment == "a combination":
        host.blobs.write(result.blobs["adapter"])
        append, full = host._ledger.append, [True]

        def unless_full(*given: Any) -> None:
            if full[0] and given[0].input == "combined":
                raise UserFacingError("storage.disk_full", path="x", retryable=True)
            append(*given)

        host._ledger.append = unless_full  # type: ignore[method-assign]
        await host.apply(UpdateArrived(site="A", update=result.update))
        await until(lambda: host.held_up.reason is not None)
        assert host.rounds.state.phase == "combining"
        full[0] = False
    else:
        with full_ledger(host):
            clock[0] += timedelta(hours=3)
            host._set_alarm()
            await until(lambda: host.held_up.reason is not None)
            assert host.rounds.state.attempt == 1
    await until(lambda: host.rounds.state.attempt == 2 or host.rounds.state.round == 2)
    await until(lambda: host.held_up.reason is None)
    assert len(all_of(seen, events.FederationPaused)) == len(all_of(seen, events.FederationResumed)) == 1


# -- a small disk of its own -------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 KiB, for three databases; skipped where this test may not mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", place], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def fill(disk: Path) -> Path:
    """Leaves not one byte on the disk; removing the file gives them back."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        while True:
            file.write(bytes(4096))
    return ballast


def test_that_a_federation_whose_disk_was_full_in_mid_round_ends_the_same(small_disk: Path, tmp_path: Path) -> None:
    async def to_the_end(folder: Path, sites: Path, meanwhile: Callable[[], object] | None) -> set[str]:
        slow, seen = NumpyTrainer(ord("B")), list[events.Event]()
        slow.hold.clear()
        async with coordinator(folder, TWO, seen) as (host, port):
            host.retry = 0.05
            agents = [agent(sites, "A", port, jobs, []), agent(sites, "B", port, other, [], slow)]
            async with running(*agents) as tasks:
                await until(lambda: list(host.rounds.state.updates) == ["A"])
                ballast = fill(folder) if meanwhile else None
                slow.hold.set()
                if ballast:
                    told = (events.FederationPaused, events.Warned)
                    await until(lambda: any(isinstance(event, told) for event in list(seen)))
                    await asyncio.sleep(0.3)
                    assert host.rounds.state.round == 1 and not any(task.done() for task in tasks)
                    ballast.unlink()
                return set(await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE))

    jobs, other = Jobs(), Jobs()
    try:
        calm = asyncio.run(to_the_end(tmp_path / "calm", tmp_path / "one", None))
        disturbed = asyncio.run(to_the_end(small_disk, tmp_path / "two", fill))
    finally:
        jobs.close()
        other.close()
    assert disturbed == calm and len(calm) == 1


async def test_that_a_combination_that_does_not_fit_is_made_again_once_there_is_room(small_disk: Path) -> None:
    """The ledger still has room for its rows, the next adapter has not."""
    await asyncio.to_thread(subprocess.run, ["mount", "-o", "remount,size=4m", small_disk], check=True)
    wide = {"model.layers.0.mlp.up_proj": (60_000, 8)}
    initial = Adapter.initial(wide, 4, 2.0, seed=0)
    base = BaseModelSpec(fingerprint=FINGERPRINT, initial=initial.sha256, modules=wide)
    spec = small_spec(rounds=1, sites=2, quorum=2, base=base, lora=LoraSettings(rank=4, alpha=8))
    seen = list[events.Event]()
    BlobStore(small_disk / "blobs").write(initial.to_blob())
    host = Host(spec, small_disk, seen.append)
    host.retry = 0.05
    await host.start()
    try:
        for site in "AB":
            await host.apply(SiteJoined(site=site))
        results = {
            site: result_of(plan, initial, moved(initial, ord(site))) for site, plan in host.rounds.state.plans.items()
        }
        for result in results.values():
            host.blobs.write(result.blobs["adapter"])
        ballast = fill(small_disk)
        with ballast.open("r+b") as file:
            file.truncate(ballast.stat().st_size - 400_000)
        for site, result in results.items():
            await host.apply(UpdateArrived(site=site, update=result.update))
        await until(lambda: host.held_up.code == "storage.disk_full")
        assert host.rounds.state.phase == "combining"
        assert not list((small_disk / "blobs" / "parts").iterdir()), "what did not fit takes no room"
        ballast.unlink()
        await until(lambda: host.rounds.state.round == 2)
        await until(lambda: host.held_up.code is None)
        assert len(all_of(seen, events.FederationPaused)) == len(all_of(seen, events.FederationResumed)) == 1
    finally:
        await host.stop()


def test_that_a_read_only_disk_is_called_so(small_disk: Path) -> None:
    store = BlobStore(small_disk / "blobs")
    Outbox(small_disk / "site.sqlite", store).close()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    attempts: list[Callable[[], object]] = [
        lambda: BlobStore(small_disk / "new"),
        lambda: BlobStore(small_disk / "blobs"),
        lambda: store.write(b"adapter"),
        lambda: write_durably(small_disk / "token", b"x"),
        lambda: Outbox(small_disk / "site.sqlite", store),
        lambda: Outbox(small_disk / "other.sqlite", store),
    ]
    for number, attempt in enumerate(attempts):
        with pytest.raises(UserFacingError) as caught:
            attempt()
        assert (number, caught.value.code) == (number, "storage.read_only") and caught.value.retryable
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    Outbox(small_disk / "site.sqlite", store).close()
