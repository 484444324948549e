# SPDX-License-Identifier: Apache-2.0
"""Parsing of a model's answer into spans of the text that it was asked about.

Any string is a valid answer, if one without spans. Time is bounded, for a model may repeat itself until it is stopped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from .alignment import Token, align, tokenise
from .notes import Span
from .prompts import AnswerForm, shown

TAG: Final = re.compile(r"<\s*(?:(?P<close>/)\s*span\s*|span\b(?P<attributes>[^<>]{0,300}))>", re.IGNORECASE)
THINK: Final = "<think>"
THOUGHT: Final = "</think>"
_CLASS: Final = re.compile(r"class\s*=\s*[\"']?\s*(?P<name>[^\"'\s]+)", re.IGNORECASE)
_STRING: Final = r'"((?:[^"\\]|\\.)*)"'
OBJECT: Final = re.compile(
    rf'\{{\s*(?:"entity"\s*:\s*{_STRING}\s*,\s*"text"\s*:\s*{_STRING}|'
    rf'"text"\s*:\s*{_STRING}\s*,\s*"entity"\s*:\s*{_STRING})',
    re.DOTALL,
)
_MARKUP_PER_CHARACTER: Final = 80
_MARKUP_MIN: Final = 4000
_OBJECTS_MAX: Final = 1000


def parse_answer(answer: str, text: str, types: Collection[str], form: AnswerForm) -> list[Span]:
    """The spans of `types` that an answer marks in `text`: offsets in the original, sorted, not overlapping.

    html: the answer's words are aligned to the text's, so that a slip in copying costs only the words around it. A span
    that is never closed is dropped; of nested ones the outermost counts. json: each surface form is looked up from left
    to right, a repeated one at its next place, and dropped if the text does not have it. Class names match in any case.
    """
    answer = answer[: longest_answer(text)]
    classes = {name.casefold(): name for name in types}
    if form == "html":
        return outermost(span for span, _ in marked_up(answer, text, types))
    lookup = Lookup(shown(text), classes)
    for match in OBJECT.finditer(answer):
        lookup.add(match)
    return outermost(lookup.spans)


def without_reasoning(answer: str, text: str) -> str:
    """The answer behind what a reasoning model thinks aloud first, "<think>...</think>"; "" while it still thinks.

    Where the text that was asked about begins with that word itself, the answer may be a copy of it, and stays whole.
    """
    if not answer.lstrip().startswith(THINK) or text.lstrip().startswith(THINK):
        return answer
    return answer.partition(THOUGHT)[2]


def longest_answer(text: str) -> int:
    """Number of characters of an answer that are parsed."""
    return len(text) * _MARKUP_PER_CHARACTER + _MARKUP_MIN


def marked_up(answer: str, text: str, types: Collection[str]) -> list[tuple[Span, str]]:
    """The spans of an html answer in `text`, as parse_answer has them, each with its tag's attributes.

    Two of them may overlap where the answer's words were copied wrongly.
    """
    plain, marked = _without_tags(answer[: longest_answer(text)], {name.casefold(): name for name in types})
    if not marked:
        return []
    source_tokens, copied = tokenise(shown(text)), tokenise(plain)
    places = align(source_tokens, copied)
    spans: list[tuple[Span, str]] = []
    at = 0
    for span in sorted(marked):
        while at and copied[at - 1].end > span.start:
            at -= 1
        while at < len(copied) and copied[at].end <= span.start:
            at += 1
        if (place := mapped(span, at, copied, source_tokens, places)) is not None:
            spans.append((place, marked[span]))
    return spans


def _without_tags(answer: str, classes: Mapping[str, str]) -> tuple[str, dict[Span, str]]:
    """The answer's text without span tags, and the closed spans of known classes in it, outermost only, each with its
    tag's attributes."""
    pieces: list[str] = []
    length = done = 0
    marks = Marks(classes)
    for tag in TAG.finditer(answer):
        pieces.append(answer[done : tag.start()])
        length += tag.start() - done
        done = tag.end()
        marks.take(tag, length)
    attributes = dict(zip(marks.closed, marks.attributes, strict=True))
    return "".join([*pieces, answer[done:]]), {span: attributes[span] for span in outermost(marks.closed)}


