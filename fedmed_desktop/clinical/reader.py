# SPDX-License-Identifier: Apache-2.0
"""Notes from JSON lines (`.jsonl`, `.jsonl.gz`), one per row; each fault is told with its row number.

Errors name the file, row, keys and offsets, never a note's words. Rows are read one by one and have a greatest length,
so that a wrong or hostile file cannot fill the memory.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, cast

from pydantic import ValidationError

from ..errors import UserFacingError, reason_of
from .notes import Note

MAX_ROW_BYTES: Final = 16 * 2**20
SUFFIXES: Final = (".jsonl", ".jsonl.gz")
_REQUIRED: Final = ("id", "text")
_DOCCANO: Final = ("label", "labels")
_GZIP_MAGIC: Final = b"\x1f\x8b"
_COUNTED_KEYS: Final = 100
_SHOWN_KEYS: Final = 10
_SHOWN_KEY_LENGTH: Final = 30


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
    """All notes of a file, in its order; `unread` counts the rows' keys that nothing reads.

    Raises UserFacingError: `clinical.notes_missing`, `.notes_unreadable`, `.notes_row` (row and reason),
    `.notes_empty`.
    """
    notes: list[Note] = []
    rows: dict[str, int] = {}
    with _opened(path) as file:
        for row, line in _lines(file, path.name):
            data = _parse(line, path.name, row)
            note = _note(data, path.name, row)
            if unread is not None:
                others = data.keys() - Note.model_fields.keys()
                unread.update(key for key in others if key in unread or len(unread) < _COUNTED_KEYS)
            first = rows.setdefault(note.id, row)
            if first != row:
                raise _row_error(path.name, row, f"its id is the id of row {first} too")
            notes.append(note)
    if not notes:
        raise UserFacingError("clinical.notes_empty", name=path.name)
    return notes


def read_notes_folder(folder: Path) -> SiteNotes:
    """The notes of a site: `train`, `validation` and, if there, `test`, each `.jsonl` or `.jsonl.gz`.

    Raises what read_notes raises, `clinical.notes_folder_missing`, `.notes_split_missing`, `.notes_split_twice`.
    """
    if not folder.is_dir():
        raise UserFacingError("clinical.notes_folder_missing", name=folder.name)
    paths = {split: _split_path(folder, split) for split in ("train", "validation", "test")}
    for split in ("train", "validation"):
        if paths[split] is None:
            raise UserFacingError("clinical.notes_split_missing", name=folder.name, split=split)
    unread: Counter[str] = Counter()
    read = {split: read_notes(path, unread) for split, path in paths.items() if path is not None}
    shown = {key[:_SHOWN_KEY_LENGTH]: rows for key, rows in unread.most_common(_SHOWN_KEYS)}
    return SiteNotes(read["train"], read["validation"], read.get("test"), shown)


def _split_path(folder: Path, split: str) -> Path | None:
    found = [path for suffix in SUFFIXES if (path := folder / f"{split}{suffix}").exists()]
    if len(found) > 1:
        raise UserFacingError("clinical.notes_split_twice", name=folder.name, split=split)
    return found[0] if found else None


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The file's bytes, unpacked; read errors become UserFacingErrors, also later ones."""
    name = path.name
    if not path.exists():
        raise UserFacingError("clinical.notes_missing", name=name)
    if not name.endswith(SUFFIXES):
        raise _unreadable(name, "its name ends in none of .jsonl, .jsonl.gz")
    try:
        with path.open("rb") as raw:
            packed = name.endswith(".gz")
            if not packed and raw.read(2) == _GZIP_MAGIC:
                raise _unreadable(name, "it is packed with gzip, but not named .jsonl.gz")
            raw.seek(0)
            if packed:
                with gzip.GzipFile(fileobj=raw) as unpacked:
                    yield cast(BinaryIO, unpacked)
            else:
                yield raw
    except gzip.BadGzipFile:
        raise _unreadable(name, "it is not a gzip file") from None
    except (EOFError, zlib.error):
        raise _unreadable(name, "it is cut off or damaged") from None
    except OSError as error:
        raise _unreadable(name, reason_of(error), retryable=True) from None


