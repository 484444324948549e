# SPDX-License-Identifier: Apache-2.0
"""Rows of JSON in the shapes that annotation tools give them, read one by one into notes.

A file may mix shapes (a tool leaves out what a row does not have), so each row is read as what it is; the reader that
is chosen for a file only says by which name the file goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final, Literal

from ..notes import Note
from .json_values import SUFFIXES, Row, json_objects
from .mentions import Marked, annotated
from .record import Record, Refused, Remark

_SPLITS: Final[Mapping[str, Literal["train", "validation", "test"]]] = {
    "train": "train", "training": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "test": "test",
}  # fmt: skip
_LOOKED_AT: Final = 20
_SHOWN_KEYS: Final = 10
SHOWN_KEY_LENGTH: Final = 30
_LONGEST_ID: Final = 180


@dataclass(frozen=True)
class Shape:
    """Form in which one tool writes a row: whether a row is in it, and what it says. `marked` may raise Refused."""

    name: str
    fits: Callable[[Row], bool]
    marked: Callable[[Row, int], Marked]
    reads: frozenset[str]
    """The keys that are read, or known to say nothing about the note."""
    repeats: bool = False
    """True where a row with an id that was there before is by another annotator: it gets its number as well."""


@dataclass(frozen=True)
class JsonReader:
    """The reader of files whose first row is in its shape; a row may have any of `shapes`; the last fits all."""

    shape: Shape
    shapes: tuple[Shape, ...]

    @property
    def name(self) -> str:
        return self.shape.name

    def fits(self, path: Path, head: bytes) -> bool:
        if not path.name.lower().endswith(SUFFIXES) or path.is_dir():
            return False
        first = (row for _, row in islice(json_objects(path), _LOOKED_AT) if not isinstance(row, Refused))
        return self._shape(next(first, {})) == self.shape

    def read(self, path: Path) -> Iterator[Record]:
        seen: dict[str, int] = {}
        for number, row in json_objects(path):
            try:
                if isinstance(row, Refused):
                    raise row
                yield self._record(path.name, number, row, seen)
            except Refused as refused:
                yield Record(path.name, number, None, (refused.remark,))

    def _shape(self, row: Row) -> Shape:
        return next(one for one in self.shapes if one.fits(row))

    def _record(self, file: str, number: int, row: Row, seen: dict[str, int]) -> Record:
        shape = self._shape(row)
        marked = shape.marked(row, number)
        note, remarks = annotated(marked)
        if shape.repeats and note.document is not None and note.id in seen:
            note = note.model_copy(update={"id": f"{note.id[:_LONGEST_ID]}.{number}"})
        once(note, number, seen)
        others = sorted(row.keys() - shape.reads - Note.model_fields.keys() - {"split"})
        unread = tuple(Remark("key_not_read", key[:SHOWN_KEY_LENGTH]) for key in others[:100])
        return Record(file, number, note, (*remarks, *unread), split_of(row.get("split")))


def once(note: Note, number: int, seen: dict[str, int]) -> None:
    """Raises Refused if the id was there before."""
    first = seen.setdefault(note.id, number)
    if first != number:
        raise Refused("repeated_id", f"row {first}")


def split_of(value: object) -> Literal["train", "validation", "test"] | None:
    """The split that a row names, if it is one."""
    return _SPLITS.get(value.strip().lower()) if isinstance(value, str) else None


def fields_of(row: Row, *others: str) -> Row:
    """Keys of the note itself in a row, under our own names; `others` are keys by which a tool means other things."""
    left_out = {"entities", "relations", *others}
    fields = {key: value for key, value in row.items() if key in Note.model_fields and key not in left_out}
    return fields | {key: name_of(fields[key]) for key in ("id", "patient", "document") if key in fields}


def name_of(value: object) -> object:
    """An id as a string, where a tool counts its rows."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def needed(row: Row, *keys: str) -> None:
    """Raises Refused if a key is not there."""
    if missing := [key for key in keys if key not in row]:
        raise Refused("malformed", f"missing {listed(missing)}; found {listed(sorted(row)) or 'no keys'}")


def listed(keys: list[str]) -> str:
    """Keys for a message, few and short: a broken file may have anything as a key."""
    shown = [f"'{key[:SHOWN_KEY_LENGTH]}'" for key in keys[:_SHOWN_KEYS]]
    more = len(keys) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
