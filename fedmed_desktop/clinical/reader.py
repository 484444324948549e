# SPDX-License-Identifier: Apache-2.0
"""Notes to train on, of any format: strictly, so that the first row that cannot be used is an error with its number.

Errors name the file, row, keys and offsets, never a note's words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final, Literal, get_args

from ..errors import UserFacingError
from .notes import Note
from .readers import SUFFIXES, Record, Remark
from .readers.cache import NotesCache
from .readers.folder import Part, beside, named_apart, parts_of

_LOOKED_ON: Final = 10_000
"""How many rows after a wrong one are read, to say how many more are wrong."""
_COUNTED_KEYS: Final = 100
_SHOWN_KEYS: Final = 10

Split = Literal["train", "validation", "test"]
SPLITS: Final[tuple[Split, ...]] = get_args(Split)


@dataclass
class Unread:
    """Parts of notes that nothing reads: keys of rows with their numbers of rows, and files, also sheets of them."""

    keys: Counter[str] = field(default_factory=Counter)
    files: list[str] = field(default_factory=list)

    def take(self, record: Record, file: str) -> None:
        """Takes note of what a reader remarks; of different keys, no more than a person would look at."""
        for remark in record.remarks:
            if remark.code == "sheet_not_read":
                self.files.append(f"{file} ({remark.what})")
            elif remark.code == "key_not_read" and (remark.what in self.keys or len(self.keys) < _COUNTED_KEYS):
                self.keys[remark.what] += 1


@dataclass(frozen=True)
class SiteNotes:
    """A site's notes: to train on, to choose and score rounds by, and perhaps to test once.

    `unread`: keys that nothing reads, with their numbers of rows, most frequent first; `unread_files`: files.
    """

    train: list[Note]
    validation: list[Note]
    test: list[Note] | None
    unread: Mapping[str, int] = field(default_factory=dict)
    unread_files: tuple[str, ...] = ()


def read_notes(path: Path, unread: Unread | None = None, before: str = "") -> list[Note]:
    """All notes of a file or folder, in its order or that of its files; `unread` takes what nothing reads,
    with `before` in front of the files' names.

    Notes of several files that have the same id are told apart, as where a split is written.

    Raises UserFacingError: `clinical.notes_missing`, `.notes_format`, `.notes_unreadable`, `.notes_row` and
    `.notes_rows` (row and reason), `.notes_file` (where a file is one note), `.notes_empty`.
    """
    parts = parts_of(path)
    if unread is not None:
        unread.files += (before + name for name in parts.unread)
    notes = [note for part in parts.read for note in _strictly(part, unread, before)]
    if not notes:
        raise UserFacingError("clinical.notes_empty", name=path.name)
    return notes if len(parts.read) == 1 else list(named_apart(notes))


def _strictly(part: Part, unread: Unread | None, before: str) -> Iterator[Note]:
    records = NotesCache().records(part.path, part.reader)
    for record in records:
        if record.refusal:
            raise _refused(record, record.refusal, sum(one.refusal is not None for one in islice(records, _LOOKED_ON)))
        if record.note is not None:
            yield record.note
        if unread is not None:
            unread.take(record, before + (part.name or record.file))


def read_notes_folder(folder: Path) -> SiteNotes:
    """The notes of a site: `train`, `validation` and, if there, `test`, each a file or a folder of any format.

    Raises what read_notes raises, `clinical.notes_folder_missing`, `.notes_split_missing`, `.notes_split_twice`.
    """
    if not folder.is_dir():
        raise UserFacingError("clinical.notes_folder_missing", name=folder.name)
    for split in ("train", "validation"):
        if split_path(folder, split) is None:
            raise UserFacingError("clinical.notes_split_missing", name=folder.name, split=split)
    unread = Unread()
    read = read_splits(folder, unread)
    shown = dict(unread.keys.most_common(_SHOWN_KEYS))
    return SiteNotes(read["train"], read["validation"], read.get("test"), shown, tuple(unread.files))


def read_splits(folder: Path, unread: Unread) -> dict[Split, list[Note]]:
    """The notes of each split that a folder has. Raises what read_notes raises, `clinical.notes_split_twice`."""
    there = {split: path for split in SPLITS if (path := split_path(folder, split))}
    if there:
        unread.files += beside(folder, there.values())
    within = {split: f"{path.name}/" if path.is_dir() else "" for split, path in there.items()}
    return {split: read_notes(path, unread, within[split]) for split, path in there.items()}


def split_path(folder: Path, split: str) -> Path | None:
    """Path of a split in a site's folder: a folder of its name, or a file of its name with a known ending."""
    names = [split, *(f"{split}{suffix}" for suffix in SUFFIXES)]
    found = [path for name in names if (path := folder / name).exists()]
    if len(found) > 1:
        first, second = found[:2]
        raise UserFacingError("clinical.notes_split_twice", name=folder.name, first=first.name, second=second.name)
    return found[0] if found else None


def _refused(record: Record, refusal: Remark, more: int) -> UserFacingError:
    """The error about the first row that cannot be used; `more`: how many others were seen."""
    name, reason = record.file, refusal.reason
    if record.row is None:
        return UserFacingError("clinical.notes_file", name=name, reason=reason)
    if more:
        return UserFacingError("clinical.notes_rows", name=name, row=record.row, reason=reason, more=more)
    return UserFacingError("clinical.notes_row", name=name, row=record.row, reason=reason)
