# SPDX-License-Identifier: Apache-2.0
"""Search in the guide, in memory and without Qt.

A word finds the words that share its stem (Porter2, as Snowball has it); the last one, which may still be being typed,
also those that begin with it. Ranked by BM25 (Robertson and Zaragoza 2009) of titles, headings and text, with Lucene's
idf. SQLite's FTS5 was tried: its idf is 0 for a word of more than half of the pages, and "approval" led elsewhere than
to Approvals.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, NamedTuple

import Stemmer

K1, B = 1.2, 0.75  # the usual ones
_WEIGHTS: Final = (4.0, 2.0, 1.0)  # of a word in the title, in headings, in the text; inferred
_BEGUN: Final = 0.3  # of a word that only begins like the one that is looked for; inferred
_TOGETHER: Final = 1.5  # times: words that stand there as they were typed, one after the other; inferred
_LEAST_PREFIX: Final = 2  # letters: one begins too many words
_MOST: Final = 12  # pages; who needs more needs another word
_SNIPPET: Final = 14  # words
_ALIKE: Final = 0.75  # difflib's ratio from which a word is offered in place of one that is nowhere; inferred
_WORD: Final = re.compile(r"[^\W_]+")
_COMMON: Final = frozenset(  # what a question has beside the words that it is about
    _WORD.findall(
        """a an and are as at be by can do does for from have how i if in is it its may me my no not of on one or our so
        that the their there they this to was we what when where which who why will with you your"""
    )
)
# What Markdown adds to words: pictures whole, a link's address, fences, rules of tables, marks of emphasis and lists.
_MARKDOWN: Final = (
    (re.compile(r"!\[[^\]]*\]\([^)]*\)"), ""),
    (re.compile(r"\[([^\]]+)\]\([^)]*\)"), r"\1"),
    (re.compile(r"^```.*$|^\|[\s|:-]+\|$", re.MULTILINE), ""),
    (re.compile(r"\*\*|\*(?=\S)|(?<=\S)\*|`|\||^#+ |^- ", re.MULTILINE), ""),
)


class Piece(NamedTuple):
    """Part of a snippet; `found`: one of the words that were looked for."""

    text: str
    found: bool


@dataclass(frozen=True)
class Hit:
    page: str
    title: str
    snippet: tuple[Piece, ...]


@dataclass(frozen=True)
class Found:
    """Hits, the best first. `words`: as they stand on pages, in lower case. `all_words` False: no page has all that was
    looked for, these have some. `instead`: a word that is alike, where a word is on no page; else empty.
    """

    hits: tuple[Hit, ...] = ()
    words: frozenset[str] = frozenset()
    all_words: bool = True
    instead: str = ""


class _Page:
    def __init__(self, markdown: str) -> None:
        self.title, headings, self.text = _fields(markdown)
        self.counts = [Counter(_words(field)) for field in (self.title, headings, self.text)]
        self.length = self.counts[2].total()


class GuideSearch:
    """Search in pages by name, in Markdown, each beginning with its title. Any thread."""

    def __init__(self, pages: Mapping[str, str]) -> None:
        self._stem = Stemmer.Stemmer("english").stemWord
        self._pages = {name: _Page(text) for name, text in pages.items()}
        self._mean_length = sum(page.length for page in self._pages.values()) / max(1, len(pages))
        words = {word for page in self._pages.values() for count in page.counts for word in count}
        self._stems = {word: self._stem(word) for word in sorted(words)}

    def find(self, typed: str) -> Found:
        """Pages with all words, else pages with some of them. Nothing to look for finds nothing."""
        said = _words(typed)
        words = list(dict.fromkeys([word for word in said if word not in _COMMON] or said))
        unfinished = words[-1] if words and typed[-1].isalnum() else ""
        forms = [self._forms(word, word == unfinished) for word in words]
        scores = self._scores([known for known in forms if known])
        has_all = {name for name, points in scores.items() if len(points) == len(forms) and all(points)}
        together = _together(forms)
        best = sorted(
            has_all or scores,
            key=lambda name: -sum(scores[name]) * (_TOGETHER if together.search(self._pages[name].text) else 1),
        )
        number = {word: place for place, known in enumerate(forms) for word in known}
        return Found(
            tuple(Hit(one, self._pages[one].title, _snippet(self._pages[one].text, number)) for one in best[:_MOST]),
            frozenset(number),
            bool(has_all),
            "" if has_all else self._instead(words, forms),
        )

    def _forms(self, word: str, is_unfinished: bool) -> dict[str, float]:
        """Words of the pages that a word stands for, with their weights."""
        stem = self._stem(word)
        found = {one: 1.0 for one, own in self._stems.items() if own == stem}
        if is_unfinished and len(word) >= _LEAST_PREFIX:
            found |= {one: _BEGUN for one in self._stems if one.startswith(word) and one not in found}
        return found

    def _scores(self, forms: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
        """Points for each word, of pages that have any of them."""
        points: dict[str, list[float]] = {name: [] for name in self._pages}
        for some in forms:
            of_word = {name: self._points(page, some) for name, page in self._pages.items()}
            have = sum(found > 0 for found in of_word.values())
            rarity = math.log1p((len(self._pages) - have + 0.5) / (have + 0.5))
            for name, found in of_word.items():
                points[name].append(rarity * found)
        return {name: found for name, found in points.items() if any(found)}

    def _points(self, page: _Page, forms: Mapping[str, float]) -> float:
        long = K1 * (1 - B + B * page.length / self._mean_length)
        found = 0.0
        for weight, count, fades in zip(_WEIGHTS, page.counts, (K1, K1, long), strict=True):
            times = sum(share * count[word] for word, share in forms.items() if word in count)
            found += weight * times * (K1 + 1) / (times + fades)
        return found

    def _instead(self, words: Sequence[str], forms: Sequence[Mapping[str, float]]) -> str:
        unknown = next((word for word, known in zip(words, forms, strict=True) if not known), "")
        return next(iter(get_close_matches(unknown, self._stems, 1, _ALIKE)), "")


def anchor(heading: str) -> str:
    """The end of a link to a heading, after `#`, as GitHub makes it."""
    return re.sub(r"[^\w -]", "", heading.strip().lower()).replace(" ", "-")


def anchors(markdown: str) -> list[str]:
    """Anchors of all headings of a page."""
    return [anchor(heading) for heading in re.findall(r"^#+ (.+)$", markdown, re.MULTILINE)]


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _fields(markdown: str) -> tuple[str, str, str]:
    """Title, headings and text of a page, without marks; the text has the headings too."""
    headings = re.findall(r"^##+ (.+)$", markdown, re.MULTILINE)
    title, _, rest = markdown.partition("\n")
    for mark, plain in _MARKDOWN:
        title, rest = mark.sub(plain, title), mark.sub(plain, rest)
    return title, "\n".join(headings), " ".join(rest.split())


def _together(forms: Sequence[Mapping[str, float]]) -> re.Pattern[str]:
    """One word after the other; never, where there are not several."""
    if len(forms) < 2 or not all(forms):
        return re.compile(r"(?!)")
    return re.compile(r"\W+".join(rf"\b(?:{'|'.join(known)})\b" for known in forms), re.IGNORECASE)


def _snippet(text: str, number: Mapping[str, int]) -> tuple[Piece, ...]:
    """The stretch with the most of the words that are looked for, whose numbers are given by their forms."""
    places = list(_WORD.finditer(text))
    which = [number.get(place[0].lower()) for place in places]
    last = max(0, len(places) - _SNIPPET)

    def worth(start: int) -> int:
        return len({one for one in which[start : start + _SNIPPET] if one is not None})

    begins = [min(last, max(0, place - 3)) for place, one in enumerate(which) if one is not None]
    start = max(begins, key=worth, default=0)  # the first of equals
    shown = places[start : start + _SNIPPET]
    pieces = [Piece("… ", False)] if start else []
    end = shown[0].start() if shown else 0
    for place, one in zip(shown, which[start:], strict=False):
        if one is not None:
            pieces += [Piece(text[end : place.start()], False), Piece(place[0], True)]
            end = place.end()
    after = text[end : shown[-1].end()] if shown else ""
    return tuple(piece for piece in (*pieces, Piece(after + (" …" if start < last else ""), False)) if piece.text)
