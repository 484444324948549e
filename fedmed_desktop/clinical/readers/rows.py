# SPDX-License-Identifier: Apache-2.0
"""Lines and JSON values of a file, one at a time and of bounded size, also from a file compressed with gzip.

A wrong or hostile file cannot fill the memory: what is longer than a row may be is passed over in small pieces.
"""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, Final, cast

from ...errors import UserFacingError, reason_of
from .record import Refused
from .text import encoding_of, named

MAX_ROW_BYTES: Final = 16 * 2**20
HEAD_BYTES: Final = 64 * 1024
_GZIP_MAGIC: Final = b"\x1f\x8b"
_PIECE: Final = 2**20


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The file's bytes, unpacked if its name ends in .gz. Errors of reading, later ones too, are UserFacingErrors."""
    name = path.name
    if not path.exists():
        raise UserFacingError("clinical.notes_missing", name=name)
    try:
        with path.open("rb") as raw:
            packed = name.lower().endswith(".gz")
            if not packed and raw.read(2) == _GZIP_MAGIC:
                raise unreadable(name, "it is compressed with gzip, but its name does not end in .gz")
            raw.seek(0)
            if packed:
                with gzip.GzipFile(fileobj=raw) as unpacked:
                    yield cast(BinaryIO, unpacked)
            else:
                yield raw
    except gzip.BadGzipFile:
        raise unreadable(name, "it is not a gzip file") from None
    except (EOFError, zlib.error):
        raise unreadable(name, "it is cut off or damaged") from None
    except OSError as error:
        raise unreadable(name, reason_of(error), retryable=True) from None


def unreadable(name: str, reason: str, retryable: bool = False) -> UserFacingError:
    return UserFacingError("clinical.notes_unreadable", name=name, reason=reason, retryable=retryable)


def head_of(path: Path) -> bytes:
    """The first bytes of a file, unpacked; what a format is known by."""
    with opened(path) as file:
        return file.read(HEAD_BYTES)


def encoding_of_file(path: Path) -> tuple[str, bool]:
    """The codec of a file of any size, and whether it had to be guessed. Raises ValueError if it is no text."""
    with opened(path) as file:
        encoding, guessed = encoding_of(file.read(4096))
        if encoding.startswith("utf") and encoding != "utf-8":
            return encoding, guessed
        file.seek(0)
        odd = io.BytesIO()
        whole = True
        while line := file.readline(_PIECE):
            if not line.isascii() and odd.tell() < HEAD_BYTES:
                odd.write(line)
                whole = whole and len(line) < _PIECE
        return encoding_of(odd.getvalue()) if whole else ("utf-8", False)


def lines(path: Path, encoding: str | None = None) -> Iterator[tuple[int, str | Refused]]:
    """Line numbers from 1 and lines with their ends, or why a line cannot be read.

    `encoding` None: UTF-8, or UTF-16 if the file's beginning says so.
    """
    with opened(path) as file:
        if encoding is None:
            head = file.read(4096)
            file.seek(0)
            try:
                encoding = encoding_of(head)[0]
            except ValueError:
                encoding = "utf-8"
            if not encoding.startswith("utf"):
                encoding = "utf-8"  # JSON is never in anything else; a wrong byte is told with its row
        if encoding in ("utf-8", "utf-8-sig"):
            yield from _byte_lines(file)
        else:
            yield from _decoded_lines(file, encoding)


def _byte_lines(file: BinaryIO) -> Iterator[tuple[int, str | Refused]]:
    row = 0
    while line := file.readline(MAX_ROW_BYTES + 1):
        row += 1
        if len(line) > MAX_ROW_BYTES:
            while line and not line.endswith(b"\n"):
                line = file.readline(_PIECE)
            yield row, _too_long()
            continue
        if row == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            yield row, Refused("malformed", f"byte {error.start + 1} is not UTF-8")
            continue
        yield row, _checked(text)


def _decoded_lines(file: BinaryIO, encoding: str) -> Iterator[tuple[int, str | Refused]]:
    """Yields lines as above for encodings in which the byte of a line end may be part of another character."""
    row = 0
    wrapped = io.TextIOWrapper(cast(IO[bytes], file), encoding=encoding, newline="\n")
    try:
        while line := wrapped.readline(MAX_ROW_BYTES + 1):
            row += 1
            if len(line) > MAX_ROW_BYTES:
                while line and not line.endswith("\n"):
                    line = wrapped.readline(_PIECE)
                yield row, _too_long()
                continue
            yield row, _checked(line.removeprefix("\ufeff") if row == 1 else line)
    except UnicodeError:
        # Nothing after it can be told apart.
        yield row + 1, Refused("malformed", f"from here on, the file is not {named(encoding)}")
    finally:
        wrapped.detach()


def _too_long() -> Refused:
    return Refused("too_long", f"{MAX_ROW_BYTES // 2**20} MiB")


def _checked(text: str) -> str | Refused:
    return Refused("malformed", "it holds zero bytes: this is not a text file") if "\x00" in text else text
