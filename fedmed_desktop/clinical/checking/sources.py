# SPDX-License-Identifier: Apache-2.0
"""Files and folders at a path that hold notes, each with its reader and, where its name says it, its split."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from ..reader import split_path
from ..readers import Reader, Record
from ..readers.cache import NotesCache
from ..readers.columns import Columns
from ..readers.folder import Parts, beside, parts_of
from .values import SPLITS, ColumnUse, Split

TYPES_FILE: Final = "types.toml"


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
        """Reads its records, their files named within the path that was asked for."""
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


def types_file(notes: Path) -> Path | None:
    """The types map beside the notes, if there is one: in their folder, or in that of their file."""
    beside = (notes if notes.is_dir() else notes.parent) / TYPES_FILE
    return beside if beside.is_file() else None


@dataclass(frozen=True)
class Sources:
    """Sources at a path, and the names of the files that are not read."""

    read: tuple[Source, ...]
    unread: tuple[str, ...] = ()


def sources(path: Path) -> Sources:
    """The sources at a path: a site's folder with its splits, a folder in one format, or files of any formats.

    Raises UserFacingError as parts_of and read_notes_folder do.
    """
    of = {split: there for split in SPLITS if path.is_dir() and (there := split_path(path, split)) is not None}
    if not of:
        return _sources(parts_of(path))
    read: list[Source] = []
    unread = list(beside(path, of.values()))
    for split, there in of.items():
        found = _sources(parts_of(there), f"{there.name}/" if there.is_dir() else there.name, split)
        read += found.read
        unread += found.unread
    return Sources(tuple(read), tuple(unread))


def _sources(parts: Parts, before: str = "", split: Split | None = None) -> Sources:
    read = (Source(part.path, part.reader, (before + part.name).removesuffix("/"), split) for part in parts.read)
    return Sources(tuple(read), tuple(before + name for name in parts.unread))
