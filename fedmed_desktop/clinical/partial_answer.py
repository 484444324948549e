# SPDX-License-Identifier: Apache-2.0
"""An answer read while the model writes it: entities as they are closed, and its place in the text.

Each piece is read once, so time is linear in the answer (apart from looking up the words of json, as in parse_answer).
It finds what parse_answer finds in the end, behind what was thought aloud, as far as the words have settled: behind a
slip, once they agree again. So a span is not taken back unless an outer one closes around it. The whole answer is for
parse_answer.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import deque
from collections.abc import Collection, Mapping
from typing import Final, Protocol

from .alignment import Alignment, Token, tokenise
from .answers import OBJECT, TAG, THINK, THOUGHT, Lookup, Marks, longest_answer, mapped, outermost
from .notes import Span
from .prompts import AnswerForm, shown

# What may yet become a tag, at the end of what has come.
_TAG_BEGUN: Final = re.compile(
    r"<\s*(?:/\s*(?:s(?:p(?:a(?:n\s*)?)?)?)?|s(?:p(?:a(?:n(?:\b[^<>]{0,300})?)?)?)?)?\Z", re.IGNORECASE
)
_OBJECT_BEGUN: Final = re.compile(r"\{\s*(?:\"|\Z)")
_WORD: Final = re.compile(r"\w*")


class _Reader(Protocol):
    @property
    def spans(self) -> list[Span]: ...
    @property
    def reached(self) -> int: ...
    def add(self, piece: str) -> None: ...


class PartialAnswer:
    """An answer that grows. Offsets are those of `text`; used by one thread."""

    def __init__(self, text: str, types: Collection[str], form: AnswerForm) -> None:
        classes = {name.casefold(): name for name in types}
        self._reader: _Reader = (_Json if form == "json" else _Html)(shown(text), classes)
        self._aloud = _Aloud(text)
        self._room = longest_answer(text)
        self._reached = 0

    def add(self, piece: str) -> None:
        """The next characters of the answer, any number. Nothing in them raises."""
        piece = self._aloud.without(piece)[: self._room]
        self._room -= len(piece)
        if piece:
            self._reader.add(piece)
            self._reached = max(self._reached, self._reader.reached)

    @property
    def spans(self) -> list[Span]:
        """Closed so far: sorted, not overlapping, of the asked types."""
        return outermost(self._reader.spans)

    @property
    def reached(self) -> int:
        """Characters of the text that the answer has dealt with; never falls."""
        return self._reached


class _Aloud:
    """Takes out what a reasoning model thinks before it answers, as answers.without_reasoning does of the whole."""

    def __init__(self, text: str) -> None:
        self._held = ""
        self._thinks = False
        self._answers = text.lstrip().startswith(THINK)

    def without(self, piece: str) -> str:
        """The part of the answer that has become certain with its next piece."""
        if self._answers:
            return piece
        self._held += piece
        begun = self._held.lstrip()
        self._thinks = self._thinks or begun.startswith(THINK)
        if not self._thinks and THINK.startswith(begun):
            return ""
        said = self._held
        if self._thinks:
            _, mark, said = self._held.partition(THOUGHT)
            if not mark:
                self._held = self._held[1 - len(THOUGHT) :]
                return ""
        self._answers, self._held = True, ""
        return said


class _Html:
    """Marked-up text: tags are taken out, words are aligned, and closed spans wait until their words are settled."""

    def __init__(self, source: str, classes: Mapping[str, str]) -> None:
        self._source = tokenise(source)
        self._alignment = Alignment(self._source)
        self._marks = Marks(classes)
        self._held = ""
        self._length = 0  # of the answer's text without tags
        self._word = ""  # its last word, which may go on
        self._tokens: list[Token] = []
        self._texts: list[str] = []
        self._waiting: deque[Span] = deque()  # in the order of their ends
        self.spans: list[Span] = []

    @property
    def reached(self) -> int:
        count = self._alignment.reached
        return self._source[count - 1].end if count else 0

    def add(self, piece: str) -> None:
        held, done = self._held + piece, 0
        for tag in TAG.finditer(held):
            self._take(held[done : tag.start()])
            done = tag.end()
            known = len(self._marks.closed)
            self._marks.take(tag, self._length)
            self._waiting += self._marks.closed[known:]
        begun = _TAG_BEGUN.search(held, done)
        stop = begun.start() if begun else len(held)
        self._take(held[done:stop])
        self._held = held[stop:]
        self._alignment.settle(self._texts)
        self._place()

    def _take(self, text: str) -> None:
        """Text of the answer without tags."""
        tail = self._word + text
        offset = self._length - len(self._word)
        self._length += len(text)
        last = _WORD.match(tail[::-1])
        whole = len(tail) - (last.end() if last else 0)
        self._word = tail[whole:]
        self._tokens += (found := tokenise(tail[:whole], offset))
        self._texts += (token.text for token in found)

    def _place(self) -> None:
        """Maps the waiting spans whose words are settled."""
        places = self._alignment.places
        settled = self._length - len(self._word)
        if len(places) < len(self._tokens):
            settled = self._tokens[len(places)].start
        while self._waiting and self._waiting[0].end <= settled:
            span = self._waiting.popleft()
            first = bisect_right(self._tokens, span.start, key=lambda token: token.end)
            if (place := mapped(span, first, self._tokens, self._source, places)) is not None:
                self.spans.append(place)


class _Json:
    """A list of objects: each is looked up once its second string is closed."""

    def __init__(self, source: str, classes: Mapping[str, str]) -> None:
        self._lookup = Lookup(source, classes)
        self._held = ""
        self.reached = 0

    @property
    def spans(self) -> list[Span]:
        return self._lookup.spans

    def add(self, piece: str) -> None:
        self._held += piece
        if '"' not in piece:
            return
        done = 0
        for match in OBJECT.finditer(self._held):
            self._lookup.add(match)
            self.reached = max(self.reached, *(span.end for span in self.spans[-1:]), 0)
            done = match.end()
        self._held = self._held[done:]
        # Where an object begins inside another, that one can be none any more: only the last may become one.
        begun = deque(_OBJECT_BEGUN.finditer(self._held), maxlen=1)
        self._held = self._held[begun[0].start() :] if begun else ""
