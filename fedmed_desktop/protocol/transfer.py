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
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..errors import UserFacingError, disk_fault

# 256 KiB to 1 MiB keep throughput while other messages wait a few milliseconds at most.
CHUNK = 512 * 1024
_HEADER = struct.Struct(">32sQQ")
HEADER_BYTES = _HEADER.size
MAX_FRAME_BYTES = CHUNK + HEADER_BYTES
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
    data: bytes | memoryview

    def encode(self) -> bytes:
        return b"".join((chunk_header(self.sha256, self.offset, self.total), self.data))


def chunk_header(sha256: str, offset: int, total: int) -> bytes:
    """The HEADER_BYTES before a chunk's own."""
    return _HEADER.pack(bytes.fromhex(sha256), offset, total)


def decode_chunk(frame: bytes) -> Chunk:
    """Reads a binary frame, whose bytes are not copied; raises UserFacingError("protocol.bad_chunk")."""
    if len(frame) <= _HEADER.size or len(frame) > MAX_FRAME_BYTES:
        raise UserFacingError("protocol.bad_chunk", reason="its length is out of bounds")
    digest, offset, total = _HEADER.unpack_from(frame)
    data = memoryview(frame)[_HEADER.size :]
    if total > MAX_BLOB_BYTES or offset + len(data) > total:
        raise UserFacingError("protocol.bad_chunk", reason="it lies outside its blob")
    return Chunk(digest.hex(), offset, total, data)


class Reception:
    """One blob being received into a part file that survives a restart. File I/O: call off the event loop.

    `expected_size` bounds what is written. A part file longer than the blob is begun again. Bytes are hashed as they
    are written; those that lay here before, when the first new ones come.
    """

    def __init__(self, sha256: str, part_file: Path, expected_size: int | None = None) -> None:
        self.sha256 = sha256
        self.path = part_file
        self._size = expected_size
        self.received = part_file.stat().st_size if part_file.exists() else 0
        self._digest, self._hashed = hashlib.sha256(), 0
        if expected_size is not None and self.received > expected_size:
            self._begin_again()

    @property
    def complete(self) -> bool:
        return self._size is not None and self.received == self._size

    def write(self, *chunks: Chunk) -> bool:
        """Appends the next bytes; True once all are there. A chunk already held is passed over.

        Raises UserFacingError("protocol.bad_chunk") for a gap or a changed length, "storage.*" for a disk's fault. What
        came before the chunk at fault is kept.
        """
        with ExitStack() as closing:
            file: BinaryIO | None = None
            for chunk in chunks:
                if fresh := self._fresh(chunk):
                    try:
                        file = file or closing.enter_context(self._open())
                        _write(file, fresh)
                    except OSError as error:
                        raise disk_fault(error, self.path) from error
                    self._digest.update(fresh)
                    self._hashed += len(fresh)
                    self.received += len(fresh)
        return self.complete

    def _fresh(self, chunk: Chunk) -> bytes | memoryview:
        """The chunk's bytes that are not here yet."""
        if self._size is None:
            self._size = chunk.total
            if self.received > self._size:
                self._begin_again()
        if chunk.total != self._size:
            raise UserFacingError("protocol.bad_chunk", reason="the blob's length changed")
        if chunk.offset > self.received:
            raise UserFacingError("protocol.bad_chunk", reason="bytes before it are missing")
        return chunk.data[self.received - chunk.offset :]

    def _open(self) -> BinaryIO:
        """The file where the next bytes belong: a write that a full disk cut off may have left some behind that."""
        file = self.path.open("r+b" if self.path.exists() else "x+b", buffering=0)
        try:
            self._hash_what_lay_here(file)
            file.seek(self.received)
        except BaseException:
            file.close()
            raise
        return file

    def _hash_what_lay_here(self, file: BinaryIO) -> None:
        if file.seek(0, os.SEEK_END) < self.received:  # somebody cut or deleted it: what is hashed is not what is there
            self._digest, self._hashed = hashlib.sha256(b"cut"), self.received
        file.seek(self._hashed)
        while self._hashed < self.received and (data := file.read(min(CHUNK, self.received - self._hashed))):
            self._digest.update(data)
            self._hashed += len(data)

    def _begin_again(self) -> None:
        self.path.unlink()
        self.received = 0
        self._digest, self._hashed = hashlib.sha256(), 0

    def finish(self) -> Path:
        """Checks the hash and forces the bytes to disk; the part file is deleted if it is not what was wanted.

        What was hashed is what was written: who uses the file hashes again what is read.
        """
        try:
            with self.path.open("r+b") as file:  # Windows forces only files to disk that are open for writing
                self._hash_what_lay_here(file)
                file.truncate(self.received)
                os.fsync(file.fileno())
        except OSError as error:
            raise disk_fault(error, self.path) from error
        found = self._digest.hexdigest()
        if found != self.sha256:
            self.path.unlink()
            raise UserFacingError("update.wrong_hash", found=found, expected=self.sha256)
        return self.path


def _write(file: BinaryIO, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:  # a raw write may stop early
        view = view[file.write(view) :]
