# SPDX-License-Identifier: Apache-2.0
"""Notes as tagged tokens, and tags back as spans of the note.

A note is read as units: runs of letters, runs of digits, and every other sign on its own. The first token that begins
in a unit carries its tag, and the others of the unit carry none (the first-subword rule that is usual for BERT). Units'
offsets come from the text, not from the tokenizer, so a span that is read back is always `text[start:end]`. A unit in
which no token begins has no tag: the tokenizer dropped it, or made one token of it and the unit before.

Tags are BIO: "B" begins an entity, "I" goes on with it. "I" without an entity of its type before it begins one too.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ...clinical import Note, Span, split_note
from ..plain_text import text_offsets

_UNIT: Final = re.compile(r"[^\W\d_]+|\d+|\S")
_SHORTEST: Final = 40  # characters of a window: a few words, of which less makes no sense

OUTSIDE: Final = 0
"""The tag of what is in no entity."""


class Tags:
    """The tags of sorted types as numbers: 0 outside, then "B" and "I" of each type in turn."""

    def __init__(self, types: Sequence[str]) -> None:
        self.types = tuple(sorted(set(types)))
        self._begins = {name: 1 + 2 * at for at, name in enumerate(self.types)}

    def __len__(self) -> int:
        return 1 + 2 * len(self.types)

    @property
    def names(self) -> list[str]:
        return ["O", *(f"{part}-{name}" for name in self.types for part in "BI")]

    def of(self, types: Sequence[str]) -> list[int]:
        """The tags that a site may use that annotates these types only."""
        return [OUTSIDE, *(self._begins[name] + part for name in self.types if name in types for part in (0, 1))]

    def encode(self, units: Sequence[tuple[int, int]], spans: Sequence[Span]) -> list[int]:
        """A tag for each unit. A span that ends within a unit has all of it; of two in one unit the first has it."""
        tags = [OUTSIDE] * len(units)
        starts = [start for start, _ in units]
        for span in sorted(spans):
            at = max(0, bisect_right(starts, span.start) - 1)
            tag = self._begins[span.type]
            while at < len(units) and units[at][0] < span.end:
                if units[at][1] > span.start and tags[at] == OUTSIDE:
                    tags[at] = tag
                    tag = self._begins[span.type] + 1
                at += 1
        return tags

    def decode(self, units: Sequence[tuple[int, int]], tags: Sequence[int]) -> list[Span]:
        """Spans from the first to the last unit of each entity, in order; they never overlap."""
        found: list[Span] = []
        before = OUTSIDE
        for (start, end), tag in zip(units, tags, strict=True):
            if tag != OUTSIDE:
                name = self.types[(tag - 1) // 2]
                goes_on = tag % 2 == 0 and before in (tag, tag - 1)
                found.append(found.pop()._replace(end=end) if goes_on else Span(start, end, name))
            before = tag
        return found


@dataclass(frozen=True)
class Tagged:
    """One window of a note; `note` is the number of the note in its list, `offset` where the window begins in it.

    `places`: for each unit the position of its first token. `units` are in the window's own text. `allowed`: the tags
    that its site uses.
    """

    note: int
    offset: int
    tokens: tuple[int, ...]
    places: tuple[int, ...]
    units: tuple[tuple[int, int], ...]
    tags: tuple[int, ...]
    allowed: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.tokens)


class Tagger:
    """Makes windows of at most `max_tokens` tokens. Raises ValueError for a tokenizer without offsets."""

    def __init__(self, tokenizer: Any, tags: Tags, max_tokens: int) -> None:
        self._tokenizer, self._tags, self._most = tokenizer, tags, max_tokens
        self._before, self._after = _around(tokenizer)
        text_offsets(tokenizer, "a")

    def tagged(self, notes: Sequence[Note], types: Sequence[str]) -> list[Tagged]:
        """The windows of the notes, by order; `types` are those that their site annotates, and no others are tagged."""
        return [window for number, note in enumerate(notes) for window in self._windows(number, note, types)]

    def _windows(self, number: int, note: Note, types: Sequence[str]) -> Iterator[Tagged]:
        spans = [entity.span for entity in note.entities if entity.type in types]
        # Cut without a look at its entities: a note to be read has none.
        bare = note.model_copy(update={"entities": (), "relations": ()})
        room = len(note.text)
        windows = split_note(bare, room)
        while room > _SHORTEST and any(self._length(window.note.text) > self._most for window in windows):
            room = max(_SHORTEST, room // 2)
            windows = split_note(bare, room)
        for window in windows:
            text, offset = window.note.text, window.offset
            here = [
                Span(max(0, s.start - offset), min(len(text), s.end - offset), s.type)
                for s in spans
                if s.start < offset + len(text) and offset < s.end
            ]
            yield self._tagged(number, offset, text, here, types)

    def _length(self, text: str) -> int:
        return len(self._before) + len(text_offsets(self._tokenizer, text)[0]) + len(self._after)

    def _tagged(self, number: int, offset: int, text: str, spans: list[Span], types: Sequence[str]) -> Tagged:
        tokens, offsets = text_offsets(self._tokenizer, text)
        room = self._most - len(self._before) - len(self._after)  # a window of a few words may still be too long
        places, units = _first_tokens(text, offsets[:room])
        return Tagged(
            note=number,
            offset=offset,
            tokens=(*self._before, *tokens[:room], *self._after),
            places=tuple(place + len(self._before) for place in places),
            units=tuple(units),
            tags=tuple(self._tags.encode(units, spans)),
            allowed=tuple(self._tags.of(types)),
        )


def _first_tokens(text: str, offsets: Sequence[tuple[int, int]]) -> tuple[list[int], list[tuple[int, int]]]:
    """The units in which a token begins, each with the place of its first one."""
    units = [match.span() for match in _UNIT.finditer(text)]
    starts = [start for start, _ in units]
    places: list[int] = []
    found: list[tuple[int, int]] = []
    last = -1
    for place, (start, end) in enumerate(offsets):
        while start < end and text[start].isspace():  # some tokenizers count the blank before a word to it
            start += 1
        at = bisect_right(starts, start) - 1
        if start < end and at > last:
            places.append(place)
            found.append(units[at])
            last = at
    return places, found


def _around(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The special tokens that the tokenizer puts before and behind a text, such as [CLS] and [SEP]."""
    found = tokenizer("a", return_special_tokens_mask=True)
    ids, special = list(found["input_ids"]), list(found["special_tokens_mask"])
    own = [at for at, mark in enumerate(special) if not mark]
    return ids[: own[0]], ids[own[-1] + 1 :]
