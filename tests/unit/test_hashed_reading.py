# SPDX-License-Identifier: Apache-2.0
"""Files that are hashed as they are read: nothing else than the named bytes is ever used, in whatever order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.lora import Adapter, BlobReader
from fedmed_desktop.lora.half import half_blob, open_update
from fedmed_desktop.lora.part_reader import PartReader
from tests.parts.federation import INITIAL, SHAPES, moved

AFTER = moved(INITIAL, 1)
BLOB = AFTER.to_blob()
NAMES = sorted(SHAPES)


def written(folder: Path, data: bytes) -> Path:
    path = folder / "blob"
    path.write_bytes(data)
    return path


@given(order=st.lists(st.sampled_from(NAMES), max_size=6))
def test_that_modules_may_be_read_in_any_order_and_any_number_of_times(
    order: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = written(tmp_path_factory.mktemp("blob"), BLOB)
    with BlobReader(path, AFTER.sha256) as reader:
        for name in order:
            found = reader.module(name)
            assert np.array_equal(found.A, AFTER[name].A) and np.array_equal(found.B, AFTER[name].B)


@given(at=st.integers(0, len(BLOB) - 1), bit=st.integers(0, 7), order=st.lists(st.sampled_from(NAMES), max_size=4))
def test_that_one_flipped_bit_is_found_whether_it_is_read_or_not(
    at: int, bit: int, order: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = bytearray(BLOB)
    data[at] ^= 1 << bit
    path = written(tmp_path_factory.mktemp("blob"), bytes(data))
    with pytest.raises(UserFacingError) as caught, BlobReader(path, AFTER.sha256) as reader:
        for name in order:
            reader.module(name)
    assert caught.value.code == "lora.file_damaged" and caught.value.params == {"sha256": AFTER.sha256}


@pytest.mark.parametrize("data", [BLOB[:-1], BLOB[:100], BLOB + b"x", b"", b"{}" * 40])
def test_that_a_cut_or_longer_file_is_found(data: bytes, tmp_path: Path) -> None:
    path = written(tmp_path, data)
    with pytest.raises(UserFacingError) as caught, BlobReader(path, AFTER.sha256) as reader:
        for name in reader.names:
            reader.module(name)
    assert caught.value.code == "lora.file_damaged"


def test_that_bytes_that_change_between_two_readings_are_found(tmp_path: Path) -> None:
    path = written(tmp_path, BLOB)
    with pytest.raises(UserFacingError) as caught, BlobReader(path, AFTER.sha256) as reader:
        for name in NAMES:
            reader.module(name)
        changed = bytearray(BLOB)
        changed[-1] ^= 1
        path.write_bytes(changed)
        reader.module(NAMES[0])
    assert caught.value.code == "lora.file_damaged"


def test_that_a_half_blob_is_hashed_too(tmp_path: Path) -> None:
    data = half_blob(AFTER, "A")
    sha256 = Adapter.from_blob(BLOB).sha256
    path = written(tmp_path, data)
    with (
        pytest.raises(UserFacingError, match=r"lora\.file_damaged"),
        open_update(path, ("A",), INITIAL, sha256) as reader,
    ):
        reader.module(NAMES[0])


def test_that_one_pass_is_enough_where_parts_are_read_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What combining does: header, then each module; the file is not read a second time."""
    from fedmed_desktop.lora import part_reader

    read = 0
    take = part_reader._Seen.take
    passes: list[int] = []
    begin = part_reader._Seen._begin

    def counted(self: part_reader._Seen, file: part_reader._HashedFile, at: int, data: bytes) -> None:
        nonlocal read
        read += len(data)
        take(self, file, at, data)

    monkeypatch.setattr(part_reader._Seen, "take", counted)
    monkeypatch.setattr(part_reader._Seen, "_begin", lambda self: (passes.append(1), begin(self))[1])
    with BlobReader(written(tmp_path, BLOB), AFTER.sha256) as reader:
        for name in reader.names:
            reader.module(name)
    assert read == len(BLOB) and passes == [1]


def test_that_a_reader_without_a_hash_reads_what_is_there(tmp_path: Path) -> None:
    with PartReader(written(tmp_path, b"abc")) as reader, reader.reading() as file:
        assert file.read(2) == b"ab"
