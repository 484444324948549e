# SPDX-License-Identifier: Apache-2.0
"""Which words of a text a model meant when it copied the text with slips.

A model that marks up a text repeats it, and drops, doubles, misspells and invents words on the way. Fed-MedLoRA's own
scoring aligns predicted to true tokens greedily from the left with approximate equality; this does the same, with
anchors (two words in a row that are right again) to find the way back. Monotone; time near linear in both lengths.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Final, NamedTuple

_TOKEN: Final = re.compile(r"\w+|[^\w\s]")
_CHUNK: Final = 12  # copied tokens looked at together for the next anchor
_NEAR: Final = 12  # source tokens that an anchor of two words may skip; a longer jump needs three
_LOOKAHEAD: Final = 4  # source tokens compared with a misspelt one
_ALIKE: Final = 0.6  # SequenceMatcher ratio from which two words are the same word misspelt
_COMPARED: Final = 40  # characters compared of very long words
_END: Final = "\n"  # no token: stands behind the last, so that it has a neighbour too

_Grams = Mapping[tuple[str, ...], Sequence[int]]


class Token(NamedTuple):
    start: int
    end: int
    text: str


def tokenise(text: str) -> list[Token]:
    """Words and single signs with their offsets, case folded."""
    return [Token(m.start(), m.end(), m.group().casefold()) for m in _TOKEN.finditer(text)]


def align(source: Sequence[Token], copy: Sequence[Token]) -> list[int | None]:
    """For each token of `copy` the index of its token in `source`, or None; the indexes rise."""
    here = [token.text for token in source] + [_END]
    there = [token.text for token in copy] + [_END]
    grams = _grams(here)
    found: list[int | None] = [None] * len(copy)
    i = j = 0
    while i < len(source) and j < len(copy):
        if here[i] == there[j]:
            found[j] = i
            i, j = i + 1, j + 1
            continue
        next_i, next_j = _anchor(grams, there, i, j) or (len(source), len(copy))
        _match_misspelt(here[i:next_i], there[j:next_j], i, j, found)
        i, j = next_i, next_j
    return found


def _grams(tokens: Sequence[str]) -> _Grams:
    """Where each run of two and of three tokens begins, rising."""
    places: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for length in (2, 3):
        for at in range(len(tokens) - length + 1):
            places[tuple(tokens[at : at + length])].append(at)
    return dict(places)


def _anchor(grams: _Grams, there: Sequence[str], i: int, j: int) -> tuple[int, int] | None:
    """The nearest pair of places from (i, j) on from which source and copy agree again."""
    for chunk in range(j, len(there) - 1, _CHUNK):
        best: tuple[int, int, int] | None = None
        for at in range(chunk, min(chunk + _CHUNK, len(there) - 1)):
            near = _first(grams, tuple(there[at : at + 2]), i)
            if near is not None and near - i > _NEAR:
                near = _first(grams, tuple(there[at : at + 3]), i)
            if near is not None:
                best = min(best or (near - i + at - j, near, at), (near - i + at - j, near, at))
        if best is not None:
            return best[1], best[2]
    return None


def _first(grams: _Grams, gram: tuple[str, ...], start: int) -> int | None:
    places = grams.get(gram, ())
    at = bisect_left(places, start)
    return places[at] if at < len(places) else None


def _match_misspelt(here: Sequence[str], there: Sequence[str], i: int, j: int, found: list[int | None]) -> None:
    """Between two anchors: each copied token to the next source token that is like it."""
    at = 0
    for index, token in enumerate(there):
        for place in range(at, min(at + _LOOKAHEAD, len(here))):
            if _alike(here[place], token):
                found[j + index] = i + place
                at = place + 1
                break


def _alike(left: str, right: str) -> bool:
    if left == right:
        return True
    # The cheap test first: misspellings that change both ends of a word are rare.
    if left[0] != right[0] and left[-1] != right[-1]:
        return False
    return SequenceMatcher(None, left[:_COMPARED], right[:_COMPARED], autojunk=False).ratio() >= _ALIKE
