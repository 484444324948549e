# SPDX-License-Identifier: Apache-2.0
"""Groups of near-duplicate notes, which stay together so that no method is tested on notes it was trained on.

Such notes have the same words, or share a third of their runs of words (see ALIKE). Shorter ones than RUN + LEAST - 1
words are phrases, not copies.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

RUN: Final = 8
"""Words; notes are compared by their runs of so many, whatever stands between the words."""

ALIKE: Final = 0.35
"""Share of the shorter note's runs that both have: MTSamples' own `dup_group` is made by the same rule."""

LEAST: Final = 10
"""Runs that both must have in any case: one stock phrase in two sentences is no copy (inferred)."""

MOST_RUNS: Final = 2**24
"""Runs that are remembered, some 100 million characters' worth in 200 MB. Of more, every second (fourth, ...) one is,
chosen by its hash, so that the share of two notes is estimated; notes of the very same words are found in any case."""

_WORD: Final = re.compile(r"\w+")
_COMMON: Final = 40  # notes: a run that more have is a form's, and counts for nothing
_FACTOR: Final = 0x9E3779B97F4A7C15  # odd, so that the hash of a run depends on the order of its words

Hashes = NDArray[np.uint64]
Places = NDArray[np.int32]


def joined(groups: Sequence[str], texts: Iterable[str]) -> list[str]:
    """The group of each text after joining groups with near-duplicates, under the name of the first.

    Links go on: a copy of a copy is in the same group. The time goes with the number of words.
    """
    return joined_by(groups, near_duplicates(texts))


def joined_by(groups: Sequence[str], pairs: Iterable[tuple[int, int]]) -> list[str]:
    """The group of each place after joining the groups of each pair of places, under the name of the first."""
    root = {group: group for group in groups}

    def first(group: str) -> str:
        while root[group] != group:
            root[group] = group = root[root[group]]
        return group

    order = {group: at for at, group in reversed(list(enumerate(groups)))}
    for one, other in pairs:
        early, late = sorted((first(groups[one]), first(groups[other])), key=lambda group: order[group])
        root[late] = early
    return [first(group) for group in groups]


def near_duplicates(texts: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Places of two texts each: of the same words, or sharing enough of their runs; in no order that matters."""
    seen = Runs()
    for text in texts:
        seen.add(text)
    return seen.near_duplicates()


class Runs:
    """The runs of words of many texts, taken one after the other, so that the texts themselves need not be kept."""

    def __init__(self, most: int = MOST_RUNS) -> None:
        self._most = most
        self._every = 1  # of the runs by their hash, one of so many is remembered
        self._kept = 0
        self._hashes: list[Hashes] = []
        self._places: list[Places] = []
        self._whole: dict[bytes, int] = {}
        self._same: list[tuple[int, int]] = []
        self._texts = 0

    def add(self, text: str) -> None:
        place = self._texts
        self._texts += 1
        words = _WORD.findall(text.lower())
        if len(words) >= RUN + LEAST - 1:
            whole = hashlib.blake2b("\n".join(words).encode("utf-8", "surrogatepass"), digest_size=16).digest()
            if (first := self._whole.setdefault(whole, place)) != place:
                self._same.append((first, place))
                return
        hashes = self._chosen(_hashed(words))
        self._hashes.append(hashes)
        self._places.append(np.full(len(hashes), place, np.int32))
        self._kept += len(hashes)
        while self._kept > self._most:
            self._thin()

    def near_duplicates(self) -> Iterator[tuple[int, int]]:
        """Places of two texts each, counted from 0 in the order of `add`."""
        yield from self._same
        if not self._hashes:
            return
        hashes, places = np.concatenate(self._hashes), np.concatenate(self._places)
        order = np.argsort(hashes, kind="stable")  # so that the places of one run stay in order
        hashes, places = hashes[order], places[order]
        starts = np.flatnonzero(np.r_[True, hashes[1:] != hashes[:-1]])
        sizes = np.diff(np.r_[starts, len(hashes)])
        telling = np.repeat(sizes <= _COMMON, sizes)
        lengths = np.bincount(places[telling], minlength=self._texts)
        least = LEAST / self._every
        for (one, other), count in _shared(starts, sizes, places).items():
            if count >= max(least, ALIKE * min(lengths[one], lengths[other])):
                yield one, other

    def _chosen(self, hashes: Hashes) -> Hashes:
        return hashes if self._every == 1 else hashes[hashes % np.uint64(self._every) == 0]

    def _thin(self) -> None:
        self._every *= 2
        hashes, places = np.concatenate(self._hashes), np.concatenate(self._places)
        chosen = hashes % np.uint64(self._every) == 0
        self._hashes, self._places = [hashes[chosen]], [places[chosen]]
        self._kept = len(self._hashes[0])


def _hashed(words: Sequence[str]) -> Hashes:
    """A hash of each different run: the same in every process, unlike Python's own."""
    if len(words) < RUN:
        return np.empty(0, np.uint64)
    one = np.array([zlib.crc32(word.encode("utf-8", "surrogatepass")) for word in words], np.uint64)
    runs = np.zeros(len(words) - RUN + 1, np.uint64)
    for at in range(RUN):
        runs *= np.uint64(_FACTOR)
        runs += one[at : len(one) - RUN + 1 + at]
    runs ^= runs >> np.uint64(29)  # its low bits choose what is remembered: they must depend on all the others
    runs *= np.uint64(0xBF58476D1CE4E5B9)
    runs ^= runs >> np.uint64(32)
    return np.unique(runs)


def _shared(starts: NDArray[np.intp], sizes: NDArray[np.intp], places: Places) -> dict[tuple[int, int], int]:
    """Counts for each pair of places, in ascending order, how many telling runs both have."""
    found: dict[tuple[int, int], int] = {}
    starts, sizes = starts[(sizes > 1) & (sizes <= _COMMON)], sizes[(sizes > 1) & (sizes <= _COMMON)]
    for apart in range(1, _COMMON):
        for first in range(_COMMON - apart):  # pairs (first, first + apart) of every group that is large enough
            here = starts[sizes > first + apart] + first
            if not len(here):
                break
            keys = places[here].astype(np.int64) << 32 | places[here + apart]
            for key, count in zip(*(array.tolist() for array in np.unique(keys, return_counts=True)), strict=True):
                pair = key >> 32, key & 0xFFFFFFFF
                found[pair] = found.get(pair, 0) + count
    return found
