# SPDX-License-Identifier: Apache-2.0
"""Files and folders at a path that hold notes, each with its reader and, where its name says it, its split."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from ...errors import UserFacingError
from ..reader import split_path
from ..readers import Reader, Record, reader_for
from ..readers.cache import NotesCache
from ..readers.columns import Columns
from .values import SPLITS, ColumnUse, Split


@runtime_checkable
class _Table(Protocol):
    """A reader that says which column became what."""

    def columns(self, path: Path) -> Columns: ...


@dataclass(frozen=True)
class Source:
    """A file, or a folder in one format. `name`: as it is called within the path that was asked for, "" for itself."""

    path: Path
    reader: Reader
    name: str = ""
    split: Split | None = None

    def records(self, cache: NotesCache | None = None) -> Iterator[Record]:
        """Its records, their files named within the path that was asked for."""
        found = cache.records(self.path, self.reader) if cache else self.reader.read(self.path)
        for record in found:
            yield replace(record, file=self._named(record.file), split=record.split or self.split)

    def columns(self) -> tuple[ColumnUse, ...]:
        """Columns of a table and what they became; nothing of any other format. Raises UserFacingError."""
        if not isinstance(self.reader, _Table):
            return ()
        found = self.reader.columns(self.path)
        file = self.name or self.path.name
        used = [ColumnUse(file=file, column=column, became=role) for role, column in found.roles()]
        return (*used, *(ColumnUse(file=file, column=column, became=None) for column in found.unread))

    def _named(self, file: str) -> str:
        if not self.name:
            return file
        return f"{self.name}/{file}" if self.path.is_dir() else self.name


def sources(path: Path) -> list[Source]:
    """The sources at a path: a site's folder with its splits, a folder in one format, or files of any formats.

    Raises UserFacingError as reader_for and read_notes_folder do.
    """
    if not path.is_dir():
        return [Source(path, reader_for(path))]
    of = {split: there for split in SPLITS if (there := split_path(path, split)) is not None}
    if of:
        return [Source(there, reader_for(there), there.name, split) for split, there in of.items()]
    try:
        return [Source(path, reader_for(path))]
    except UserFacingError:
        found = [one for file in sorted(path.iterdir()) if (one := _readable(file)) is not None]
        if not found:
            raise
        return found


def _readable(file: Path) -> Source | None:
    if file.name.startswith(".") or file.name == "types.toml":
        return None
    try:
        return Source(file, reader_for(file), file.name)
    except UserFacingError:
        return None
