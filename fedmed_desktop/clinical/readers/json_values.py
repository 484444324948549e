# SPDX-License-Identifier: Apache-2.0
"""JSON objects of a file, one at a time: one in each line, the elements of one list, or one after another."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final, cast

from . import rows
from .record import Refused
from .text import encoding_of, named

LINES: Final = (".jsonl", ".ndjson")
JSON: Final = (".json",)
SUFFIXES: Final = tuple(f"{suffix}{packed}" for suffix in (*LINES, *JSON) for packed in ("", ".gz"))
_PIECE: Final = 2**20
_BETWEEN: Final = re.compile(r"[ \t\r\n]*")
_WRONG_BYTE: Final = re.compile("[\udc80-\udcff]")
# Where the decoder stops in a value that goes on after the characters there are.
_NEAR_END: Final = 16
_DECODER: Final = json.JSONDecoder()

Row = dict[str, Any]


def json_objects(path: Path) -> Iterator[tuple[int, Row | Refused]]:
    """Row numbers from 1 and objects, or why there is none; blank lines are counted and passed over."""
    if path.name.lower().removesuffix(".gz").endswith(JSON):
        yield from _values(path)
        return
    for number, line in rows.lines(path):
        if isinstance(line, Refused):
            yield number, line
        elif line.strip():
            yield number, _object(line)


def _object(line: str) -> Row | Refused:
    try:
        return _checked(json.loads(line.rstrip("\r\n")))
    except json.JSONDecodeError as error:
        return Refused("malformed", f"not valid JSON at column {error.colno}: {_message(error)}")
    except (ValueError, RecursionError):
        return Refused("malformed", "not valid JSON: a number too long or lists too deep")


def _message(error: json.JSONDecodeError) -> str:
    """Message of an error without the words that lead to a place."""
    return error.msg.removesuffix(" at").removesuffix(" starting")


def _checked(value: object) -> Row | Refused:
    return value if isinstance(value, dict) else Refused("malformed", "not a JSON object")


def _values(path: Path) -> Iterator[tuple[int, Row | Refused]]:
    """The elements of a list, or values that follow each other. After an error nothing more can be told apart."""
    with rows.opened(path) as file:
        try:
            encoding = encoding_of(file.read(4096))[0]
        except ValueError:
            encoding = "utf-8"
        file.seek(0)
        if not encoding.startswith("utf"):
            encoding = "utf-8"
        # A wrong byte of UTF-8 is carried along as half a surrogate pair, and told with its own row.
        how = "surrogateescape" if encoding.startswith("utf-8") else "strict"
        text = io.TextIOWrapper(cast(IO[bytes], file), encoding=encoding, errors=how, newline="")
        number = 0
        try:
            for number, value in enumerate(_Scanner(text).values(), 1):
                yield number, value if isinstance(value, Refused) else _checked(value)
        except Refused as refused:
            yield number + 1, refused
        except UnicodeError:
            yield number + 1, Refused("malformed", f"from here on, the file is not {named(encoding)}")
        finally:
            text.detach()


class _Scanner:
    """Values decoded from a window on the text that grows only while one value needs it."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self._window = ""
        self._at = 0
        self._done = False

    def values(self) -> Iterator[object]:
        """Each value, or why it is refused. Raises Refused at the first place that is not JSON."""
        listed = self._next_sign() == "["
        if listed:
            self._at += 1
            if self._next_sign() == "]":
                return
        while self._next_sign():
            yield self._value()
            if listed:
                sign = self._next_sign()
                if sign not in (",", "]"):
                    raise Refused("malformed", "not valid JSON: the list is cut off or lacks a comma here")
                self._at += 1
                if sign == "]":
                    break
        if self._next_sign():
            raise Refused("malformed", "not valid JSON: more follows after the list")

    def _next_sign(self) -> str:
        """The next character that is no blank, at which the window then stands; "" at the end."""
        while True:
            found = _BETWEEN.match(self._window, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._window):
                return self._window[self._at]
            if not self._more():
                return ""

    def _value(self) -> object:
        while True:
            try:
                value, end = _DECODER.raw_decode(self._window, self._at)
            except json.JSONDecodeError as error:
                goes_on = error.pos >= len(self._window) - _NEAR_END or error.msg.startswith("Unterminated")
                if goes_on and self._more():
                    continue
                raise Refused("malformed", f"not valid JSON: {_message(error)}; nothing after it is read") from None
            except (ValueError, RecursionError):
                raise Refused("malformed", "not valid JSON: a number too long or lists too deep") from None
            if end == len(self._window) and not isinstance(value, dict | list) and self._more():
                continue  # a number may go on
            start, self._at = self._at, end
            if _WRONG_BYTE.search(self._window, start, end):
                return Refused("malformed", "it is not UTF-8")
            return value

    def _more(self) -> bool:
        """Reads on, twice as much as is being looked at, so that long values are not decoded again and again."""
        if self._done:
            return False
        pending = len(self._window) - self._at
        if pending > rows.MAX_ROW_BYTES:
            raise Refused("too_long", f"{rows.MAX_ROW_BYTES // 2**20} MiB")
        piece = self._text.read(max(_PIECE, pending))
        self._window, self._at = self._window[self._at :].removeprefix("\ufeff") + piece, 0
        if "\x00" in piece:
            raise Refused("malformed", "it holds zero bytes: this is not a text file")
        self._done = not piece
        return bool(piece)
