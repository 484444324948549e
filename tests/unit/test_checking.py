# SPDX-License-Identifier: Apache-2.0
"""The coordinator's checks of an update against the round's start, which is not hashed anew for every site."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from fedmed_desktop.coordinator.checking import Checking
from fedmed_desktop.coordinator.held_up import HeldUp
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation import Plan
from fedmed_desktop.lora import part_reader
from fedmed_desktop.storage import BlobStore
from tests.parts.federation import INITIAL, LORA, moved, result_of, small_spec

PLAN = Plan.model_validate(
    {"round": 1, "start": INITIAL.sha256, "rank": LORA.rank, "training": {"steps": 9}, "seed": 1}
)
RESULT = result_of(PLAN, INITIAL, moved(INITIAL, 1))


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    store = BlobStore(tmp_path)
    store.write(INITIAL.to_blob())
    store.write(RESULT.blobs["adapter"])
    return store


@pytest.fixture
def checking(blobs: BlobStore) -> Checking:
    return Checking(small_spec(), blobs, HeldUp(lambda event: None, lambda: 1, lambda: None))


async def test_that_a_start_is_hashed_once_however_many_sites_ask_for_it_at_once(
    checking: Checking, blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed, is_whole = list[str](), blobs.is_whole
    monkeypatch.setattr(blobs, "is_whole", lambda sha256: (hashed.append(sha256), is_whole(sha256))[1])
    paths = await asyncio.gather(*(checking.whole(1, INITIAL.sha256) for _ in range(5)))
    assert paths == [blobs.path(INITIAL.sha256)] * 5 and hashed == [INITIAL.sha256]


async def check(checking: Checking, blobs: BlobStore) -> None:
    await checking.check_part("adapter", PLAN, RESULT.update, blobs.path(RESULT.update.parts["adapter"].sha256))


async def test_that_a_start_that_was_hashed_for_a_download_is_not_hashed_again_for_each_update(
    checking: Checking, blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []
    begun = part_reader._Seen.__init__
    monkeypatch.setattr(
        part_reader._Seen, "__init__", lambda self, sha256: (hashed.append(sha256), begun(self, sha256))[1]
    )
    await check(checking, blobs)
    assert INITIAL.sha256 in hashed
    hashed.clear()
    await checking.whole(1, INITIAL.sha256)
    await check(checking, blobs)
    assert hashed == [RESULT.update.parts["adapter"].sha256]
    blobs.path(INITIAL.sha256).touch()
    await check(checking, blobs)
    assert INITIAL.sha256 in hashed


async def test_that_no_site_is_blamed_for_a_start_that_has_changed_unseen(checking: Checking, blobs: BlobStore) -> None:
    await checking.whole(1, INITIAL.sha256)
    path = blobs.path(INITIAL.sha256)
    before, data = path.stat(), bytearray(path.read_bytes())
    data[-1] ^= 64
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(UserFacingError) as caught:
        await check(checking, blobs)
    assert caught.value.code == "coordinator.lost_adapter" and caught.value.retryable
