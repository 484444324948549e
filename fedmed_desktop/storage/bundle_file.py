# SPDX-License-Identifier: Apache-2.0
"""Bundle as a file on removable medium: a plain tar with `bundle.json` first, then one `blobs/<sha256>` for each blob.

Any tar program lists it. It is read more strictly than such a program would: only these names, each once, regular
files, no extensions of the format, and nothing is unpacked by name.
"""

from __future__ import annotations

import hashlib
import os
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from ..errors import UserFacingError, disk_fault
from ..files import beside, is_taken, make_folder, sync_folder

HEAD: Final = "bundle.json"

_BLOCK: Final = tarfile.BLOCKSIZE
_BLOB: Final = re.compile("blobs/([0-9a-f]{64})")
_MOST_BLOBS: Final = 256
_PIECE: Final = 2**20


@dataclass(frozen=True)
class BundleFile:
    """An opened bundle: its head, and where each blob lies."""

    path: Path
    head: bytes
    places: Mapping[str, tuple[int, int]]  # offset in the file and size, by sha256

    @property
    def sizes(self) -> dict[str, int]:
        return {sha256: size for sha256, (_, size) in self.places.items()}

    def check(self, sizes: Mapping[str, int]) -> None:
        """Reads all blobs. Raises UserFacingError unless they are exactly these, and whole: a medium may be worn."""
        if self.sizes != dict(sizes):
            raise _damaged(self.path, "it does not hold what its first part says")
        for sha256 in sizes:
            digest = hashlib.sha256()
            for _, piece in self.pieces(sha256, 0, _PIECE):
                digest.update(piece)
            if digest.hexdigest() != sha256:
                raise _damaged(self.path, f"the bytes of {sha256[:12]} have changed")

    def pieces(self, sha256: str, offset: int, piece: int) -> Iterator[tuple[int, bytes]]:
        """A blob from this offset on, in pieces with their offsets. Raises UserFacingError."""
        start, size = self.places[sha256]
        try:
            with self.path.open("rb") as file:
                while offset < size:
                    file.seek(start + offset)
                    data = file.read(min(piece, size - offset))
                    if not data:
                        raise _damaged(self.path, "it ends too early")
                    yield offset, data
                    offset += len(data)
        except OSError as error:
            raise disk_fault(error, self.path) from error


def write_bundle(path: Path, head: bytes, blobs: Mapping[str, Path]) -> None:
    """Writes it whole or not at all; durable on return, readable by its owner only. Raises UserFacingError."""
    make_folder(path.parent)
    partial = beside(path)
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            _write_member(file, HEAD, len(head), [head])
            for sha256, source in sorted(blobs.items()):
                _write_member(file, f"blobs/{sha256}", source.stat().st_size, _pieces_of(source))
            file.write(bytes(2 * _BLOCK))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise disk_fault(error, path) from error


def check_place(path: Path, most_head: int) -> None:
    """Raises UserFacingError where something else than an earlier bundle is there, which a new one replaces."""
    if is_taken(path):
        try:
            read_bundle(path, most_head)
        except UserFacingError:
            raise UserFacingError("bundle.other_file", path=str(path)) from None


def read_bundle(path: Path, most_head: int) -> BundleFile:
    """Looks through a file without reading its blobs. Raises UserFacingError for what is no whole bundle."""
    try:
        with path.open("rb") as file:
            return _read(path, file, most_head)
    except FileNotFoundError:
        raise UserFacingError("bundle.missing", path=str(path)) from None
    except OSError as error:
        raise disk_fault(error, path) from error


def _read(path: Path, file: BinaryIO, most_head: int) -> BundleFile:
    end = file.seek(0, os.SEEK_END)
    head, places, at = b"", dict[str, tuple[int, int]](), 0
    while True:
        file.seek(at)
        block = file.read(_BLOCK)
        if block == bytes(_BLOCK) and head:
            break
        name, size = _member(path, block)
        start, at = at + _BLOCK, at + _BLOCK + -(-size // _BLOCK) * _BLOCK
        if at > end:
            raise _damaged(path, "it ends too early")
        blob = _BLOB.fullmatch(name)
        if not head:
            if name != HEAD or not 0 < size <= most_head:
                raise _damaged(path, "it does not begin with bundle.json")
            head = file.read(size)
        elif blob is None or blob[1] in places or not size or len(places) == _MOST_BLOBS:
            raise _damaged(path, f"it has a member that no bundle has after {len(places)} blobs")
        else:
            places[blob[1]] = start, size
    return BundleFile(path, head, places)


def _member(path: Path, block: bytes) -> tuple[str, int]:
    try:
        member = tarfile.TarInfo.frombuf(block, "ascii", "strict")
    except (tarfile.HeaderError, UnicodeError, ValueError) as error:
        raise _damaged(path, "it is not a tar file, or damaged") from error
    if member.type != tarfile.REGTYPE or member.size < 0:
        raise _damaged(path, "it has a member that is not a plain file")
    return member.name, member.size


def _write_member(file: BinaryIO, name: str, size: int, pieces: Iterable[bytes]) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    # Sizes over 8 GiB would need another form; no blob has them (protocol.transfer).
    file.write(member.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict"))
    written = 0
    for piece in pieces:
        written += file.write(piece)
    if written != size:
        raise OSError(f"{name} changed while it was read")
    file.write(bytes(-size % _BLOCK))


def _pieces_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(_PIECE):
            yield data


def _damaged(path: Path, reason: str) -> UserFacingError:
    return UserFacingError("bundle.damaged", path=str(path), reason=reason)
