# SPDX-License-Identifier: Apache-2.0
"""Text from bytes in whatever encoding a tool or an editor has written them.

The characters are never changed: line ends, decomposed letters and blanks stay as they are, since the offsets of an
annotation count them.
"""

from __future__ import annotations

import codecs
import re
from typing import Final

from .record import Remark

_MARKS: Final = (
    # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE: Final = 4096
_GUESSED_FROM: Final = 64 * 1024
# Begun at a line's start alone, with nothing tried twice: a long line of ASCII must not take its square.
_UNUSUAL_LINE: Final = re.compile(rb"^[\x00-\x09\x0b-\x7f]*+[^\x00-\x7f][^\n]*\n?", re.MULTILINE)
_NOT_TEXT: Final = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_FEW: Final = 40
_WESTERN: Final = frozenset("ÄÖÜäöüßÀÂÇÈÉÊËÎÏÔÙÛŸàâçèéêëîïôùûÿÁÍÓÚÑáíóúñ¿¡ÅÆØåæøÃÕãõìòœŒ°±²³µ·½¼×÷§®©ªº«»–—‘’‚“”„•…€™")
# What hospitals' systems have written; others are too rare to be worth a wrong guess.
_CANDIDATES: Final = [
    *("cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp437", "cp850"),
    *("iso8859_2", "iso8859_5", "koi8_r", "mac_roman", "shift_jis", "euc_jp", "gb18030", "big5", "euc_kr"),
]


def decoded(data: bytes) -> tuple[str, list[Remark]]:
    """The text of a whole file without its byte order mark; the remark names an encoding that had to be guessed.

    Raises ValueError, its message ends a sentence, where the bytes are no text.
    """
    encoding, guessed = encoding_of(data, whole=True)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start + 1} is not {named(encoding)}") from None
    if "\x00" in text or (guessed and _NOT_TEXT.search(text, 0, _GUESSED_FROM)):
        raise ValueError("it holds zero or control bytes: this is not a text file")
    return text, [Remark("encoding_guessed", named(encoding))] if guessed else []


def encoding_of(data: bytes, whole: bool = False) -> tuple[str, bool]:
    """The codec that reads these bytes, and whether it had to be guessed: certain are UTF-8 and byte order marks.

    `whole`: they are a whole file, and not the beginning of one.
    """
    marked = next((codec for mark, codec in _MARKS if data.startswith(mark)), None)
    if marked:
        return marked, False
    if wide := _unmarked_utf16(data[:_SAMPLE]):
        return wide, True
    try:
        data.decode("utf-8")
        return "utf-8", False
    except UnicodeDecodeError as error:
        ends_inside = error.end == len(data) and error.reason == "unexpected end of data" and len(data) >= _SAMPLE
        # A sample may end inside a character; a whole file so damaged is refused later, unless it never was UTF-8.
        if ends_inside and not (whole and data[: error.start].isascii()):
            return "utf-8", False
    if b"\x00" in data:
        raise ValueError("it holds zero bytes: this is not a text file")
    return _guess(data), True


def named(codec: str) -> str:
    """The codec's name as people write it: UTF-8, UTF-16, cp1252."""
    name = codec.removesuffix("-sig").replace("_", "-")
    return name.upper() if name.startswith(("utf", "iso")) else name


def _unmarked_utf16(sample: bytes) -> str | None:
    """Western text in UTF-16 has a zero in nearly every second byte, and none in the others."""
    pairs = len(sample) // 2
    if pairs < 2:
        return None
    low, high = sample[0 : 2 * pairs : 2].count(0), sample[1 : 2 * pairs : 2].count(0)
    if high > 0.4 * pairs and low * 20 < high:
        return "utf-16-le"
    return "utf-16-be" if low > 0.4 * pairs and high * 20 < low else None


def _guess(data: bytes) -> str:
    """The most likely one-byte or East Asian encoding of bytes that are not UTF-8."""
    unusual = re.findall(rb"[^\x00-\x7f]+", data[:_GUESSED_FROM]) or re.findall(rb"[^\x00-\x7f]+", data)[:1000]
    try:
        western = data.decode("cp1252")
    except UnicodeDecodeError:
        western = ""
    # A few accents are too little for statistics, and nearly always Windows has written them.
    if western and sum(map(len, unusual)) < _FEW and set(b"".join(unusual).decode("cp1252")) <= _WESTERN:
        return "cp1252"
    from charset_normalizer import from_bytes

    best = from_bytes(_lines_with_unusual(data), cp_isolation=_CANDIDATES, enable_fallback=False).best()
    if best is not None and _reads(data, best.encoding):
        return best.encoding
    if western:
        return "cp1252"
    raise ValueError("its encoding is not known; UTF-8 is best")


def _reads(data: bytes, codec: str) -> bool:
    try:
        data.decode(codec)
    except UnicodeDecodeError:
        return False
    return True


def _lines_with_unusual(data: bytes) -> bytes:
    """The lines that are not ASCII, up to a size: they tell encodings apart."""
    kept, size = [], 0
    for line in _UNUSUAL_LINE.finditer(data):
        kept.append(line[0])
        size += len(line[0])
        if size > _GUESSED_FROM:
            break
    return b"".join(kept)
