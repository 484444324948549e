# SPDX-License-Identifier: Apache-2.0
"""A file of which parts are read, one after the other; with its sha256 given, only bytes of that file are handed on."""

from __future__ import annotations

import hashlib
import io
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from ..errors import UserFacingError, reason_of
from .module import Module

_CHUNK = 2**20


class Latest:
    """The module that a reader has read last, as long as somebody else holds it: hundreds of readers hold nothing."""

    def __init__(self) -> None:
        self._name = ""
        self._module: weakref.ref[Module] | None = None

    def get(self, name: str) -> Module | None:
        return self._module() if self._module is not None and name == self._name else None

    def set(self, name: str, module: Module) -> Module:
        self._name, self._module = name, weakref.ref(module)
        return module


class PartReader:
    """Reader of a file, which stays open inside a `with` block; outside one, each `reading` opens and closes it.

    With `sha256`, bytes are hashed as they are read, and the end of the `with` block hashes what nobody has read: what
    was used is what was hashed, in one pass where parts are read in the file's order. Then nothing that was made of
    the parts may be relied on before the block has ended.

    Not for use by several threads at once. Raises UserFacingError for a file that cannot be opened, and
    UserFacingError("lora.file_damaged") where the bytes are not those of `sha256`.
    """

    def __init__(self, path: Path, sha256: str | None = None) -> None:
        self._path = path
        self._seen = _Seen(sha256) if sha256 is not None else None
        self._file: BinaryIO | None = None

    @contextmanager
    def reading(self) -> Iterator[BinaryIO]:
        if self._file is not None:
            yield self._file
            return
        with self._open() as file:
            try:
                yield file
            except UserFacingError:
                self._check(file)  # damage may be why it could not be understood
                raise

    def __enter__(self) -> Self:
        self._file = self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        file, self._file = self._file, None
        if file is not None:
            with file:
                if error is None or isinstance(error, Exception):
                    self._check(file)

    def _check(self, file: BinaryIO) -> None:
        if self._seen is not None and isinstance(file, _HashedFile):
            self._seen.finish(file)

    def _open(self) -> BinaryIO:
        try:
            return self._path.open("rb", buffering=0) if self._seen is None else _HashedFile(self._path, self._seen)
        except OSError as error:
            reason = reason_of(error)
            raise UserFacingError("lora.file_missing", name=self._path.name, reason=reason, retryable=True) from None


class _Seen:
    """Reading of a file in one pass or more: hashed from its beginning up to `_at`.

    A part before `_at` begins a new pass once the current one has been hashed to its end, so bytes of every pass are
    checked. It costs time only: who reads parts in the file's order needs one.
    """

    def __init__(self, sha256: str) -> None:
        self._sha256 = sha256
        self._begin()

    def _begin(self) -> None:
        self._whole = hashlib.sha256()
        self._at = 0

    def take(self, file: _HashedFile, at: int, data: bytes) -> None:
        """Hashes a part that was read at this offset, and what was passed over before it."""
        if at < self._at:
            self.finish(file)
            self._begin()
        self._pass_over(file, at)
        self._whole.update(data)
        self._at += len(data)

    def finish(self, file: _HashedFile) -> None:
        """Hashes the rest; raises UserFacingError("lora.file_damaged") where the file is not what it should be."""
        self._pass_over(file, None)
        if self._whole.hexdigest() != self._sha256:
            raise self.damaged()

    def _pass_over(self, file: _HashedFile, until: int | None) -> None:
        if self._at == until:
            return
        file.seek(self._at)
        while until is None or self._at < until:
            size = _CHUNK if until is None else min(_CHUNK, until - self._at)
            if not (data := file.raw(size)):
                break
            self._whole.update(data)
            self._at += len(data)

    def damaged(self) -> UserFacingError:
        return UserFacingError("lora.file_damaged", sha256=self._sha256)


class _HashedFile(io.FileIO):
    """The file, whose reads are all seen."""

    def __init__(self, path: Path, seen: _Seen) -> None:
        super().__init__(path)
        self._seen = seen

    def read(self, size: int | None = -1, /) -> bytes:
        at = self.tell()
        data = self.raw(size)
        self._seen.take(self, at, data)
        self.seek(at + len(data))
        return data

    def raw(self, size: int | None) -> bytes:
        """Bytes that nobody has hashed; a disk that cannot read them has lost them."""
        try:
            return super().read(size) or b""
        except OSError:
            raise self._seen.damaged() from None
