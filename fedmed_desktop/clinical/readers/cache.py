# SPDX-License-Identifier: Apache-2.0
"""Notes that were read, kept on this computer as Parquet, so that a gigabyte of notes opens at once the second time.

An entry belongs to the contents of the files (sha256 of each), the reader with its settings, and the version of this
program; renamed or copied folders find it too. To hash a gigabyte takes seconds, so the files' names, sizes and times
are looked up first, as make and git do: unless one has changed since it was last hashed, it is not hashed again. Times
too young to tell are not trusted.

Entries hold patients' text: only their owner can read them, and little data, which is read in a moment anyway, leaves
none. Each row has a checksum; whatever is missing or damaged is read anew from the files. A cache that cannot be
written costs time and nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal, cast

from ... import __version__
from ..notes import Note
from .record import Reader, Record, Remark, RemarkCode

FORMAT: Final = 4
"""Raised where entries are written, or files read, otherwise than before."""
LEAST_BYTES: Final = 2**20
"""Smaller data is read in a moment: no copy of patients' text is made for so little."""
MOST_BYTES: Final = 4 * 2**30
"""Of all entries together; those that were not used for the longest time go first."""
PART_CHARACTERS: Final = 2**24
"""Of the notes in one file of an entry, which is in memory as a whole."""

_WHOLE: Final = "whole.json"  # written last: an entry without it is none
_SETTLED: Final = 2.0  # seconds after which a file's time tells whether it has changed; file systems count in 2 s
_ABANDONED: Final = 24 * 3600.0  # seconds after which an unfinished entry is nobody's any more


def cache_folder() -> Path:
    """Folder where this system keeps what programs can make again: the folder of this program's notes.

    For an account without a home one that cannot be made, so that nothing is kept.
    """
    try:
        if sys.platform == "win32":
            place = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local")
        elif sys.platform == "darwin":
            place = Path.home() / "Library/Caches"
        else:
            place = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        place = Path(os.devnull)
    return place / "fedmed-desktop" / "notes"


class NotesCache:
    """The cache in a folder; safe for several programs at once. Nothing is made before something is kept."""

    def __init__(
        self,
        folder: Path | None = None,
        least_bytes: int = LEAST_BYTES,
        most_bytes: int = MOST_BYTES,
        part_characters: int = PART_CHARACTERS,
    ) -> None:
        self.folder = folder or cache_folder()
        self._least, self._most, self._part = least_bytes, most_bytes, part_characters

    def records(self, path: Path, reader: Reader, settings: Mapping[str, str] | None = None) -> Iterator[Record]:
        """Records that `reader.read(path)` gives: from the cache if they are there, else read and kept.

        `settings` are whatever else decides what the reader gives, beside what a table's reader was `said`. What is not
        iterated to its end is not kept. Memory does not grow with the notes. Raises UserFacingError as the reader does.
        """
        settings = {**getattr(reader, "said", {}), **(settings or {})}
        state = _state(path)
        if state is None or sum(size for _, size, _, _ in state) < self._least:
            yield from reader.read(path)
            return
        what = [FORMAT, __version__, reader.name, sorted(settings.items())]
        key = self._key(path, state, what)
        if key is None:
            yield from reader.read(path)
            return
        done = 0
        with contextlib.suppress(_Damaged):
            for record in self._kept(self.folder / key):
                yield record
                done += 1
            return
        fresh = self._keeping(reader.read(path), key, path, state)
        yield from islice(fresh, done, None)  # in the order in which they were read before

    def clear(self) -> int:
        """Removes everything and returns the number of bytes; what another program reads meanwhile is read anew."""
        freed = _size(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)
        return freed - _size(self.folder)

    def _key(self, path: Path, state: _State, what: list[Any]) -> str | None:
        """The name of the entry for the files' contents; None where a file cannot be read."""
        quick = self.folder / "known" / _digest([str(path.absolute()), state, what])
        with contextlib.suppress(OSError, ValueError):
            if len(key := quick.read_text("ascii")) == 64 and int(key, 16) >= 0:
                return key
        started = time.time()
        try:
            hashes = [[name, _file_sha256(path / name if path.is_dir() else path)] for name, *_ in state]
        except OSError:
            return None
        key = _digest([hashes, what])
        newest = max(max(changed, created) for _, _, changed, created in state) / 1e9
        if _state(path) != state:
            return None  # somebody is writing there
        if newest < started - _SETTLED:
            with contextlib.suppress(OSError):
                _make(quick.parent)
                quick.write_text(key, "ascii")
                quick.chmod(0o600)
        return key

    def _kept(self, entry: Path) -> Iterator[Record]:
        import polars

        try:
            whole = json.loads((entry / _WHOLE).read_text("ascii"))
            parts, total = int(whole["parts"]), int(whole["records"])
            os.utime(entry / _WHOLE)  # used just now
        except (OSError, ValueError, KeyError, TypeError):
            raise _Damaged from None
        done = 0
        for number in range(parts):
            try:
                table = polars.read_parquet(entry / f"{number:06}.parquet", memory_map=False)
                rows = list(zip(*(table[name] for name in ("about", "note", "check")), strict=True))
            except (OSError, polars.exceptions.PolarsError, polars.exceptions.PanicException):
                _forget(entry)
                raise _Damaged from None
            for about, note, check in rows:
                record = _restored(about, note, check, done)
                if record is None:
                    _forget(entry)
                    raise _Damaged
                done += 1
                yield record
        if done != total:
            _forget(entry)
            raise _Damaged

    def _keeping(self, records: Iterator[Record], key: str, path: Path, state: _State) -> Iterator[Record]:
        try:
            _make(self.folder)
            unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=self.folder))  # 0700
        except OSError:
            yield from records
            return
        writer: _Writer | None = _Writer(unfinished, self._part)
        try:
            for record in records:
                if writer is not None and not writer.take(record):
                    writer = None
                    _forget(unfinished)
                yield record
            if writer is not None and writer.finish() and _state(path) == state:
                with contextlib.suppress(OSError):  # another program was quicker
                    unfinished.rename(self.folder / key)
        finally:
            _forget(unfinished)
        with contextlib.suppress(OSError, ValueError):  # somebody clears it just now, or has written into it
            self._prune()

    def _prune(self) -> None:
        """Removes what was not used for longest until the rest is small enough, and what was left half done."""
        found: list[tuple[float, int, Path]] = []
        for entry in self.folder.iterdir():
            with contextlib.suppress(OSError):
                if entry.name.startswith("unfinished-"):
                    if entry.stat().st_mtime < time.time() - _ABANDONED:
                        _forget(entry)
                elif entry.name != "known":
                    found.append(((entry / _WHOLE).stat().st_mtime, _size(entry), entry))
        total = sum(size for _, size, _ in found)
        for _, size, entry in sorted(found):
            if total <= self._most:
                break
            _forget(entry)
            total -= size
        for quick in (self.folder / "known").glob("*"):
            if not (self.folder / quick.read_text("ascii")).exists():
                quick.unlink()