def _lines(file: BinaryIO, name: str) -> Iterator[tuple[int, str]]:
    """Row numbers from 1 and rows; blank rows are counted and passed over."""
    row = 0
    while line := file.readline(MAX_ROW_BYTES + 1):
        row += 1
        if len(line) > MAX_ROW_BYTES:
            raise _row_error(name, row, f"it is longer than {MAX_ROW_BYTES // 2**20} MiB")
        try:
            text = line.decode("utf-8-sig" if row == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise _row_error(name, row, f"byte {error.start + 1} is not UTF-8") from None
        if "\x00" in text:
            raise _row_error(name, row, "it holds zero bytes: this is not a text file")
        if text.strip():
            yield row, text


def _parse(line: str, name: str, row: int) -> dict[str, object]:
    try:
        data = json.loads(line)
    except json.JSONDecodeError as error:
        raise _row_error(name, row, f"not valid JSON at column {error.colno}: {error.msg}") from None
    except (ValueError, RecursionError):
        raise _row_error(name, row, "not valid JSON: a number too long or lists too deep") from None
    if not isinstance(data, dict):
        raise _row_error(name, row, "not a JSON object")
    missing = [key for key in _REQUIRED if key not in data]
    if missing:
        raise _row_error(name, row, f"missing {_listed(missing)}; found {_listed(sorted(data)) or 'no keys'}")
    return data


def _note(data: dict[str, object], name: str, row: int) -> Note:
    """The note in a row, whose `label` is taken out of `data` where doccano has written it."""
    if isinstance(data["id"], int) and not isinstance(data["id"], bool):
        data["id"] = str(data["id"])
    if data.get("entities") in (None, []):
        for key in _DOCCANO:
            if isinstance(labels := data.get(key), list) and not all(isinstance(label, str) for label in labels):
                data["entities"] = _from_doccano(labels, key, str(data["text"]), name, row)
                del data[key]
    try:
        return Note.model_validate(data)
    except ValidationError as error:
        raise _row_error(name, row, _reason(error)) from None


def _from_doccano(labels: list[object], key: str, text: str, name: str, row: int) -> list[dict[str, object]]:
    """doccano's [start, end, type] rows as entities; their offsets count characters."""
    entities: list[dict[str, object]] = []
    for number, label in enumerate(labels, 1):
        match label:
            case [int(start), int(end), str(kind)]:
                mention = text[start:end] if 0 <= start < end else ""
                entities.append({"id": f"T{number}", "start": start, "end": end, "type": kind, "text": mention})
            case _:
                raise _row_error(name, row, f"'{key}' {number} is not [start, end, type], as doccano writes it")
    return entities


def _reason(error: ValidationError) -> str:
    """The first error and its place. Pydantic's messages say what was expected, without the input."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    # Entities are counted from 1 in every message.
    where = " ".join(str(part + 1) if isinstance(part, int) else part for part in first["loc"])
    what = first["msg"].removeprefix("Value error, ")
    return f"{where}: {what}" if where else what


def _listed(keys: list[str]) -> str:
    """Keys for a message, few and short: a broken file may have anything as a key."""
    shown = [f"'{key[:_SHOWN_KEY_LENGTH]}'" for key in keys[:_SHOWN_KEYS]]
    more = len(keys) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _unreadable(name: str, reason: str, retryable: bool = False) -> UserFacingError:
    return UserFacingError("clinical.notes_unreadable", name=name, reason=reason, retryable=retryable)


def _row_error(name: str, row: int, reason: str) -> UserFacingError:
    return UserFacingError("clinical.notes_row", name=name, row=row, reason=reason)
