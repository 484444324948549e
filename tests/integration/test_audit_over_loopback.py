# SPDX-License-Identifier: Apache-2.0
"""Audit chains of a federation over real sockets: both sides write down the same story, and no note's text."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fedmed_desktop import events
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation import part
from fedmed_desktop.lora import Adapter
from fedmed_desktop.site import Jobs
from fedmed_desktop.storage.audit_file import Row, verify_audit
from fedmed_desktop.storage.audit_row import AuditEntry
from tests.parts.federation import NumpyTrainer, small_spec
from tests.parts.loopback import PATIENCE, agent, all_of, coordinator, running, until

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