# (name in the folder, bytes, time of the last change, time of the last change of its name or rights), both in ns
_State = tuple[tuple[str, int, int, int], ...]


class _Damaged(Exception):
    """An entry that is not there, or cannot be used."""


class _Writer:
    """Writes the records of one entry, part by part."""

    def __init__(self, folder: Path, part_characters: int) -> None:
        self._folder, self._most = folder, part_characters
        self._rows: list[tuple[str, str, int]] = []
        self._characters = self._parts = self._records = 0

    def take(self, record: Record) -> bool:
        """False where it cannot be written: nothing more is taken then."""
        row = _row(record, self._records)
        self._rows.append(row)
        self._records += 1
        self._characters += len(row[0]) + len(row[1])
        return self._characters < self._most or self._written()

    def finish(self) -> bool:
        whole = {"parts": self._parts + bool(self._rows), "records": self._records}
        if self._rows and not self._written():
            return False
        try:
            (self._folder / _WHOLE).write_text(json.dumps(whole), "ascii")
            (self._folder / _WHOLE).chmod(0o600)
        except OSError:
            return False
        return True

    def _written(self) -> bool:
        import polars

        schema = {"about": polars.String, "note": polars.String, "check": polars.UInt32}
        path = self._folder / f"{self._parts:06}.parquet"
        try:
            path.touch(0o600)
            table = polars.DataFrame(self._rows, schema=schema, orient="row")
            table.write_parquet(path, compression="zstd", compression_level=1, statistics=False)
        except (OSError, polars.exceptions.PolarsError):
            return False
        self._rows, self._characters = [], 0
        self._parts += 1
        return True


def _row(record: Record, place: int) -> tuple[str, str, int]:
    """The record as (all but the note, the note or "", checksum). Names of files need not be Unicode: escaped."""
    remarks = [asdict(remark) for remark in record.remarks]
    about = json.dumps([record.file, record.row, record.split, remarks])
    note = record.note.model_dump_json(exclude_defaults=True) if record.note is not None else ""
    return about, note, _checksum(place, about, note)


def _restored(about: str, note: str, check: int, place: int) -> Record | None:
    """The record of such a row; None where the row is damaged, or stood at another place."""
    try:
        if _checksum(place, about, note) != check:
            return None
        file, row, split, remarks = json.loads(about)
        found = tuple(Remark(cast(RemarkCode, one["code"]), one["what"], one["count"]) for one in remarks)
        known = cast(Literal["train", "validation", "test"] | None, split)
        return Record(file, row, Note.model_validate_json(note) if note else None, found, known)
    except (ValueError, KeyError, TypeError):  # of another program, or a note that this version does not take
        return None


def _checksum(place: int, about: str, note: str) -> int:
    return zlib.crc32(note.encode(), zlib.crc32(about.encode(), place))


def _state(path: Path) -> _State | None:
    """State of every file at the path; None where one cannot be looked at."""
    try:
        if path.is_file():
            files = [(path.name, path)]
        else:
            there = [Path(folder) / name for folder, _, names in os.walk(path) for name in names]
            files = sorted((one.relative_to(path).as_posix(), one) for one in there)
        seen = [(name, one.stat()) for name, one in files]
    except OSError:
        return None
    return tuple((name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) for name, stat in seen) or None


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _make(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)


def _forget(entry: Path) -> None:
    shutil.rmtree(entry, ignore_errors=True)


def _size(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(place) / name).stat().st_size
    return total
