# SPDX-License-Identifier: Apache-2.0
"""Reading ahead while combining: the same modules in the same order, whoever asks for what, and damage all the same."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.lora import Adapter, BlobReader, Module
from fedmed_desktop.storage.read_ahead import Ahead, InThread
from tests.parts.federation import LORA

SHAPES = {f"layers.{at}.q_proj": (6, 5) for at in range(5)}
ADAPTERS = [Adapter.initial(SHAPES, 2, LORA.scale, seed=seed) for seed in (1, 2, 3)]
ADAPTER = ADAPTERS[0]
NAMES = sorted(SHAPES)


class Counted:
    """Keeps what was read, in one list for all."""

    def __init__(self, adapter: Adapter, read: list[Module]) -> None:
        self.names = adapter.names
        self._adapter, self._read = adapter, read

    def module(self, name: str) -> Module:
        self._read.append(self._adapter[name])
        return self._adapter[name]


@pytest.fixture
def reading() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=1) as pool:
        yield pool


@pytest.mark.parametrize("many", [1, 3])
def test_that_each_module_is_read_once_and_the_next_few_before_they_are_asked_for(
    many: int, reading: ThreadPoolExecutor
) -> None:
    read: list[Module] = []
    sources = Ahead([Counted(one, read) for one in ADAPTERS[:many]], reading).sources
    in_step = [(number, name) for name in NAMES for number in range(many)]
    wanted = [ADAPTERS[number][name] for number, name in in_step]
    for at, (number, name) in enumerate(in_step):
        assert sources[number].module(name) is wanted[at] is sources[number].module(name)
        reading.submit(lambda: None).result()
        assert read == wanted[: at + 5]
    assert [sources[number].module(name) for number, name in in_step] == wanted  # once more, from the beginning
    assert read[len(wanted) :] == wanted


def test_that_who_does_not_keep_step_costs_no_reading_for_nothing(reading: ThreadPoolExecutor) -> None:
    read: list[Module] = []
    sources = Ahead([Counted(one, read) for one in ADAPTERS], reading).sources
    for number, source in enumerate(sources):
        assert [source.module(name) for name in NAMES] == [ADAPTERS[number][name] for name in NAMES]
    reading.submit(lambda: None).result()
    assert len(read) <= 4 + len(NAMES) * len(sources), "only what was read ahead of the first one"


@given(order=st.lists(st.tuples(st.integers(0, 2), st.sampled_from(NAMES)), max_size=16))
def test_that_any_order_gives_the_right_modules(
    order: list[tuple[int, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("blobs")
    with ExitStack() as open_files, ThreadPoolExecutor(max_workers=1) as pool:
        readers = []
        for adapter in ADAPTERS:
            (folder / adapter.sha256).write_bytes(adapter.to_blob())
            readers.append(open_files.enter_context(BlobReader(folder / adapter.sha256, adapter.sha256)))
        sources = Ahead(readers, pool).sources
        for number, name in order:
            found, right = sources[number].module(name), ADAPTERS[number][name]
            assert (found.A.tobytes(), found.B.tobytes()) == (right.A.tobytes(), right.B.tobytes())
        reading_ends(pool)


def reading_ends(pool: ThreadPoolExecutor) -> None:
    """Before the files are closed, as in a combination."""
    pool.shutdown(cancel_futures=True)


def test_that_an_adapter_read_in_another_thread_keeps_its_last_module(reading: ThreadPoolExecutor) -> None:
    read: list[Module] = []
    source = InThread(Counted(ADAPTER, read), reading)
    for name in NAMES:
        assert source.module(name) is ADAPTER[name] is source.module(name)
    assert read == [ADAPTER[name] for name in NAMES]


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
        (source,) = Ahead([reader], pool).sources
        for name in NAMES[:asked]:
            source.module(name)
