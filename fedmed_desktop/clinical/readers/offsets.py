# SPDX-License-Identifier: Apache-2.0
"""Offsets of mentions as code points of the text, whatever the tool that wrote them has counted.

A way of counting is right if it puts every mention whose words are known on exactly those words; where none is, the
note is refused: a span that is off by one teaches the model nonsense without a sound.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from operator import eq
from typing import Final

from .record import Refused, Remark, RemarkCode

_NEARBY: Final = 48
"""How many characters a mention may lie from its offsets, where it is found by its words."""


_Same = Callable[[str, str], bool]
_UNITS: Final = (("utf-16-le", 2), ("utf-8", 1))


@dataclass(frozen=True)
class Mention:
    """An annotated mention as a tool wrote it; `text` is None where the format does not repeat the words.

    `fragments`: the [start, end) parts of a discontinuous one, inside `start` to `end`.
    """

    id: str
    start: int
    end: int
    type: str
    text: str | None = None
    fragments: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Witness:
    """Words at offsets that the same tool counted, such as its tokens: they prove a counting, and nothing else."""

    start: int
    end: int
    text: str


def anchor(
    text: str, mentions: Sequence[Mention], witnesses: Sequence[Witness] = ()
) -> tuple[list[Mention], list[Remark]]:
    """The mentions with offsets in code points and the text's own words, and what had to be done for it.

    Raises Refused `offsets_unproved`, naming the first mention that is not where it should be by its number (from 1)
    and offsets.
    """
    # Where no words are known, nothing speaks against code points.
    proof = bool(witnesses) or any(mention.text for mention in mentions)
    for same in (eq, _same):  # the very words in any counting rather than similar ones in the first
        for codes, weigh in _COUNTINGS if proof else _COUNTINGS[:1]:
            counting = _Counting(text, weigh) if weigh else None
            if weigh and not counting:
                continue  # this text has nothing that it would count differently
            placed = _all_placed(text, mentions, counting, same)
            if placed is not None and all(_witnessed(text, one, counting, same) for one in witnesses):
                return _told(mentions, placed, [Remark(code) for code in codes])
    nearby = [_placed(text, mention, None, _same) or _found_nearby(text, mention) for mention in mentions]
    moved = [
        number
        for number, (one, was) in enumerate(zip(nearby, mentions, strict=True), 1)
        if one and one.start != was.start
    ]
    if all(nearby) and moved:
        return _told(
            mentions, [one for one in nearby if one], [Remark("offsets_by_mention", entities(moved), len(moved))]
        )
    for number, mention in enumerate(mentions, 1):
        if not _placed(text, mention, None, _same):
            raise Refused("offsets_unproved", _reason(text, number, mention))
    raise Refused("offsets_unproved", "the offsets of its tokens are not those of their words in the text")


def entities(numbers: Sequence[int]) -> str:
    """Entities by number for a remark, a few of them."""
    shown = ", ".join(str(number) for number in numbers[:5])
    more = f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
    return f"entity {shown}" if len(numbers) == 1 else f"entities {shown}{more}"


class _Counting:
    """Turns offsets in which some characters count more or less than one into code points; false if none does."""

    def __init__(self, text: str, weigh: Callable[[str], Iterable[tuple[int, int]]]) -> None:
        odd = list(weigh(text))
        self._extra = [0, *accumulate(extra for _, extra in odd)]
        self._starts = [at + before for (at, _), before in zip(odd, self._extra, strict=False)]
        self._widths = [1 + extra for _, extra in odd]

    def __bool__(self) -> bool:
        return bool(self._starts)

    def point(self, offset: int) -> int | None:
        """The code point at an offset; None inside a character."""
        before = bisect_left(self._starts, offset)
        if before and offset < self._starts[before - 1] + self._widths[before - 1]:
            return None
        return offset - self._extra[before]


def _utf16(text: str) -> Iterable[tuple[int, int]]:
    return ((one.start(), 1) for one in re.finditer("[\U00010000-\U0010ffff]", text))


def _bytes(text: str) -> Iterable[tuple[int, int]]:
    return ((one.start(), len(one[0].encode()) - 1) for one in re.finditer("[^\x00-\x7f]", text))


def _returns(text: str) -> Iterable[tuple[int, int]]:
    return ((one.start(), -1) for one in re.finditer("\r\n", text))


def _both(*ways: Callable[[str], Iterable[tuple[int, int]]]) -> Callable[[str], Iterable[tuple[int, int]]]:
    def weigh(text: str) -> Iterable[tuple[int, int]]:
        parts = [list(way(text)) for way in ways]
        return sorted(one for part in parts for one in part) if all(parts) else ()

    return weigh


_COUNTINGS: Final[tuple[tuple[tuple[RemarkCode, ...], Callable[[str], Iterable[tuple[int, int]]] | None], ...]] = (
    ((), None),
    (("offsets_in_utf16",), _utf16),
    (("offsets_in_bytes",), _bytes),
    (("offsets_without_returns",), _returns),
    (("offsets_in_utf16", "offsets_without_returns"), _both(_utf16, _returns)),
    (("offsets_in_bytes", "offsets_without_returns"), _both(_bytes, _returns)),
)


def _all_placed(
    text: str, mentions: Sequence[Mention], counting: _Counting | None, same: _Same
) -> list[Mention] | None:
    placed: list[Mention] = []
    for mention in mentions:
        one = _placed(text, mention, counting, same)
        if one is None:
            return None
        placed.append(one)
    return placed


def _placed(text: str, mention: Mention, counting: _Counting | None, same: _Same) -> Mention | None:
    """The mention in code points, if its words (where they are known) are there."""
    pairs = [(mention.start, mention.end), *mention.fragments]
    points = [_points(text, start, end, counting) for start, end in pairs]
    known = [pair for pair in points if pair]
    if len(known) < len(points):
        return None
    (start, end), fragments = known[0], tuple(known[1:])
    if any(not start <= first <= last <= end for first, last in fragments):
        return None
    there = text[start:end]
    if counting is None and mention.text == there:
        return mention
    if mention.text is not None and not same(mention.text, there):
        parts = " ".join(text[first:last] for first, last in sorted(fragments))
        if not fragments or not same(mention.text, parts):
            return None
    return replace(mention, start=start, end=end, text=there, fragments=fragments)


def _points(text: str, start: int, end: int, counting: _Counting | None) -> tuple[int, int] | None:
    if counting:
        first, last = counting.point(start), counting.point(end)
        if first is None or last is None:
            return None
        start, end = first, last
    return (start, end) if 0 <= start <= end <= len(text) else None


def _witnessed(text: str, witness: Witness, counting: _Counting | None, same: _Same) -> bool:
    points = _points(text, witness.start, witness.end, counting)
    return points is not None and same(witness.text, text[slice(*points)])


def _same(words: str, there: str) -> bool:
    """Equal, but for blanks and composition: formats of one line per mention cannot keep a line end, and some versions
    of Label Studio leave it out."""
    return words == there or _plain(words) == _plain(there)


def _plain(words: str) -> str:
    return "".join(unicodedata.normalize("NFC", words).split())


def _found_nearby(text: str, mention: Mention) -> Mention | None:
    """The mention at the nearest place of its very words, if there is a single nearest one and the length agrees."""
    words = mention.text
    if not words or words.isspace() or len(mention.fragments) > 1 or not 0 <= mention.start <= len(text) + _NEARBY:
        return None
    if mention.end - mention.start not in _lengths(words):
        return None
    low = max(0, mention.start - _NEARBY)
    window = text[low : mention.start + _NEARBY + len(words)]
    # Looked ahead, so that places that overlap are seen too.
    places = [low + one.start() for one in re.finditer(f"(?={re.escape(words)})", window)]
    places.sort(key=lambda place: abs(place - mention.start))
    if not places or (len(places) > 1 and abs(places[0] - mention.start) == abs(places[1] - mention.start)):
        return None
    if len(places) > 1 and len(words) < 3:
        return None  # "a" is everywhere
    return replace(mention, start=places[0], end=places[0] + len(words), fragments=())


def _lengths(words: str) -> set[int]:
    return {len(words), *(len(words.encode(codec, "surrogatepass")) // unit for codec, unit in _UNITS)}


def _told(before: Sequence[Mention], after: list[Mention], remarks: list[Remark]) -> tuple[list[Mention], list[Remark]]:
    """Adds the mentions whose words the text has in another form than the annotation."""
    other = [number for number, pair in enumerate(zip(before, after, strict=True), 1) if _in_other_form(*pair)]
    if other:
        remarks.append(Remark("mention_in_other_form", entities(other), len(other)))
    return after, remarks


def _in_other_form(before: Mention, after: Mention) -> bool:
    if before.text is None or after.text is None or len(after.fragments) > 1:
        return False
    return "".join(before.text.split()) != "".join(after.text.split())


def _reason(text: str, number: int, mention: Mention) -> str:
    where = f"entity {number}, offsets {mention.start} to {mention.end}"
    if not 0 <= mention.start < mention.end <= len(text):
        return f"{where}: outside the text ({len(text)} characters) or not in order"
    for start, end in mention.fragments:
        if not mention.start <= start <= end <= mention.end:
            return f"{where}: fragment {start} to {end} is not inside"
    return f"{where}: the characters there are not the entity's text"
