# SPDX-License-Identifier: Apache-2.0
"""Bundles as files: what is read back, and the tricks of a tar that are refused."""

from __future__ import annotations

import hashlib
import io
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from fedmed_desktop.storage.bundle_file import HEAD, read_bundle, write_bundle
from tests.parts.told import told_as

BLOB = b"some bytes " * 100
SHA = hashlib.sha256(BLOB).hexdigest()
NAME = f"blobs/{SHA}"
MOST = 10_000


def tar(path: Path, *members: tarfile.TarInfo | tuple[str, bytes], format: int = tarfile.USTAR_FORMAT) -> Path:
    with tarfile.open(path, "w", format=format) as file:
        for one in members:
            if isinstance(one, tarfile.TarInfo):
                file.addfile(one)
            else:
                info = tarfile.TarInfo(one[0])
                info.size = len(one[1])
                file.addfile(info, io.BytesIO(one[1]))
    return path


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_that_a_bundle_is_a_plain_tar_and_is_read_back_in_pieces(tmp_path: Path) -> None:
    source = tmp_path / "blob"
    source.write_bytes(BLOB)
    write_bundle(tmp_path / "b.tar", b"{}", {SHA: source})
    assert (tmp_path / "b.tar").stat().st_mode & 0o077 == 0
    with tarfile.open(tmp_path / "b.tar") as file:
        assert file.getnames() == [HEAD, NAME]
    found = read_bundle(tmp_path / "b.tar", MOST)
    found.check({SHA: len(BLOB)})
    assert found.head == b"{}"
    assert b"".join(piece for _, piece in found.pieces(SHA, 5, 7)) == BLOB[5:]
    with told_as("does not hold what"):
        found.check({})


@pytest.mark.parametrize(
    "members",
    [
        [(NAME, BLOB)],
        [(HEAD, b"x" * (MOST + 1))],
        [(HEAD, b"{}"), ("../../etc/passwd", b"x")],
        [(HEAD, b"{}"), ("/blobs/" + SHA, BLOB)],
        [(HEAD, b"{}"), (f"blobs/../{SHA}", BLOB)],
        [(HEAD, b"{}"), (NAME.upper(), BLOB)],
        [(HEAD, b"{}"), (NAME, BLOB), (NAME, BLOB)],
        [(HEAD, b"{}"), (HEAD, b"{}")],
        [(HEAD, b"{}"), (NAME, b"")],
        [(HEAD, b"{}"), special(NAME, tarfile.SYMTYPE, "/etc/passwd")],
        [(HEAD, b"{}"), special(NAME, tarfile.LNKTYPE, HEAD)],
        [(HEAD, b"{}"), special("blobs", tarfile.DIRTYPE)],
        [(HEAD, b"{}"), special(NAME, tarfile.CHRTYPE)],
    ],
)
def test_that_other_members_are_refused(members: list[tarfile.TarInfo | tuple[str, bytes]], tmp_path: Path) -> None:
    with told_as("cannot be used"):
        read_bundle(tar(tmp_path / "b.tar", *members), MOST)


def test_that_extensions_of_the_format_are_refused(tmp_path: Path) -> None:
    long = "blobs/" + "a" * 300
    for kind in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        with told_as("not a plain file"):
            read_bundle(tar(tmp_path / "b.tar", (HEAD, b"{}"), (long, BLOB), format=kind), MOST)


def test_that_what_is_no_tar_or_ends_early_or_claims_terabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "b.tar"
    whole = tar(tmp_path / "whole.tar", (HEAD, b"{}"), (NAME, BLOB)).read_bytes()
    huge = tarfile.TarInfo(NAME)
    huge.size = 8 * 2**30 - 1
    for data in (b"", b"PK\x03\x04" * 200, whole[:700], whole[:1600], whole[:1024] + huge.tobuf(tarfile.USTAR_FORMAT)):
        path.write_bytes(data)
        tracemalloc.start()
        with told_as("cannot be used"):
            read_bundle(path, MOST)
        assert tracemalloc.get_traced_memory()[1] < 2**20
        tracemalloc.stop()
    with told_as("There is no file"):
        read_bundle(tmp_path / "none.tar", MOST)
