# SPDX-License-Identifier: Apache-2.0
"""Deadlines over real sockets: bytes are progress, a site that shows none is told of, and `--status` has all five."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from fedmed_desktop import events
from fedmed_desktop.cli.coordinator import _status_lines
from fedmed_desktop.coordinator import CoordinatorServer, Host
from fedmed_desktop.federation.spec import RoundSettings
from fedmed_desktop.protocol.messages import Progress, Standing, Want
from fedmed_desktop.storage import BlobStore
from tests.parts.federation import INITIAL, small_spec
from tests.parts.loopback import RawSite, all_of, until

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
            lines = "\n".join(_status_lines(server.status()))
            assert "download: 10 min without progress, until" in lines and "for raw" in lines
            assert all(f"  {name}: " in lines for name in ("join", "train", "approve", "upload"))

            await site.say(Progress(round=1, phase="training"))
            await until(lambda: not server.status()["deadlines"]["download"]["sites"])  # type: ignore[index]
            now += 6 * MINUTE
            host.progress.look()
            assert "raw: connected, no progress for 6 min" in "\n".join(_status_lines(server.status()))
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
