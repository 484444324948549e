# SPDX-License-Identifier: Apache-2.0
"""Audit chains of a federation over real sockets: both sides write down the same story, and no note's text."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fedmed_desktop import events
from fedmed_desktop.coordinator.auditing import decided
from fedmed_desktop.coordinator.inviting import issue
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation import part
from fedmed_desktop.lora import Adapter
from fedmed_desktop.protocol.messages import Goodbye
from fedmed_desktop.site import Jobs
from fedmed_desktop.storage.audit import FILE
from fedmed_desktop.storage.audit_file import Row, verify_audit
from fedmed_desktop.storage.audit_row import AuditEntry
from fedmed_desktop.storage.registry import REGISTRY_FILE, Registry
from fedmed_desktop.storage.secrets import load_key
from tests.parts.federation import INITIAL, NumpyTrainer, moved, result_of, small_spec
from tests.parts.loopback import PATIENCE, RawSite, agent, all_of, coordinator, running, until
from tests.parts.told import told_as

ONE = small_spec(rounds=1, sites=1, quorum=1)


def story(path: Path) -> list[tuple[str, str, int]]:
    return [(row["action_code"], row["stage"], row["round"]) for row in rows(path)]


def rows(path: Path) -> tuple[Row, ...]:
    verdict = verify_audit(path)
    assert verdict.fault is None
    return verdict.file.rows


async def test_that_both_sides_tell_the_same_story(tmp_path: Path, jobs: Jobs) -> None:
    async with coordinator(tmp_path / "c", ONE, []) as (host, port):
        final = await asyncio.wait_for(agent(tmp_path, "A", port, jobs, []).run(), PATIENCE)
        update = host.rounds.state.history[0].sites["A"].sha256
    site = story(tmp_path / "A")
    of_round_1 = [(action, stage) for action, stage, number in site if number == 1]
    assert of_round_1 == [
        ("plan_received", "done"),
        ("adapter_verified", "done"),
        ("training_began", "intent"),
        ("training_ended", "done"),
        ("approved", "intent"),
        ("approved", "done"),
        ("released", "intent"),
        ("released", "done"),
        ("upload_began", "intent"),
        ("receipt_verified", "done"),
    ]
    assert site[0][0] == "started" and site[-1][0] == "stopped"
    approved = [row for row in rows(tmp_path / "A") if row["action_code"] == "approved"]
    assert {row["object_hash"] for row in approved if row["round"] == 1} == {update}
    assert {row["reason"] for row in approved} == {"test rule"}
    host_story = story(tmp_path / "c")
    for told in (
        ("round_opened", "done", 1),
        ("update_accepted", "intent", 1),
        ("update_accepted", "done", 1),
        ("round_closed", "done", 1),
        ("adapter_published", "intent", 1),
        ("adapter_published", "done", 1),
        ("finished", "done", 2),
    ):
        assert host_story.count(told) == 1, told
    published = [row["object_hash"] for row in rows(tmp_path / "c") if row["action_code"] == "adapter_published"]
    assert set(published) == {final}
    assert [row["peer"] for row in rows(tmp_path / "c") if row["action_code"] == "joined"] == ["A"]
    assert all(row["reason"] == "" for row in rows(tmp_path / "c"))


async def test_that_what_is_refused_and_declined_is_written_down_on_both_sides(tmp_path: Path, jobs: Jobs) -> None:
    wrong = NumpyTrainer(1, change=lambda adapter: Adapter.initial(adapter.shapes, 5, 1.0, seed=0))
    async with (
        coordinator(tmp_path / "c", ONE, []) as (host, port),
        running(agent(tmp_path, "A", port, jobs, [], wrong)),
    ):
        await until(lambda: host.rounds.state.phase == "paused")
    for folder in ("c", "A"):
        found = {row["action_code"]: row for row in rows(tmp_path / folder)}
        assert found["declined"]["after"] == "failed"
        refused = found["update_refused"]
        assert (refused["after"], refused["reason"]) == (
            ("update.wrong_rank", "") if folder == "c" else ("refused", "update.wrong_rank")
        )
    paused = next(row for row in rows(tmp_path / "c") if row["action_code"] == "paused")
    assert paused["after"] == "quorum"


async def test_that_intents_without_a_result_are_ended_at_the_next_start(tmp_path: Path, jobs: Jobs) -> None:
    async with coordinator(tmp_path / "c", ONE, []) as (host, port):
        await asyncio.wait_for(agent(tmp_path, "A", port, jobs, []).run(), PATIENCE)
        update = host.rounds.state.history[0].sites["A"].sha256
        about = {"action_code": "update_accepted", "role": "coordinator", "stage": "intent", "round": 1, "peer": "A"}
        for sha256 in (update, "0" * 64):
            host.trail.audit.append(AuditEntry(**about, object_hash=sha256), now=datetime.now(UTC))
    async with coordinator(tmp_path / "c", ONE, []):
        pass
    ended = [(row["object_hash"], row["stage"]) for row in rows(tmp_path / "c")][-4:-2]
    assert ended == [(update, "done"), ("0" * 64, "failed")]


async def test_that_an_update_waits_for_a_chain_that_takes_no_entry(tmp_path: Path, jobs: Jobs) -> None:
    seen: list[events.Event] = []
    async with coordinator(tmp_path / "c", ONE, seen) as (host, port):
        host.retry = 0.05
        append, full = host.trail.audit.append, [True]

        def unless_full(*entries: AuditEntry, now: datetime) -> str:
            if full[0]:
                raise UserFacingError("storage.disk_full", path="x", retryable=True)
            return append(*entries, now=now)

        host.trail.audit.append = unless_full  # type: ignore[method-assign]
        async with running(agent(tmp_path, "A", port, jobs, [])) as (task,):
            await until(lambda: bool(all_of(seen, events.FederationPaused)))
            assert host.rounds.state.updates == {}, "what is in no chain does not count"
            full[0] = False
            await asyncio.wait_for(task, PATIENCE)
    told = [(row["action_code"], row["after"]) for row in rows(tmp_path / "c")]
    assert ("paused", "storage.disk_full") in told


async def test_that_a_site_with_a_full_disk_goes_on_once_there_is_room(
    tmp_path: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, "_FIRST_RETRY", timedelta(milliseconds=50))
    seen: list[events.Event] = []
    async with coordinator(tmp_path / "c", ONE, []) as (_, port):
        site = agent(tmp_path, "A", port, jobs, seen)
        database = site._driver.audit._database
        write, left = database.transaction, [3]

        @contextmanager
        def sometimes() -> Iterator[sqlite3.Connection]:
            left[0] -= 1
            if left[0] in (0, -1, -4):
                raise UserFacingError("storage.disk_full", path="x", retryable=True)
            with write() as connection:
                yield connection

        database.transaction = sometimes  # type: ignore[method-assign]
        await asyncio.wait_for(site.run(), PATIENCE)
    told = story(tmp_path / "A")
    for action in ("plan_received", "training_began", "approved", "released", "receipt_verified"):
        assert (action, 1) in [(one, number) for one, _, number in told]


async def test_that_each_side_holds_the_other_s_heads_so_that_no_end_is_cut_off_unseen(
    tmp_path: Path, jobs: Jobs
) -> None:
    async with coordinator(tmp_path / "c", small_spec(rounds=2, sites=1, quorum=1), []) as (host, port):
        await asyncio.wait_for(agent(tmp_path, "A", port, jobs, []).run(), PATIENCE)
        own, (joined, *_) = host.key.fingerprint, [r for r in rows(tmp_path / "A") if r["action_code"] == "joined"]
    assert joined["object_hash"] == host.federation
    assert {row["host_id"] for row in rows(tmp_path / "c")} == {own}
    assert {row["host_id"] for row in rows(tmp_path / "A")} == {"", load_key(tmp_path / "A", "site")[0].fingerprint}
    assert verify_audit(tmp_path / "A", tmp_path / "c").compared == 9  # an intent, a result and a receipt each, thrice
    for folder, entries in (("A", 20), ("c", 8)):
        cut_off(tmp_path / folder, entries)
        other = "c" if folder == "A" else "A"
        found = verify_audit(tmp_path / folder, tmp_path / other).fault
        assert found and found.code == "audit.cut_off" and found.params["path"] == str(tmp_path / folder / FILE)
        (tmp_path / folder / FILE).unlink()
        (tmp_path / folder / "whole").rename(tmp_path / folder / FILE)


def cut_off(folder: Path, entries: int) -> None:
    """Cuts off the end, with all traces of it; what was there is left as `whole`."""
    shutil.copy(folder / FILE, folder / "whole")
    with closing(sqlite3.connect(folder / FILE)) as connection, connection:
        connection.execute("DELETE FROM entries WHERE seq > ?", (entries,))
        connection.execute("UPDATE sqlite_sequence SET seq = ?", (entries,))
    assert verify_audit(folder).fault is None


async def test_that_a_forged_signature_is_written_down(tmp_path: Path) -> None:
    async with coordinator(tmp_path, ONE, []) as (_, port), RawSite(port) as site:
        await site.join()
        result = result_of(await site.plan(), INITIAL, moved(INITIAL, 1))
        await site.say(site.offered(result.update).model_copy(update={"signature": "1" * 128}))
        assert (await site.hear(Goodbye)).code == "protocol.signature"
    found = [(row["before"], row["peer"]) for row in rows(tmp_path) if row["action_code"] == "signature_refused"]
    assert found == [("offer", "raw")]


async def test_that_a_start_says_nothing_of_a_decision_that_the_host_is_just_taking(tmp_path: Path) -> None:
    async with coordinator(tmp_path, ONE, []) as (_, port), RawSite(port) as site:
        await site.join()
    with (
        closing(Registry(tmp_path / REGISTRY_FILE)) as registry,
        decided(tmp_path, registry, "revoked", "raw", "host"),
    ):
        async with coordinator(tmp_path, ONE, []):
            registry.revoke("raw", datetime.now(UTC), "host")
    assert [row["stage"] for row in rows(tmp_path) if row["action_code"] == "revoked"] == ["intent", "done"]


async def test_that_a_registry_that_was_lost_is_none_that_an_invitation_has_made_anew(tmp_path: Path) -> None:
    async with coordinator(tmp_path, ONE, []):
        pass
    (tmp_path / REGISTRY_FILE).unlink()
    issue(tmp_path, "A", timedelta(days=1), datetime.now(UTC), "host", out=tmp_path, address="localhost:1")
    with told_as("is missing or empty"):
        async with coordinator(tmp_path, ONE, []):
            pass


async def test_that_a_coordinator_does_not_begin_a_lost_chain_anew(tmp_path: Path) -> None:
    async with coordinator(tmp_path, ONE, []):
        pass
    (tmp_path / FILE).unlink()
    with told_as("is missing or empty"):
        async with coordinator(tmp_path, ONE, []):
            pass
