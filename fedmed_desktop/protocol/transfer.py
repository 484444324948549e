# SPDX-License-Identifier: Apache-2.0
"""Blobs in chunks, pulled by the receiver and resumed by offset after a cut. Sans-I/O but for the part file.

The receiver says `Want(sha256, offset)`; the sender answers with binary frames, each a header (32 bytes of sha256,
8 bytes of offset, 8 bytes of total length) and up to CHUNK bytes. Frames are separate messages, so that other messages
and pings pass between them.
"""

from __future__ import annotations

import hashlib
import os
import struct
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserFacingError, disk_fault

# 256 KiB to 1 MiB keep throughput while other messages wait a few milliseconds at most.
CHUNK = 512 * 1024
_HEADER = struct.Struct(">32sQQ")
MAX_FRAME_BYTES = CHUNK + _HEADER.size
# An adapter of rank 64 on all linears of a 70-billion-parameter model is under 4 GiB in float32.
MAX_BLOB_BYTES = 4 * 2**30
# How often one blob is fetched from its first byte before what arrives counts as wrong for good. Inferred: a line that
# damages four transfers out of four needs mending, not patience.
MOST_FETCHES = 4


@dataclass(frozen=True)
class Chunk:
    """Bytes [offset, offset + len(data)) of a blob that is `total` bytes long."""

    sha256: str
    offset: int
    total: int
    data: bytes

    def encode(self) -> bytes:
        return _HEADER.pack(bytes.fromhex(self.sha256), self.offset, self.total) + self.data


def decode_chunk(frame: bytes) -> Chunk:
    """Reads a binary frame; raises UserFacingError("protocol.bad_chunk")."""
    if len(frame) <= _HEADER.size or len(frame) > MAX_FRAME_BYTES:
        raise UserFacingError("protocol.bad_chunk", reason="its length is out of bounds")
    digest, offset, total = _HEADER.unpack_from(frame)
    data = frame[_HEADER.size :]
    if total > MAX_BLOB_BYTES or offset + len(data) > total:
        raise UserFacingError("protocol.bad_chunk", reason="it lies outside its blob")
    return Chunk(digest.hex(), offset, total, data)


class Reception:
    """One blob being received into a part file that survives a restart. File I/O: call off the event loop.

    `expected_size` bounds what is written. A part file longer than the blob is begun again.
    """

    def __init__(self, sha256: str, part_file: Path, expected_size: int | None = None) -> None:
        self.sha256 = sha256
        self.path = part_file
        self._size = expected_size
        self.received = part_file.stat().st_size if part_file.exists() else 0
        if expected_size is not None and self.received > expected_size:
            self._begin_again()

    @property
    def complete(self) -> bool:
        return self._size is not None and self.received == self._size

    def write(self, chunk: Chunk) -> bool:
        """Appends the next bytes; True once all are there. A chunk already held is passed over.

        Raises UserFacingError("protocol.bad_chunk") for a gap or a changed length, "storage.*" for a disk's fault.
        """
        if self._size is None:
            self._size = chunk.total
            if self.received > self._size:
                self._begin_again()
        if chunk.total != self._size:
            raise UserFacingError("protocol.bad_chunk", reason="the blob's length changed")
        if chunk.offset > self.received:
            raise UserFacingError("protocol.bad_chunk", reason="bytes before it are missing")
        fresh = chunk.data[self.received - chunk.offset :]
        if fresh:
            try:
                with self.path.open("ab") as file:
                    file.write(fresh)
            except OSError as error:
                raise disk_fault(error, self.path) from error
            self.received += len(fresh)
        return self.complete

    def _begin_again(self) -> None:
        self.path.unlink()
        self.received = 0

    def finish(self) -> Path:
        """Checks the hash and forces the bytes to disk; the part file is deleted if it is not what was wanted."""
        try:
            with self.path.open("r+b") as file:  # Windows forces only files to disk that are open for writing
                found = hashlib.file_digest(file, "sha256").hexdigest()
                os.fsync(file.fileno())
        except OSError as error:
            raise disk_fault(error, self.path) from error
        if found != self.sha256:
            self.path.unlink()
            raise UserFacingError("update.wrong_hash", found=found, expected=self.sha256)
        return self.path
