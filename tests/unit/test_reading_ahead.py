# SPDX-License-Identifier: Apache-2.0
"""Reading ahead while combining: the same modules in the same order, whoever asks for what, and damage all the same."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.lora import Adapter, BlobReader, Module
from fedmed_desktop.storage.adapters import Ahead
from tests.parts.federation import LORA

SHAPES = {f"layers.{at}.q_proj": (6, 5) for at in range(5)}
ADAPTER = Adapter.initial(SHAPES, 2, LORA.scale, seed=1)
NAMES = sorted(SHAPES)


class Counted:
    """Keeps what was read."""

    def __init__(self) -> None:
        self.names = ADAPTER.names
        self.read: list[str] = []

    def module(self, name: str) -> Module:
        self.read.append(name)
        return ADAPTER[name]


@pytest.fixture
def reading() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=1) as pool:
        yield pool


def test_that_each_module_is_read_once_and_the_next_before_it_is_asked_for(reading: ThreadPoolExecutor) -> None:
    source = Counted()
    ahead = Ahead(source, reading)
    for at, name in enumerate(NAMES):
        assert ahead.module(name) is ADAPTER[name] is ahead.module(name)
        reading.submit(lambda: None).result()
        assert source.read == NAMES[: at + 2]
    assert [ahead.module(name) for name in NAMES] == [ADAPTER[name] for name in NAMES]
    assert source.read == NAMES * 2


@given(order=st.lists(st.sampled_from(NAMES), max_size=12))
def test_that_any_order_gives_the_right_modules(order: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("blob") / "blob"
    path.write_bytes(ADAPTER.to_blob())
    with BlobReader(path, ADAPTER.sha256) as reader, ThreadPoolExecutor(max_workers=1) as pool:
        ahead = Ahead(reader, pool)
        for name in order:
            found = ahead.module(name)
            assert (found.A.tobytes(), found.B.tobytes()) == (ADAPTER[name].A.tobytes(), ADAPTER[name].B.tobytes())


@pytest.mark.parametrize("asked", [0, 1, len(NAMES)])
def test_that_damage_is_found_even_if_it_was_read_ahead_and_never_asked_for(asked: int, tmp_path: Path) -> None:
    data = bytearray(ADAPTER.to_blob())
    data[-60] ^= 1
    path = tmp_path / "blob"
    path.write_bytes(data)
    with (
        pytest.raises(UserFacingError, match=r"lora\.file_damaged"),
        BlobReader(path, ADAPTER.sha256) as reader,
        ThreadPoolExecutor(max_workers=1) as pool,
    ):
        ahead = Ahead(reader, pool)
        for name in NAMES[:asked]:
            ahead.module(name)
