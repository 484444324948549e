# SPDX-License-Identifier: Apache-2.0
"""Old updates are deleted by rule: never what a round needs, and a restart goes on from what is left."""

from __future__ import annotations

import asyncio
from pathlib import Path

from fedmed_desktop.cli import main
from fedmed_desktop.coordinator import CoordinatorServer, Host
from fedmed_desktop.coordinator.verifying import verify_ledger
from fedmed_desktop.site import Jobs
from fedmed_desktop.storage import BlobStore
from fedmed_desktop.storage.audit_file import read_audit
from tests.integration.test_backup import UndecidedInRound2
from tests.parts.federation import INITIAL, moved, result_of, small_spec
from tests.parts.loopback import RawSite, agent, running, until

TWO = small_spec(rounds=4, sites=2, quorum=2)


async def served(folder: Path, jobs: Jobs, keep: int | None, hold: bool = False) -> Host:
    """The federation until its end, or until one site holds round 2 up."""
    host = Host(TWO, folder / "c", lambda event: None, keep_updates=keep)
    try:
        async with CoordinatorServer(host, "127.0.0.1", 0, lambda event: None) as server:
            await host.start()
            approver = UndecidedInRound2("test rule") if hold else None
            sites = [agent(folder, name, server.port, jobs, [], approver=approver) for name in ("A", "B")]
            async with running(*sites) as tasks, asyncio.timeout(20):
                if hold:
                    await until(lambda: len(host.rounds.state.awaiting) == 2)
                else:
                    await asyncio.gather(*tasks)
    finally:
        await host.stop()
    return host


def blobs(folder: Path) -> set[str]:
    return {path.name for path in (folder / "c" / "blobs").iterdir() if path.is_file()}


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in (folder / "c" / "blobs" / "parts").iterdir()]


async def test_that_old_updates_go_and_a_restart_goes_on_to_the_same_end(tmp_path: Path, jobs: Jobs) -> None:
    finals = []
    for name, keep in (("all", None), ("one", 1), ("none", 0)):
        folder = tmp_path / name
        BlobStore(folder / "c" / "blobs").write(INITIAL.to_blob())
        await served(folder, jobs, keep, hold=True)
        stray = BlobStore(folder / "c" / "blobs").write(b"measured, and refused")
        await served(folder, jobs, keep)
        host = await served(folder, jobs, keep)  # what was still being offered goes at the next start
        state = host.rounds.state
        finals.append(state.start)
        assert state.phase == "finished"
        assert (stray in blobs(folder)) == (keep is None)
        expected = {INITIAL.sha256} | state.published() | state.parts(keep) | ({stray} if keep is None else set())
        assert blobs(folder) == expected and not leftovers(folder)
        verdict = verify_ledger(folder / "c")
        assert not verdict.faults and verdict.gone == (0 if keep is None else 2 * (4 - keep))
        pruned = [row for row in read_audit(folder / "c").rows if row["action_code"] == "pruned"]
        assert bool(pruned) == (keep is not None)
    assert len(set(finals)) == 1


async def test_that_what_is_being_offered_is_not_deleted(tmp_path: Path) -> None:
    store = BlobStore(tmp_path / "c" / "blobs")
    store.write(INITIAL.to_blob())
    host = Host(small_spec(sites=1, quorum=1), tmp_path / "c", lambda event: None, keep_updates=0)
    async with CoordinatorServer(host, "127.0.0.1", 0, lambda event: None) as server:
        await host.start()
        async with RawSite(server.port) as site:
            await site.join()
            result = result_of(await site.plan(), INITIAL, moved(INITIAL, 1))
            other = store.write(b"of nobody")
            await site.say(site.offered(result.update))
            await until(lambda: any(one.parts() for one in host.pruning._offers))
            sha256 = store.write(result.blobs["adapter"])
            await host.pruning.prune()
            assert sha256 in store and other not in store
    await host.stop()


def test_that_the_rule_is_an_option(tmp_path: Path) -> None:
    assert main(["--coordinator", "--status", "--keep-updates", "all", "--port", "1"]) == 2
