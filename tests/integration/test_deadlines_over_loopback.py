# SPDX-License-Identifier: Apache-2.0
"""Deadlines over real sockets: bytes are progress, a site that shows none is told of, and `--status` has all five."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fedmed_desktop import events
from fedmed_desktop.cli.status import status_lines
from fedmed_desktop.coordinator import CoordinatorServer, Host
from fedmed_desktop.federation import Control, Given, LocalResult, Plan
from fedmed_desktop.federation.spec import RoundSettings
from fedmed_desktop.federation.work import Emit
from fedmed_desktop.protocol.messages import Progress, Receipt, Standing, Want
from fedmed_desktop.protocol.transfer import Chunk
from fedmed_desktop.site import Jobs
from fedmed_desktop.storage import BlobStore
from tests.parts.federation import INITIAL, NumpyTrainer, moved, result_of, small_spec
from tests.parts.loopback import PATIENCE, RawSite, agent, all_of, coordinator, until

MINUTE = timedelta(minutes=1)


async def test_that_bytes_and_repeated_phases_are_progress_and_their_absence_is_shown(tmp_path: Path) -> None:
    BlobStore(tmp_path / "blobs").write(INITIAL.to_blob())
    now, seen = datetime.now(UTC) - 9 * MINUTE, list[events.Event]()  # --status counts to the real time
    times = RoundSettings(sites=1, quorum=1, download_minutes=10, training_minutes=100)
    host = Host(small_spec(sites=1, quorum=1, round=times), tmp_path, seen.append, lambda: now)
    try:
        async with CoordinatorServer(host, "127.0.0.1", 0, seen.append) as server, RawSite(server.port) as site:
            await host.start()
            await site.join()
            plan = await site.plan()
            now += 3 * MINUTE
            await site.say(Want(sha256=plan.start))
            await until(lambda: bool(server.status()["deadlines"]["download"]["sites"]))  # type: ignore[index]
            lines = "\n".join(status_lines(server.status()))
            assert "download: 10 min without progress, until" in lines and "for raw" in lines
            assert all(f"  {name}: " in lines for name in ("join", "train", "approve", "upload"))

            await site.say(Progress(round=1, phase="training"))
            await until(lambda: not server.status()["deadlines"]["download"]["sites"])  # type: ignore[index]
            now += 6 * MINUTE
            host.progress.look()
            assert "raw: connected, no progress for 6 min" in "\n".join(status_lines(server.status()))
            told = await site.hear(Standing)
            while not told.quiet:
                told = await site.hear(Standing)
            assert (told.quiet, told.quiet_since) == (1, now - 6 * MINUTE)

            await site.say(Progress(round=1, phase="training"))
            await until(lambda: len(all_of(seen, events.SiteQuiet)) == 2)
            assert [one.since for one in all_of(seen, events.SiteQuiet)] == [now - 6 * MINUTE, None]
            phases = [one.phase for one in all_of(seen, events.SiteSeen) if one.state == "phase"]
            assert phases == ["training"], "a sign of work is no news for faces"
    finally:
        await host.stop()


async def test_that_an_upload_that_moves_is_waited_for_and_one_that_stops_is_not(tmp_path: Path) -> None:
    BlobStore(tmp_path / "blobs").write(INITIAL.to_blob())
    now, seen = datetime.now(UTC), list[events.Event]()
    times = RoundSettings(sites=2, quorum=1, training_minutes=30, upload_minutes=10)
    host = Host(small_spec(sites=2, quorum=1, round=times), tmp_path, seen.append, lambda: now)
    try:
        async with (
            CoordinatorServer(host, "127.0.0.1", 0, seen.append) as server,
            RawSite(server.port, "quick", "q" * 64) as quick,
            RawSite(server.port, "slow", "s" * 64) as slow,
        ):
            await host.start()
            await quick.join()
            await slow.join()
            plan = await quick.plan()
            await quick.offer(result_of(plan, INITIAL, moved(INITIAL, 1)))
            await quick.hear(Receipt)

            result = result_of(await slow.plan(), INITIAL, moved(INITIAL, 2))
            await slow.say(slow.offered(result.update))
            want = await slow.hear(Want)
            now += 29 * MINUTE
            data = result.blobs["adapter"]
            await slow.say(Chunk(want.sha256, 0, len(data), data[:200]).encode())
            await until(lambda: bool(server.status()["deadlines"]["upload"]["sites"]))  # type: ignore[index]

            now += 5 * MINUTE  # past the time for training, but bytes came five minutes ago
            await host._ring(0)
            assert host.rounds.state.phase == "open"
            now += 5 * MINUTE
            await host._ring(0)
            (closed,) = all_of(seen, events.RoundClosed)
            assert (closed.reason, closed.updates) == ("upload", 1)
            await until(lambda: bool(host.rounds.state.history))
            assert host.rounds.state.history[0].reason == "upload"
            assert "uploads" in "\n".join(status_lines(server.status()))
    finally:
        await host.stop()


class Stepping(NumpyTrainer):
    """Tells of four steps, like a real trainer."""

    def train_round(self, plan: Plan, given: Given, checkpoints: Path, emit: Emit, control: Control) -> LocalResult:
        emit(events.PhaseChanged(site="A", round=plan.round, phase="training"))
        for step in range(4):
            emit(
                events.TrainingStep(
                    site="A", round=plan.round, step=step + 1, steps=4, loss=1.0, learning_rate=1e-3,
                    tokens_per_second=1.0, memory_mib=1.0,
                )
            )  # fmt: skip
        return super().train_round(plan, given, checkpoints, emit, control)


@pytest.mark.parametrize(("every", "signs"), [(0.0, 5), (3600.0, 1)])
async def test_that_a_site_that_trains_gives_signs_but_no_more_than_one_in_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: float, signs: int
) -> None:
    monkeypatch.setattr("fedmed_desktop.site.driver._SIGN_EVERY", every)
    seen, told = list[events.Event](), list[tuple[str, int, str]]()
    jobs = Jobs()
    try:
        async with coordinator(tmp_path / "c", small_spec(rounds=1, sites=1, quorum=1), seen) as (host, port):
            heard = host.progress.told
            monkeypatch.setattr(host.progress, "told", lambda *said: (told.append(said), heard(*said)))
            await asyncio.wait_for(agent(tmp_path, "A", port, jobs, seen, Stepping()).run(), PATIENCE)
    finally:
        jobs.close()
    assert told.count(("A", 1, "training")) == signs
    phases = [one.phase for one in all_of(seen, events.SiteSeen) if one.round == 1 and one.phase == "training"]
    assert phases == ["training"]
