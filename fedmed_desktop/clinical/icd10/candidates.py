# SPDX-License-Identifier: Apache-2.0
"""Billable codes that a note may mean, found by BM25 without a model, each with the sentence that speaks for it most.

A document of the index is one name of a code or of a group of codes (words.py). Each sentence is a query. A name counts
by its BM25 score times the share of itself that the sentence says, to a power: "pain in left foot" is not meant where
only "left" and "pain" are said. A code counts what its best name does in each sentence, over all sentences.

The constants are inferred: chosen on the training split of CodiEsp (machine-translated case reports) for the recall of
categories, none on any other split.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...resources import resource
from ..sentences import sentence_ends
from .table import CodeTable, bundled_table, category, dotted
from .words import Stem, Synonyms, english_stemmer, note_words, read_synonyms, term_words, without_encounter

K1: Final = 1.2
B: Final = 1.0
COVERAGE: Final = 4.0  # the power of the share of a name that is said
LEAST_SAID: Final = 0.25  # names of which less is said count nothing
POOLING: Final = 1.5  # the norm by which sentences add up: 1 is their sum, infinity the best of them
SELDOM_MEANT: Final = frozenset("OPSTVWXY")  # by half: births, injuries, and how these came about
SELDOM: Final = 0.5
PER_CATEGORY: Final = 3  # codes of one category in a ranking, so that siblings do not fill it
LONGEST_PASSAGE: Final = 1000  # characters; a longer sentence is cut at blanks


class Candidate(NamedTuple):
    """A billable code, how much speaks for it, and the passage `text[start:end]` that does most."""

    code: str
    score: float
    start: int
    end: int


class CodeIndex:
    """The names in a table, ready to be searched; for the whole of ICD-10-CM it takes a second or two to build."""

    def __init__(self, table: CodeTable, synonyms: Synonyms) -> None:
        import bm25s

        self.table = table
        self._stem = english_stemmer()
        self._synonyms = synonyms
        names = _names(table, self._stem)
        self._codes = sorted(set(names.values()))
        place = {code: i for i, code in enumerate(self._codes)}
        self._meant = np.array([place[code] for code in names.values()])
        self._vocabulary: dict[str, int] = {}
        number = self._vocabulary.setdefault
        words = [[number(word, len(self._vocabulary)) for word in name] for _, name in names]
        # Both said, so that no library that happens to be installed changes what is found.
        self._bm25: Any = bm25s.BM25(k1=K1, b=B, backend="numpy", csc_backend="numpy")
        self._bm25.index((words, self._vocabulary), create_empty_token=False, show_progress=False)
        stored = self._bm25.scores
        self._whole = np.bincount(stored["indices"], weights=stored["data"], minlength=len(names)).astype(np.float32)
        seldom = [SELDOM if code[0] in SELDOM_MEANT else 1.0 for code in self._codes]
        self._prior = np.array(seldom, np.float32)

    def find(self, text: str, limit: int = 50) -> list[Candidate]:
        """The codes that most speaks for, best first, at most `limit`; of equal ones the first in the table."""
        stretches = passages(text)
        pooled = np.zeros(len(self._codes), np.float32)
        best = np.zeros(len(self._codes), np.float32)
        where = np.zeros(len(self._codes), np.int32)
        for number, (start, end) in enumerate(stretches):
            codes, values = self._said(text[start:end])
            pooled[codes] += values**POOLING
            better = values > best[codes]
            best[codes[better]] = values[better]
            where[codes[better]] = number
        scores = pooled ** (1 / POOLING) * self._prior
        ranked = self._ranked(scores, limit)
        return [Candidate(self._codes[i], float(scores[i]), *stretches[where[i]]) for i in ranked]

    def evidence(self, text: str, codes: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Finds for each of these codes the passage `[start, end)` that speaks for it most, else for its category most.

        Codes of which no passage speaks are left out.
        """
        best: dict[str, tuple[float, tuple[int, int]]] = {}
        for stretch in passages(text):
            places, values = self._said(text[slice(*stretch)])
            for place, value in zip(places, values.tolist(), strict=True):
                code = self._codes[place]
                for name in (code, category(code)):
                    if value > best.get(name, (0.0, stretch))[0]:
                        best[name] = value, stretch
        found = {code: best.get(dotted(code)) or best.get(category(code)) for code in codes}
        return {code: of[1] for code, of in found.items() if of}

    def _said(self, passage: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Codes that a passage speaks for, each once, and how much: by the name that it says best."""
        said = self._synonyms.added(note_words(passage, self._stem))
        words = sorted(self._vocabulary[word] for word in said if word in self._vocabulary)
        if not words:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        scores: NDArray[np.float32] = self._bm25.get_scores_from_ids(words)
        shares = scores / self._whole
        names = np.flatnonzero(shares >= LEAST_SAID)
        values = scores[names] * shares[names] ** COVERAGE
        order = np.lexsort((-values, self._meant[names]))
        codes, first = np.unique(self._meant[names][order], return_index=True)
        return codes, values[order][first]

    def _ranked(self, scores: NDArray[np.float32], limit: int) -> list[int]:
        """Places of the best codes, at most PER_CATEGORY of each category."""
        chosen: list[int] = []
        taken: defaultdict[str, int] = defaultdict(int)
        for place in np.argsort(-scores, kind="stable"):
            if len(chosen) == limit or not scores[place]:
                break
            group = category(self._codes[place])
            if taken[group] < PER_CATEGORY:
                taken[group] += 1
                chosen.append(int(place))
        return chosen


def passages(text: str) -> list[tuple[int, int]]:
    """The sentences of a text as `[start, end)`, without blanks at their edges, none longer than LONGEST_PASSAGE."""
    found: list[tuple[int, int]] = []
    start = 0
    for end in [*sentence_ends(text), len(text)]:
        found += _cut(text, start, end)
        start = end
    return found


def _cut(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while True:
        start, end = end - len(text[start:end].lstrip()), start + len(text[start:end].rstrip())
        if start >= end:
            return
        if end - start <= LONGEST_PASSAGE:
            yield start, end
            return
        limit = start + LONGEST_PASSAGE
        at = next((i for i in range(limit, start + LONGEST_PASSAGE // 2, -1) if text[i].isspace()), limit)
        yield start, start + len(text[start:at].rstrip())
        start = at


def _names(table: CodeTable, stem: Stem) -> dict[tuple[str, tuple[str, ...]], str]:
    """Billable codes by the category and the words that mean them.

    A group of codes stands for the one that says least beyond it: R50 for "Fever, unspecified".
    """
    found: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    length: dict[str, int] = {}
    seen: set[tuple[str, str]] = set()
    for node, text in table.all_terms():
        plain = without_encounter(text)
        # Most descriptions differ from their neighbours in the encounter only: the first of these stands for all.
        if (node[:3], plain) not in seen:
            seen.add((node[:3], plain))
            if words := term_words(plain, stem):
                found.setdefault((node[:3], words), []).append(node)
                length.setdefault(node, len(words))
    longest = max(length.values(), default=0)
    meant: dict[tuple[str, tuple[str, ...]], str] = {}
    for name, nodes in found.items():
        billable = [node for node in nodes if node in table.codes] or table.under(nodes[0])
        if billable:
            meant[name] = min(billable, key=lambda code: length.get(code, longest))
    return meant


@cache
def bundled_index() -> CodeIndex:
    """The index of the bundled table; built once. Raises FileNotFoundError where the installation is broken."""
    lines = (resource("icd10cm") / "synonyms.tsv").read_text("utf-8").splitlines()
    return CodeIndex(bundled_table(), read_synonyms(lines, english_stemmer()))
