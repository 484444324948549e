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
from typing import Final

from ..errors import UserFacingError
from .notes import Note
from .readers import SUFFIXES, Record, Remark
from .readers.cache import NotesCache
from .readers.folder import Part, named_apart, parts_of
from .readers.shape import SHOWN_KEY_LENGTH

_LOOKED_ON: Final = 10_000
"""How many rows after a wrong one are read, to say how many more are wrong."""
_COUNTED_KEYS: Final = 100
_SHOWN_KEYS: Final = 10


@dataclass(frozen=True)
class SiteNotes:
    """A site's notes: to train on, to choose and score rounds by, and perhaps to test once.

    `unread`: keys that nothing reads, with their numbers of rows, most frequent first.
    """

    train: list[Note]
    validation: list[Note]
    test: list[Note] | None
    unread: Mapping[str, int] = field(default_factory=dict)


def read_notes(path: Path, unread: Counter[str] | None = None) -> list[Note]:
    """All notes of a file or folder, in its order or that of its files; `unread` counts what nothing reads.

    These are keys, and files of a folder ("file letters.pdf"). Notes of several files that have the same id are told
    apart, as where a split is written.

    Raises UserFacingError: `clinical.notes_missing`, `.notes_format`, `.notes_unreadable`, `.notes_row` and
    `.notes_rows` (row and reason), `.notes_file` (where a file is one note), `.notes_empty`.
    """
    parts = parts_of(path)
    if unread is not None:
        unread.update(f"file {name}"[:SHOWN_KEY_LENGTH] for name in parts.unread[:_COUNTED_KEYS])
    notes = [note for part in parts.read for note in _strictly(part, unread)]
    if not notes:
        raise UserFacingError("clinical.notes_empty", name=path.name)
    return notes if len(parts.read) == 1 else list(named_apart(notes))


def _strictly(part: Part, unread: Counter[str] | None) -> Iterator[Note]:
    records = NotesCache().records(part.path, part.reader)
    for record in records:
        if record.refusal:
            raise _refused(record, record.refusal, sum(one.refusal is not None for one in islice(records, _LOOKED_ON)))
        if record.note is not None:
            yield record.note
        if unread is not None:
            others = [remark.what for remark in record.remarks if remark.code == "key_not_read"]
            unread.update(key for key in others if key in unread or len(unread) < _COUNTED_KEYS)


def read_notes_folder(folder: Path) -> SiteNotes:
    """The notes of a site: `train`, `validation` and, if there, `test`, each a file or a folder of any format.

    Raises what read_notes raises, `clinical.notes_folder_missing`, `.notes_split_missing`, `.notes_split_twice`.
    """
    if not folder.is_dir():
        raise UserFacingError("clinical.notes_folder_missing", name=folder.name)
    paths = {split: split_path(folder, split) for split in ("train", "validation", "test")}
    for split in ("train", "validation"):
        if paths[split] is None:
            raise UserFacingError("clinical.notes_split_missing", name=folder.name, split=split)
    unread: Counter[str] = Counter()
    read = {split: read_notes(path, unread) for split, path in paths.items() if path is not None}
    shown = dict(unread.most_common(_SHOWN_KEYS))
    return SiteNotes(read["train"], read["validation"], read.get("test"), shown)


def split_path(folder: Path, split: str) -> Path | None:
    """Where a site's folder has a split: a folder of its name, or a file of its name with a known ending."""
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
