# SPDX-License-Identifier: Apache-2.0
"""A site's data folder after a start that failed, and beside what people have put into it."""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from fedmed_desktop.cli.logs import _file_handler
from fedmed_desktop.cli.site import _unless_stopped
from fedmed_desktop.clinical.readers.cache import NotesCache
from fedmed_desktop.desktop.work.verdicts import folder_of
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation import part_actions as do
from fedmed_desktop.site import Jobs, SiteAgent
from fedmed_desktop.storage import BlobStore
from fedmed_desktop.storage.outbox import Outbox
from fedmed_desktop.storage.registry import Registry
from tests.parts.loopback import agent
from tests.parts.site import plan, result


async def test_that_a_site_that_could_not_begin_leaves_its_folder_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, now = Jobs(), datetime.now(UTC)
    first = agent(tmp_path, "A", 1, jobs, [])
    entry = first.outbox.put(plan(), result(plan()), now)
    first.outbox.decide(do.Record(entry.sha256, "approved", "ann", delay=timedelta(hours=1)), now)
    first.close()

    def full(*given: object) -> None:
        raise UserFacingError("storage.disk_full", path="site.sqlite", retryable=True)

    with monkeypatch.context() as patch:
        patch.setattr(Outbox, "decide", full)
        with pytest.raises(UserFacingError, match="disk_full"):
            await agent(tmp_path, "A", 1, jobs, []).run()
    again = agent(tmp_path, "A", 1, jobs, [])
    assert again.outbox.entry(entry.sha256).state == "approved"
    again.close()
    jobs.close()


def test_that_a_copy_that_somebody_has_made_of_a_checkpoint_is_left_alone(tmp_path: Path) -> None:
    jobs = Jobs()
    one = agent(tmp_path, "A", 1, jobs, [])
    folders = [tmp_path / "A" / "checkpoints" / name for name in ("round-1", "round-1 (copy)", "round-", "round-3")]
    for folder in folders:
        folder.mkdir(parents=True)
    one._driver.computing.forget_before(2)
    assert [folder.exists() for folder in folders] == [False, True, True, True]
    one.close()
    jobs.close()


def test_that_an_account_without_a_home_has_no_cache_and_reads_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fedmed_desktop.clinical.readers import reader_for

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    cache = NotesCache(least_bytes=0)
    path = tmp_path / "notes.jsonl"
    path.write_text('{"id": "a", "text": "x"}\n', "utf-8")
    for _ in range(2):
        assert [record.row for record in cache.records(path, reader_for(path))] == [1]
    assert cache.clear() == 0


def test_that_a_typed_home_of_nobody_is_a_path_that_is_not_there() -> None:
    assert (
        folder_of("~") == Path.home()
        and folder_of("~nobody-of-this-name/x") == Path("~nobody-of-this-name/x").absolute()
    )


@pytest.mark.parametrize("how", ["signal", "cancelled"])
async def test_that_a_site_ends_its_work_also_where_ctrl_c_is_no_signal(how: str) -> None:
    ended, began, stopped = asyncio.Event(), asyncio.Event(), asyncio.Event()

    class Agent:
        async def run(self) -> str:
            began.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()
            return ""

    task = asyncio.create_task(_unless_stopped(cast(SiteAgent, Agent()), stopped))
    await began.wait()
    stopped.set() if how == "signal" else task.cancel()
    assert (await asyncio.gather(task, return_exceptions=True) == [None]) == (how == "signal")
    assert ended.is_set(), "before the working thread is waited for"


def test_that_what_is_no_unicode_is_recorded_all_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    odd, now = "gepr\udcfcft", datetime.now(UTC)  # as Python has bytes of a terminal or a file system in Latin-1
    outbox = Outbox(tmp_path / "site.sqlite", BlobStore(tmp_path / "blobs"))
    entry = outbox.put(plan(), result(plan()), now)
    outbox.decide(do.Record(entry.sha256, "first_approved", odd, odd), now)
    outbox.close()
    again = Outbox(tmp_path / "site.sqlite", BlobStore(tmp_path / "blobs"))
    assert [(one.by, one.reason) for one in again.decisions()] == [("gepr?ft", "gepr?ft")]
    assert again.entry(entry.sha256).first_by == "gepr?ft"
    again.close()
    registry = Registry(tmp_path / "registry.sqlite")
    registry.invite("A", timedelta(days=1), now, odd)
    registry.revoke("A", now, odd, odd)
    registry.close()
    assert "gepr?ft: A is revoked" in caplog.messages
    handler = _file_handler(tmp_path / "log")
    handler.emit(logging.LogRecord("x", logging.INFO, "", 0, "the folder %s", (odd,), None))
    handler.close()
    assert json.loads((tmp_path / "log").read_text("utf-8"))["message"] == f"the folder {odd}"
