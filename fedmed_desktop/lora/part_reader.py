# SPDX-License-Identifier: Apache-2.0
"""A file of which parts are read, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from ..errors import UserFacingError


class PartReader:
    """Inside a `with` block the file stays open; outside one, each `reading` opens and closes it.

    Not for use by several threads at once. Raises UserFacingError for a file that cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    @contextmanager
    def reading(self) -> Iterator[BinaryIO]:
        if self._file is not None:
            yield self._file
            return
        with self._open() as file:
            yield file

    def __enter__(self) -> Self:
        self._file = self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> BinaryIO:
        try:
            return self._path.open("rb", buffering=0)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise UserFacingError("lora.file_missing", name=self._path.name, reason=reason) from None