class Marks:
    """The span tags of a marked-up answer, one after the other, paired; `closed` are the pairs of known classes, and
    `attributes` what stands in the opening tag of each."""

    def __init__(self, classes: Mapping[str, str]) -> None:
        self._classes = classes
        self._open: list[tuple[int, str | None, str]] = []
        self.closed: list[Span] = []
        self.attributes: list[str] = []

    def take(self, tag: re.Match[str], at: int) -> None:
        """Takes a match of TAG that stands behind `at` characters of the answer's text."""
        if not tag["close"]:
            name = _CLASS.search(tag["attributes"])
            type_ = self._classes.get(name["name"].casefold()) if name else None
            self._open.append((at, type_, tag["attributes"]))
        elif self._open:
            start, type_, attributes = self._open.pop()
            if type_ is not None and start < at:
                self.closed.append(Span(start, at, type_))
                self.attributes.append(attributes)


def mapped(span: Span, first: int, copied: list[Token], source: list[Token], places: list[int | None]) -> Span | None:
    """The span's stretch of the source: from its first aligned token to its last."""
    start: int | None = None
    end = 0
    for index in range(first, len(copied)):
        token = copied[index]
        if token.start >= span.end:
            break
        place = places[index]
        if place is None:
            continue
        origin = source[place]
        # A tag inside a word marks a part of it.
        if start is None:
            start = min(origin.start + max(0, span.start - token.start), origin.end - 1)
        end = origin.end if span.end >= token.end else min(origin.start + span.end - token.start, origin.end)
    return Span(start, end, span.type) if start is not None and start < end else None


class Lookup:
    """The objects of a json answer, one after the other, looked up in the source."""

    def __init__(self, source: str, classes: Mapping[str, str]) -> None:
        self._source, self._classes = source, classes
        self._taken = bytearray(len(source))
        self._used_up: set[str] = set()
        self._objects = 0
        self._cursor = 0
        self.spans: list[Span] = []

    def add(self, match: re.Match[str]) -> None:
        """Takes a match of OBJECT; what cannot be found is left out."""
        self._objects += 1
        entity, surface, surface_first, entity_last = (_unquoted(group) for group in match.groups())
        type_ = self._classes.get((entity if entity is not None else entity_last or "").strip().casefold())
        words = (surface if surface is not None else surface_first or "").strip()
        if self._objects > _OBJECTS_MAX or type_ is None or not words or words in self._used_up:
            return
        place = _find(words, self._source, self._cursor, self._taken)
        if place is None:
            self._used_up.add(words)
            return
        self._cursor = place[1]
        self._taken[slice(*place)] = b"\x01" * (place[1] - place[0])
        self.spans.append(Span(*place, type_))


def _unquoted(group: str | None) -> str | None:
    if group is None:
        return None
    try:
        return str(json.loads(f'"{group}"', strict=False))
    except ValueError:
        return group


def _find(words: str, source: str, cursor: int, taken: bytearray) -> tuple[int, int] | None:
    """The next free place of the words: behind the cursor before in front of it, whole words before parts of words."""
    exact = re.escape(shown(words))
    for start in (cursor, 0) if cursor else (0,):
        for pattern, flags in ((rf"(?<!\w){exact}(?!\w)", 0), (exact, 0), (rf"(?<!\w){exact}(?!\w)", re.IGNORECASE)):
            for match in re.compile(pattern, flags).finditer(source, start):
                if not any(taken[match.start() : match.end()]):
                    return match.span()
    return None


def outermost(spans: Iterable[Span]) -> list[Span]:
    """The longest of overlapping spans (then the earliest), sorted by place."""
    kept: list[Span] = []
    for span in sorted(set(spans), key=lambda s: (s.start, s.start - s.end, s.type)):
        # Sorted by start, only the last kept span can overlap the next.
        if not kept or kept[-1].end <= span.start:
            kept.append(span)
        elif span.end - span.start > kept[-1].end - kept[-1].start:
            kept[-1] = span
    return kept
