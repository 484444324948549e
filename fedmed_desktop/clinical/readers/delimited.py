# SPDX-License-Identifier: Apache-2.0
"""CSV and its relatives, row by row: encodings, separators and quoting as programs and hospitals write them.

Python's own csv module reads the rows, since it goes on after a bad one, and never needs more than one in memory.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from .columns import guessed
from .record import Remark
from .rows import opened, unreadable
from .table_rows import Row
from .text import encoding_of, named

SUFFIXES: Final = (".csv", ".tsv", ".tab", ".csv.gz", ".tsv.gz")
_SEPARATORS: Final = (",", ";", "\t", "|")
_MOST_IN_ROW: Final = 16 * 2**20
_SAMPLE: Final = 256 * 1024
_SAMPLE_ROWS: Final = 20
_BLOCK: Final = 2**20


@dataclass(frozen=True)
class Dialect:
    """Form of a file's rows. `announced`: it begins with a line "sep=;", as Excel writes and reads it."""

    encoding: str
    separator: str
    announced: bool = False


def dialect_of(path: Path, said_text: str | None = None) -> tuple[Dialect, tuple[Remark, ...]]:
    """The file's encoding and separator; a guessed encoding is remarked on. Raises UserFacingError.

    `said_text`: the name that a person has given for the column of the text.
    """
    with opened(path) as file:
        encoding, guess = _encoding(file, path)
    with opened(path) as file, _as_text(file, encoding) as text:
        try:
            sample = text.read(_SAMPLE)
        except UnicodeDecodeError:
            raise unreadable(path.name, f"a byte near its beginning is not {named(encoding)}") from None
    if "\x00" in sample:
        raise unreadable(path.name, "it holds zero bytes: this is not a text file")
    if not sample.strip():
        raise unreadable(path.name, "it is empty")
    first, _, _ = sample.partition("\n")
    announced = first.strip().casefold()
    if announced.startswith("sep=") and len(announced) == 5:
        dialect = Dialect(encoding, first.strip()[4], announced=True)
    else:
        whole = sample if len(sample) < _SAMPLE else sample[: sample.rfind("\n") + 1] or sample
        dialect = Dialect(encoding, max(_SEPARATORS, key=lambda one: _likelihood(whole, one, said_text)))
    return dialect, (Remark("encoding_guessed", named(encoding)),) if guess else ()


def header_and_rows(path: Path, dialect: Dialect) -> tuple[list[str], Iterator[Row]]:
    """The header (row 1), and the rows after it, counted as a spreadsheet does. Raises UserFacingError."""
    rows = _rows(path, dialect)
    try:
        header = next(rows)[1]
    except StopIteration:
        raise unreadable(path.name, "it has no header row") from None
    if isinstance(header, str):
        raise unreadable(path.name, f"its header row cannot be read: {header}")
    names = [str(name).strip() for name in header]
    return names, _checked(rows, len(names))


def _checked(rows: Iterator[Row], width: int) -> Iterator[Row]:
    for row, cells in rows:
        if isinstance(cells, str):
            yield row, cells
        elif any(cells):  # an empty line, or one of separators only, is no row
            cells = [*cells[:width], *(value for value in cells[width:] if value)]  # separators too many at the end
            if len(cells) != width:
                yield row, f"it has {len(cells)} cells, but the header has {width}; check its quotation marks"
            elif any("\x00" in str(value) for value in cells):
                yield row, "it holds zero bytes"
            else:
                yield row, cells


def _rows(path: Path, dialect: Dialect) -> Iterator[Row]:
    with opened(path) as file, _as_text(file, dialect.encoding) as text:
        if dialect.announced:
            text.readline()
        reader = _reader(_Lines(text), dialect.separator, strict=True)
        row = 0
        while True:
            row += 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield row, _reason(str(error))
            except UnicodeDecodeError as error:
                raise unreadable(
                    path.name, f"a byte in row {row} or soon after is not {named(error.encoding)}"
                ) from None
            else:
                yield row, cells


def _reader(lines: Iterable[str], separator: str, strict: bool = False) -> Iterator[list[str]]:
    # For the whole process, and lower by default than a long note.
    csv.field_size_limit(max(csv.field_size_limit(), _MOST_IN_ROW))
    return csv.reader(lines, delimiter=separator, strict=strict)


class _Lines:
    """The lines of a file, none longer than a row may be, so that a file without line ends cannot fill the memory."""

    def __init__(self, text: io.TextIOBase) -> None:
        self._text = text

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._text.readline(_MOST_IN_ROW)
        if not line:
            raise StopIteration
        if len(line) == _MOST_IN_ROW and not line.endswith("\n"):
            while (more := self._text.readline(_BLOCK)) and not more.endswith("\n"):
                pass
            raise csv.Error("line too long")
        return line


def _reason(message: str) -> str:
    if "field larger" in message or "too long" in message:
        return f"it is longer than {_MOST_IN_ROW // 2**20} million characters; a quotation mark may not be closed"
    if "unexpected end" in message:
        return "a quotation mark that opens in it is never closed, so that it and all that follows cannot be read"
    if "expected after" in message:
        return "a quotation mark inside a cell is not doubled"
    return "it is not a row of a table"


def _likelihood(sample: str, separator: str, said_text: str | None) -> tuple[bool, float, int]:
    """Judges whether a known column comes out, the share of rows as wide as the header, and how wide that is."""
    # Rows that are cut off, or not well quoted with this separator, speak against it only as others speak for it.
    reader = _reader(io.StringIO(sample, newline=""), separator)
    try:
        header = [name.strip() for name in next(reader)]
        rows = [row for _, row in zip(range(_SAMPLE_ROWS), reader, strict=False) if row]
    except (csv.Error, StopIteration):
        return False, 0.0, 0
    known = said_text in header if said_text else guessed(header).usable
    # What a quoted cell at the end of the sample has swallowed is not counted.
    same = sum(len(row) == len(header) for row in rows[:-1] or rows)
    return known, same / max(1, len(rows[:-1] or rows)), len(header)


def _encoding(file: BinaryIO, path: Path) -> tuple[str, bool]:
    """The codec of the whole file: UTF-8 if all of it is, else what the part around the first other byte looks like."""
    try:
        head = file.read(_SAMPLE)
        encoding, guess = encoding_of(head)
        if encoding not in ("utf-8", "utf-8-sig"):
            return encoding, guess
        decoder = codecs.getincrementaldecoder("utf-8")()
        block = head
        while block:
            try:
                decoder.decode(block)
            except UnicodeDecodeError:
                if encoding == "utf-8-sig":
                    return encoding, False  # its mark says so: what is not is damaged, and told with its row
                return encoding_of(block + file.read(_BLOCK))
            block = file.read(_BLOCK)
    except ValueError as error:
        raise unreadable(path.name, str(error)) from None
    return encoding, guess


@contextmanager
def _as_text(file: BinaryIO, encoding: str) -> Iterator[io.TextIOBase]:
    text = io.TextIOWrapper(file, encoding=encoding, newline="")  # line ends inside cells are the note's
    try:
        yield text
    finally:
        text.detach()  # the file is closed by who has opened it
