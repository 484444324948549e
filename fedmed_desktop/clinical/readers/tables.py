# SPDX-License-Identifier: Apache-2.0
"""CSV, Excel and Parquet files as tables of notes; which column became what can be asked before reading."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ...errors import UserFacingError, reason_of
from .columns import Columns, guessed, listed
from .delimited import SUFFIXES, dialect_of, header_and_rows
from .record import Record, Remark
from .rows import unreadable
from .shape import SHOWN_KEY_LENGTH
from .table_rows import Row, cell, records

if TYPE_CHECKING:
    import fastexcel
    import polars

_PARQUET: Final = (".parquet", ".pq")
_WORKBOOKS: Final = (".xlsx", ".xlsm", ".xlsb", ".xls")
TABLE_SUFFIXES: Final = (*SUFFIXES, *_PARQUET, *_WORKBOOKS)
_ZIPPED: Final = (".xlsx", ".xlsm", ".xlsb")
_MOST_UNPACKED: Final = 2**30
_MOST_PACKED: Final = 1032  # bytes in one, the most that this way of packing can do
_PIECE: Final = 2**20
_BATCH: Final = 1000
_MOST_ABOVE: Final = 20
_MOST_UNREAD: Final = 100


@dataclass(frozen=True)
class CsvReader:
    """CSV, TSV and their like. `said`: role -> column, where the names of the columns do not say it."""

    said: Mapping[str, str] = field(default_factory=dict)
    name: str = "CSV"

    def fits(self, path: Path, head: bytes) -> bool:
        return bool(head) and path.name.lower().endswith(SUFFIXES)

    def columns(self, path: Path) -> Columns:
        """Finds which column became what. Raises UserFacingError."""
        return self._open(path)[0]

    def read(self, path: Path) -> Iterator[Record]:
        columns, header, rows, remarks = self._open(path)
        yield from _remarked(records(path.name, columns, header, rows), (*remarks, *_unread(columns)))

    def _open(self, path: Path) -> tuple[Columns, list[str], Iterator[Row], tuple[Remark, ...]]:
        dialect, remarks = dialect_of(path, self.said.get("text"))
        header, rows = header_and_rows(path, dialect)
        return _usable(path, header, guessed(header, self.said)), header, rows, remarks


@dataclass(frozen=True)
class ParquetReader:
    """Parquet, a part at a time; its columns may hold lists (of codes, options, entities)."""

    said: Mapping[str, str] = field(default_factory=dict)
    name: str = "Parquet"

    def fits(self, path: Path, head: bytes) -> bool:
        return path.name.lower().endswith(_PARQUET) or head.startswith(b"PAR1")

    def columns(self, path: Path) -> Columns:
        """Finds which column became what. Raises UserFacingError."""
        return self._open(path)[1]

    def read(self, path: Path) -> Iterator[Record]:
        frame, columns = self._open(path)
        header = list(dict.fromkeys(name for _, name in columns.roles()))
        rows = self._rows(path, frame, header)
        yield from _remarked(records(path.name, columns, header, rows), _unread(columns))

    def _open(self, path: Path) -> tuple[polars.LazyFrame, Columns]:
        import polars

        # A damaged file makes its Rust code panic, which is no Exception.
        try:
            if path.stat().st_size < 12:
                raise unreadable(path.name, "it is empty or cut off")
            frame = polars.scan_parquet(path, glob=False)
            header = frame.collect_schema().names()
        except (polars.exceptions.PolarsError, polars.exceptions.PanicException, OSError) as error:
            raise _not_parquet(path, error) from None
        return frame, _usable(path, header, guessed(header, self.said))

    def _rows(self, path: Path, frame: polars.LazyFrame, header: Sequence[str]) -> Iterator[Row]:
        import polars

        try:
            total = frame.select(polars.len()).collect().item()
            for first in range(0, total, _BATCH):
                part = frame.select(header).slice(first, _BATCH).collect()
                yield from enumerate(part.iter_rows(), first + 1)
        except (polars.exceptions.PolarsError, polars.exceptions.PanicException, OSError) as error:
            raise _not_parquet(path, error) from None


@dataclass(frozen=True)
class ExcelReader:
    """Excel workbooks: the first sheet that has a column of texts; the others are named in its `Columns`."""

    said: Mapping[str, str] = field(default_factory=dict)
    name: str = "Excel"

    def fits(self, path: Path, head: bytes) -> bool:
        return bool(head) and path.name.lower().endswith(_WORKBOOKS)

    def columns(self, path: Path) -> Columns:
        """Finds which column became what, and on which sheet. Raises UserFacingError."""
        return self._open(path)[0]

    def read(self, path: Path) -> Iterator[Record]:
        columns, header, frame, first = self._open(path)
        rows = ((row, cells) for row, cells in enumerate(frame.iter_rows(), first) if any(map(cell, cells)))
        yield from _remarked(records(path.name, columns, header, rows), _unread(columns))

    def _open(self, path: Path) -> tuple[Columns, list[str], polars.DataFrame, int]:
        """The columns, the header, the rows below it and the number of the first of them."""
        import fastexcel

        _bounded(path)
        failure: UserFacingError | None = None
        try:
            book = fastexcel.read_excel(path)
            for sheet in book.sheet_names:
                if not (frame := _sheet(book, sheet)).width:
                    continue
                try:
                    above, header, columns = self._header(path, frame)
                except UserFacingError as error:
                    failure = failure or error
                    continue
                others = tuple(name for name in book.sheet_names if name != sheet)
                return replace(columns, sheet=sheet, other_sheets=others), header, frame[above + 1 :], above + 2
        except fastexcel.FastExcelError as error:
            raise unreadable(path.name, _excel_reason(str(error))) from None
        raise failure or unreadable(path.name, "its sheets are empty")

    def _header(self, path: Path, frame: polars.DataFrame) -> tuple[int, list[str], Columns]:
        """Finds how many rows are above the header, and what it says: titles and dates of an export may be above it."""
        failure: UserFacingError | None = None
        for above, cells in enumerate(frame.head(_MOST_ABOVE).iter_rows()):
            header = [cell(value).strip() for value in cells]
            if any(header):
                try:
                    return above, header, _usable(path, header, guessed(header, self.said))
                except UserFacingError as error:
                    failure = failure or error
        raise failure or unreadable(path.name, "its first rows are empty")


TableReader = CsvReader | ParquetReader | ExcelReader
"""Those that are asked for their columns, and told them: `replace(reader, said=...)`."""


def _sheet(book: fastexcel.ExcelReader, name: str) -> polars.DataFrame:
    """All cells of a sheet from its first row on, as text: of a column of numbers and words, none may be lost."""
    # header_row None and skip_rows 0: else empty rows above are left out, and the rows' numbers are wrong.
    sheet: Any = book.load_sheet(name, header_row=None, skip_rows=0, dtypes="string")
    frame: polars.DataFrame = sheet.to_polars()
    return frame


def _usable(path: Path, header: Sequence[str], columns: Columns) -> Columns:
    if not columns.usable:
        raise UserFacingError("clinical.table_no_text", name=path.name, found=listed(header))
    return columns


def _unread(columns: Columns) -> tuple[Remark, ...]:
    keys = [Remark("key_not_read", name[:SHOWN_KEY_LENGTH]) for name in columns.unread[:_MOST_UNREAD]]
    sheets = [Remark("sheet_not_read", name[:SHOWN_KEY_LENGTH]) for name in columns.other_sheets[:_MOST_UNREAD]]
    return (*keys, *sheets)


def _remarked(rows: Iterator[Record], remarks: tuple[Remark, ...]) -> Iterator[Record]:
    """The records, the first with the remarks that concern the file as a whole."""
    for number, record in enumerate(rows):
        yield replace(record, remarks=(*record.remarks, *remarks)) if number == 0 else record


def _bounded(path: Path) -> None:
    """Raises UserFacingError if it is no workbook, or so large unpacked that it would fill the memory."""
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise unreadable(path.name, "it is empty")
            file.seek(0)
            if path.name.lower().endswith(_ZIPPED) and zipfile.is_zipfile(file):
                with zipfile.ZipFile(file) as packed:
                    if _unpacks_to_more(packed, path.stat().st_size):
                        raise unreadable(path.name, f"unpacked it is over {_MOST_UNPACKED // 2**30} GB; save it as CSV")
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError):
        raise unreadable(path.name, "it is not an Excel workbook, or damaged") from None
    except OSError as error:
        raise unreadable(path.name, reason_of(error), retryable=True) from None


def _unpacks_to_more(packed: zipfile.ZipFile, size: int) -> bool:
    """True if its parts are too large, whatever they say about themselves: a hostile file says what it likes."""
    unpacked = sum(part.file_size for part in packed.infolist())
    if size * _MOST_PACKED > _MOST_UNPACKED:
        unpacked = 0
        for part in packed.infolist():
            part.file_size = _MOST_UNPACKED + 2 * _PIECE  # more than is looked at
            with packed.open(part) as stream:
                while unpacked <= _MOST_UNPACKED and (piece := stream.read(_PIECE)):
                    unpacked += len(piece)
    return unpacked > _MOST_UNPACKED


def _excel_reason(message: str) -> str:
    """Says why a workbook cannot be read; the library's message may quote cells."""
    if "assword" in message or "crypt" in message:
        return "it is protected with a password; save it without one"
    return "it is not an Excel workbook, or damaged"


def _not_parquet(path: Path, error: BaseException) -> UserFacingError:
    if isinstance(error, OSError) and error.errno is not None:
        return unreadable(path.name, reason_of(error), retryable=True)
    return unreadable(path.name, "it is not a Parquet file, or damaged")
