# SPDX-License-Identifier: Apache-2.0
"""Alignment of a text with a model's faulty copy of it, word by word.

A model that marks up a text repeats it, and drops, doubles, misspells and invents words. Fed-MedLoRA's own scoring
aligns predicted to true tokens greedily from the left with approximate equality (arXiv 2601.22124); so does this, and
it finds its way back by anchors: two words in a row that are right again. Monotone; near linear in both lengths.
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


def tokenise(text: str, offset: int = 0) -> list[Token]:
    """Words and single signs with their offsets, case folded; the text begins at `offset`."""
    return [Token(m.start() + offset, m.end() + offset, m.group().casefold()) for m in _TOKEN.finditer(text)]


def align(source: Sequence[Token], copy: Sequence[Token]) -> list[int | None]:
    """Finds for each token of `copy` the index of its token in `source`, or None; in ascending order."""
    alignment = Alignment(source)
    alignment.settle([token.text for token in copy], whole=True)
    return alignment.places


class Alignment:
    """An alignment that follows a growing copy; settled tokens stay settled.

    `places`: for each settled token of the copy its index in the source, or None. `reached`: source tokens passed.
    """

    def __init__(self, source: Sequence[Token]) -> None:
        self._here = [token.text for token in source] + [_END]
        self._grams = _grams(self._here)
        self._searched = 0
        self.places: list[int | None] = []
        self.reached = 0

    def settle(self, copy: Sequence[str], whole: bool = False) -> None:
        """Settles the copy up to a slip without a way back yet, or all of it if it is `whole`.

        `copy` begins with the tokens given before. Linear in the new tokens of all calls together.
        """
        here, there = self._here, copy if not whole else [*copy, _END]
        end = len(here) - 1
        while len(self.places) < len(copy):
            i, j = self.reached, len(self.places)
            if i >= end:
                self.places += [None] * (len(copy) - j)
            elif here[i] == there[j]:
                self.places.append(i)
                self.reached = i + 1
            else:
                anchor = self._anchor(there, whole)
                if anchor is None and not whole:
                    return
                next_i, next_j = anchor or (end, len(copy))
                found: list[int | None] = [None] * (next_j - j)
                _match_misspelt(here[i:next_i], there[j:next_j], i, found)
                self.places += found
                self.reached = next_i

    def _anchor(self, there: Sequence[str], whole: bool) -> tuple[int, int] | None:
        """The nearest pair of places from which source and copy agree again; searched on from where it ended last."""
        i, j = self.reached, len(self.places)
        decided = len(there) - 1 if whole else len(there) - 2  # where three words have come
        for chunk in range(max(j, self._searched), len(there) - 1, _CHUNK):
            best: tuple[int, int, int] | None = None
            for at in range(chunk, chunk + _CHUNK if not whole else min(chunk + _CHUNK, decided)):
                if best is not None and at - j > best[0]:
                    break  # nothing further on can be nearer
                if at >= decided:
                    return None
                near = _first(self._grams, tuple(there[at : at + 2]), i)
                if near is not None and near - i > _NEAR:
                    near = _first(self._grams, tuple(there[at : at + 3]), i)
                if near is not None:
                    best = min(best or (near - i + at - j, near, at), (near - i + at - j, near, at))
            if best is not None:
                return best[1], best[2]
            self._searched = chunk + _CHUNK
        return None


def _grams(tokens: Sequence[str]) -> _Grams:
    """Start indexes of each run of two and of three tokens, in ascending order."""
    places: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for length in (2, 3):
        for at in range(len(tokens) - length + 1):
            places[tuple(tokens[at : at + length])].append(at)
    return dict(places)


def _first(grams: _Grams, gram: tuple[str, ...], start: int) -> int | None:
    places = grams.get(gram, ())
    at = bisect_left(places, start)
    return places[at] if at < len(places) else None


def _match_misspelt(here: Sequence[str], there: Sequence[str], i: int, found: list[int | None]) -> None:
    """Matches each copied token between two anchors to the next similar source token."""
    at = 0
    for index, token in enumerate(there):
        for place in range(at, min(at + _LOOKAHEAD, len(here))):
            if _alike(here[place], token):
                found[index] = i + place
                at = place + 1
                break


def _alike(left: str, right: str) -> bool:
    if left == right:
        return True
    # The cheap test first: misspellings that change both ends of a word are rare.
    if left[0] != right[0] and left[-1] != right[-1]:
        return False
    return SequenceMatcher(None, left[:_COMPARED], right[:_COMPARED], autojunk=False).ratio() >= _ALIKE
