# SPDX-License-Identifier: Apache-2.0
"""Backups of a coordinator that runs, what they restore, and the check of a ledger."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from fedmed_desktop import events
from fedmed_desktop.cli import main
from fedmed_desktop.coordinator.errands import Errands
from fedmed_desktop.federation.work import Entry
from fedmed_desktop.site import Jobs, RuleApprover, Verdict
from tests.integration.test_air_gap import online
from tests.parts.federation import INITIAL, small_spec
from tests.parts.loopback import agent, coordinator, running, until

TWO = small_spec(rounds=2, sites=2, quorum=2)


class UndecidedInRound2(RuleApprover):
    async def decide(self, entry: Entry) -> Verdict:
        if entry.plan.round == 2:
            await asyncio.Future()
        return await super().decide(entry)


async def commanded(*arguments: object) -> int:
    """A command beside the coordinator, which runs on this loop."""
    return await asyncio.to_thread(main, [str(argument) for argument in arguments])


async def test_that_a_backup_of_a_running_coordinator_goes_on_to_the_same_end(
    tmp_path: Path, jobs: Jobs, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = await online(tmp_path / "whole", TWO, jobs)
    sites = tmp_path / "sites"
    async with coordinator(tmp_path / "c", TWO, []) as (host, port):
        errands = asyncio.create_task(Errands(host, tmp_path / "c", lambda event: None).watch())
        far = agent(sites, "Far Clinic", port, jobs, [], approver=UndecidedInRound2("test rule"))
        async with running(far, agent(sites, "Near", port, jobs, [])):
            await until(lambda: host.rounds.state.round == 2 and "Near" in host.rounds.state.updates)
            assert await commanded("--backup", tmp_path / "backup", "--data-dir", tmp_path / "c") == 0
            assert await commanded("--backup", tmp_path / "backup.tar", "--data-dir", tmp_path / "c") == 0
            assert await commanded("--backup", tmp_path / "backup", "--data-dir", tmp_path / "c") == 2
            assert await commanded("--verify-ledger", tmp_path / "c") == 2
            assert "A coordinator is running with" in (said := capsys.readouterr()).err
            assert (
                f"in the folder {tmp_path / 'backup'} (" in said.out and f"in {tmp_path / 'backup.tar'} (" in said.out
            )
        errands.cancel()
    assert not list((tmp_path / "c" / "errands").iterdir())
    assert main(["--verify-ledger", str(tmp_path / "backup")]) == 0
    assert "Whole: " in capsys.readouterr().out
    assert main(["--verify-ledger", str(tmp_path / "backup.tar")]) == 2
    assert "Unpack it" in capsys.readouterr().err
    with tarfile.open(tmp_path / "backup.tar") as tar:
        names = set(tar.getnames())
    assert {"coordinator.sqlite", "registry.sqlite", "audit.sqlite", "identity.json", "identity.key"} <= names
    for path in (tmp_path / "backup").rglob("*"):
        assert path.is_dir() or path.stat().st_mode & 0o077 == 0, path
    shutil.rmtree(tmp_path / "c")
    async with coordinator(tmp_path / "backup", TWO, []) as (host, port):
        assert set(host.rounds.state.updates) == {"Near"}
        async with running(agent(sites, "Far Clinic", port, jobs, []), agent(sites, "Near", port, jobs, [])) as tasks:
            async with asyncio.timeout(20):
                assert set(await asyncio.gather(*tasks)) == {expected}


async def test_that_sites_send_again_what_a_coordinator_that_goes_on_from_an_older_backup_has_lost(
    tmp_path: Path, jobs: Jobs
) -> None:
    """They hold receipts for all of it: without that, nobody would ever answer a restored coordinator."""
    sites = tmp_path / "sites"
    async with coordinator(tmp_path / "c", TWO, []) as (host, port):
        errands = asyncio.create_task(Errands(host, tmp_path / "c", lambda event: None).watch())
        async with running(agent(sites, "Near", port, jobs, [])) as [near]:
            await until(lambda: host.rounds.state.sites == ["Near"])
            assert await commanded("--backup", tmp_path / "backup", "--data-dir", tmp_path / "c") == 0
            async with running(agent(sites, "Far Clinic", port, jobs, [])) as [far], asyncio.timeout(20):
                expected = await far
                assert await near == expected
        errands.cancel()
    seen = list[events.Event]()
    async with coordinator(tmp_path / "backup", TWO, []) as (host, port):
        assert not host.rounds.state.plans
        again = agent(sites, "Far Clinic", port, jobs, seen), agent(sites, "Near", port, jobs, [])
        async with running(*again) as tasks, asyncio.timeout(20):
            assert set(await asyncio.gather(*tasks)) == {expected}
    phases = [event.phase for event in seen if isinstance(event, events.PhaseChanged) and event.round]
    assert phases == ["uploading", "sent"] * 3, "nothing is trained, scored or decided a second time"


async def test_that_a_backup_is_made_of_a_coordinator_that_does_not_run(tmp_path: Path, jobs: Jobs) -> None:
    await online(tmp_path, TWO, jobs)
    others = tmp_path / "b.partial" / "of_years.txt"  # in a folder that a person chose, anything may lie beside it
    others.parent.mkdir()
    others.touch()
    assert await commanded("--backup", tmp_path / "b", "--data-dir", tmp_path / "c") == 0
    assert others.exists()
    assert await commanded("--verify-ledger", tmp_path / "b") == 0
    assert await commanded("--verify-audit", tmp_path / "b") == 0


def test_that_a_folder_without_a_ledger_is_named_as_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--verify-ledger", str(tmp_path / "none")]) == 2
    assert f"with the folder {tmp_path / 'none'}." in capsys.readouterr().err


def _wrong_blob(folder: Path) -> None:
    path = folder / "blobs" / INITIAL.sha256
    path.write_bytes(path.read_bytes()[:-1] + b"?")


def _lost_blob(folder: Path) -> None:
    (folder / "blobs" / INITIAL.sha256).unlink()


def _wrong_row(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "coordinator.sqlite")) as connection, connection:
        connection.execute("UPDATE inputs SET body = body || ' ' WHERE seq = 2")


def _lost_row(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "coordinator.sqlite")) as connection, connection:
        connection.execute("DELETE FROM inputs WHERE seq = (SELECT MAX(seq) FROM inputs)")


def _wrong_dump(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "coordinator.sqlite")) as connection, connection:
        connection.execute("UPDATE dumps SET body = replace(body, 'open', 'paused')")


def _other_signature(folder: Path) -> None:
    """A chain that somebody wrote anew, whole, with one digit of a signature changed."""
    from fedmed_desktop.storage.ledger import _chains

    with closing(sqlite3.connect(folder / "coordinator.sqlite")) as connection, connection:
        seq, body = connection.execute("SELECT seq, body FROM inputs WHERE body LIKE '%signature%' LIMIT 1").fetchone()
        at = body.index('"signature":"') + len('"signature":"')
        changed = body[:at] + ("1" if body[at] == "0" else "0") + body[at + 1 :]
        connection.execute("UPDATE inputs SET body = ? WHERE seq = ?", (changed, seq))
        connection.execute("DELETE FROM dumps")
        (spec,) = connection.execute("SELECT body FROM spec").fetchone()
        _chains(spec)[0].link_all(connection)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_wrong_blob, "is damaged"),
        (_lost_blob, "is not on this disk"),
        (_wrong_row, "row 2 of its table inputs"),
        (_lost_row, "is missing"),
        (_wrong_dump, "table dumps"),
        (_other_signature, "did not sign"),
    ],
)
async def test_that_what_is_wrong_with_a_ledger_is_named(
    spoil: object, words: str, tmp_path: Path, jobs: Jobs, capsys: pytest.CaptureFixture[str]
) -> None:
    await online(tmp_path, TWO, jobs)
    assert await commanded("--verify-ledger", tmp_path / "c") == 0
    spoil(tmp_path / "c")  # type: ignore[operator]
    before = {path: path.read_bytes() for path in (tmp_path / "c").rglob("*") if path.is_file()}
    capsys.readouterr()
    assert await commanded("--verify-ledger", tmp_path / "c") == 1
    said = capsys.readouterr().out
    assert said.startswith("Broken. ") and words in said
    assert before == {path: path.read_bytes() for path in before}
