# SPDX-License-Identifier: Apache-2.0
"""Blobs on disk, named by their sha256. Each appears at once and whole: temporary file, fsync, rename, fsync folder."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
from collections.abc import Collection, Iterable
from pathlib import Path

from ..errors import UserFacingError, disk_fault, reason_of
from ..files import make_folder, sync_folder

_SHA256 = re.compile("[0-9a-f]{64}")


class BlobStore:
    """Folder of files named by their sha256; `parts/` holds what is still being received. File I/O, no threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._parts = folder / "parts"
        make_folder(self._parts)

    def path(self, sha256: str) -> Path:
        """Path of the blob; raises UserFacingError("storage.no_blob") if it is not here."""
        if sha256 not in self:
            raise UserFacingError("storage.no_blob", sha256=sha256)
        return self.folder / sha256

    def __contains__(self, sha256: str) -> bool:
        return _SHA256.fullmatch(sha256) is not None and (self.folder / sha256).is_file()

    def is_empty(self, but: str = "") -> bool:
        """True if there is no blob here, or none but this one."""
        return not any(_SHA256.fullmatch(path.name) and path.name != but for path in self.folder.iterdir())

    def size(self, sha256: str) -> int:
        return self.path(sha256).stat().st_size

    def read(self, sha256: str) -> bytes:
        """Reads the whole blob; raises UserFacingError if its bytes do not have the hash that names it."""
        path = self.path(sha256)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise disk_fault(error, path) from error
        if (found := hashlib.sha256(data).hexdigest()) != sha256:
            raise UserFacingError("update.wrong_hash", found=found, expected=sha256)
        return data

    def write(self, data: bytes) -> str:
        """Stores the bytes and returns their sha256; durable on return. A damaged blob of that name is replaced."""
        sha256 = hashlib.sha256(data).hexdigest()
        self.write_pieces(sha256, [data])
        return sha256

    def write_pieces(self, sha256: str, pieces: Iterable[bytes | memoryview]) -> None:
        """The same for bytes that are known by their sha256 and come in pieces, which are not held together."""
        if self.is_whole(sha256):
            return
        temporary = self._parts / f"{sha256}.new"
        try:
            with temporary.open("wb") as file:
                for piece in pieces:
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise disk_fault(error, self.folder) from error
        self._adopt(temporary, sha256)

    def is_whole(self, sha256: str) -> bool:
        """True if the blob is here and undamaged; reads all of it.

        Raises a retryable UserFacingError where the file cannot be looked at now: that says nothing about its bytes.
        """
        if sha256 not in self:
            return False
        try:
            with self.path(sha256).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == sha256
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EIO):  # a disk that cannot read the bytes has lost them
                return False
            raise UserFacingError(
                "storage.fault", path=str(self.folder), reason=reason_of(error), retryable=True
            ) from error

    def put_aside(self, sha256: str) -> None:
        """Moves a damaged blob to `parts/`, so that it counts as missing."""
        if sha256 not in self:
            return
        try:
            self.path(sha256).replace(self._parts / f"{sha256}.damaged")
        except OSError as error:
            raise disk_fault(error, self.folder) from error

    def delete(self, sha256: str) -> None:
        """Deletes a blob that nobody needs any more, if it is here; one that cannot be deleted stays."""
        if _SHA256.fullmatch(sha256):
            with contextlib.suppress(OSError):
                (self.folder / sha256).unlink()

    def retire(self, but: Collection[str]) -> int:
        """Puts all blobs but these aside for `delete_retired`; returns how many. Raises UserFacingError."""
        gone = [path for path in self.folder.iterdir() if _SHA256.fullmatch(path.name) and path.name not in but]
        try:
            for path in gone:
                path.replace(self._parts / f"{path.name}.retired")
        except OSError as error:
            raise disk_fault(error, self.folder) from error
        return len(gone)

    def delete_retired(self) -> None:
        """Deletes what `retire` has put aside, also before a crash."""
        for path in self._parts.glob("*.retired"):
            with contextlib.suppress(OSError):
                path.unlink()

    def part_file(self, sha256: str, sender: str) -> Path:
        """Path where a blob is collected while it is received; one file per sender, so that two cannot mix."""
        return self._parts / f"{sha256}.{_tag(sender)}.part"

    def forget_parts(self, sender: str, but: Collection[str] = ()) -> None:
        """Deletes what this sender began and gave up, so that begun uploads cannot fill the disk."""
        kept = {self.part_file(sha256, sender) for sha256 in but}
        for path in self._parts.glob(f"*.{_tag(sender)}.part"):
            if path not in kept:
                with contextlib.suppress(OSError):  # what cannot be deleted now is at the next offer
                    path.unlink()

    def adopt(self, part_file: Path, sha256: str) -> Path:
        """Moves in a received file whose bytes were checked and forced to disk; durable on return."""
        self._adopt(part_file, sha256)
        return self.folder / sha256

    def _adopt(self, path: Path, sha256: str) -> None:
        try:
            path.replace(self.folder / sha256)
            sync_folder(self.folder)
        except OSError as error:
            raise disk_fault(error, self.folder) from error


def _tag(sender: str) -> str:
    return hashlib.sha256(sender.encode()).hexdigest()[:16]
