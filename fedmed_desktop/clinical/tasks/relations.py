# SPDX-License-Identifier: Apache-2.0
"""Relations: modifiers of mentions that are given, marked up in the text and linked to them.

After the instruction templates of Fed-MedLoRA (arXiv 2601.22124, in the authors' code), where the mentions are marked
in the input and the answer marks the modifiers alone. The authors' scorer leaves the link out. Here it is the nearest
mention that the modifier goes with, unless the answer names others by their numbers:

    ### Task: markup
    ### Classes: dosage, route
    ### Input: <span class="drug" id="1">Aspirin</span> 100 mg daily.
    ### Output: Aspirin <span class="dosage">100 mg</span> daily.

A number in every tag, the mentions' tags in the answer, a list of objects, or a task of another name were all learned
worse by a small model: nothing at all in the 240 steps after which this form found its first links (seen on the
validation notes of one bundled site).
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from ...scores import TaskName, TaskScores
from ..answers import marked_up, outermost
from ..link_scoring import Link, score_links
from ..modifiers import goes_with
from ..notes import Entity, Note, Span
from ..prompts import shown
from ..windows import Parts, Window, split_note
from .task import Answer, Asked, Prediction

_OF: Final = re.compile(r"\bof\s*=\s*[\"']?\s*(?P<numbers>[\d\s,]+)", re.IGNORECASE)
BLANKS: Final = 12
"""Of the windows without any link, one in so many is taught: all of them would drown the few with one (inferred)."""

_NUMBER_DIGITS: Final = 6  # no window has a million mentions


class Relations:
    """The task for these types of mention and these modifiers. Notes come from apply_types with both.

    A modifier without numbers, or with those of no mention that it goes with, is of the nearest one that it does go
    with (of two as near, of the one before it): inferred, and so most answers need no number at all.
    Mentions and modifiers are linked within a window only; a link across two counts as missed.
    """

    name: Final[TaskName] = "relations"

    def __init__(self, types: Iterable[str], modifiers: Iterable[str]) -> None:
        self.types: tuple[str, ...] = tuple(sorted(set(types)))
        self.modifiers: tuple[str, ...] = tuple(sorted(set(modifiers)))

    def taught_by(self, notes: Sequence[Note]) -> bool:
        """True if there is a single link: a site that marks none may not have looked for them."""
        return any(self.links(note) for note in notes)

    def labelled(self, note: Note) -> bool:
        if note.tasks is not None:
            return self.name in note.tasks
        return any(entity.type in self.types for entity in note.entities)

    def links(self, note: Note) -> list[Link]:
        """The note's own links, of this task's types and modifiers, sorted."""
        spans = {entity.id: entity.span for entity in note.entities}
        links = {Link(spans[relation.head], spans[relation.tail]) for relation in note.relations}
        return sorted(link for link in links if self._asks_for(link))

    def prompt(self, note: Note) -> str:
        """The instruction about a note, or a window of one, with its mentions marked and numbered."""
        classes = ", ".join(self.modifiers)
        return f"### Task: markup\n### Classes: {classes}\n### Input: {self._input(note)}\n### Output: "

    def teach(self, note: Note, max_chars: int) -> list[Asked]:
        """Returns the windows that are taught; which ones without a link depends on their names alone."""
        asked = map(self._asked, split_note(note, max_chars))
        return [one for one in asked if self._heads(one.note) and (self.links(one.note) or _drawn(one.note.id))]

    def ask(self, note: Note, max_chars: int) -> list[Asked]:
        # Cut without looking at the modifiers, which may be labels of a test; the mentions are given.
        given = split_note(with_heads(note, [head.span for head in self._heads(note)]), max_chars)
        parts = Parts(note)
        asked = (self._asked(Window(parts.of(one.offset, one.end), one.offset)) for one in given)
        return [one for one in asked if self._heads(one.note)]  # without a mention nothing can be of one

    def _asked(self, window: Window) -> Asked:
        part = window.note
        return Asked(part, self.prompt(part), self._answer(part), offset=window.offset)

    def predict(self, note: Note, asked: Sequence[Asked], answers: Sequence[Answer]) -> Prediction:
        found: list[Link] = []
        for one, answer in zip(asked, answers, strict=True):
            assert isinstance(answer, str)
            found += [
                Link(_moved(link.head, one.offset), _moved(link.tail, one.offset))
                for link in self._parsed(one.note, answer)
            ]
        return Prediction(links=tuple(sorted(found)))

    def score(self, note: Note, prediction: Prediction) -> TaskScores:
        return score_links(self.links(note), prediction.links, self.modifiers)

    def _asks_for(self, link: Link) -> bool:
        head, tail = link
        return head.type in self.types and tail.type in self.modifiers and goes_with(tail.type, head.type)

    def _heads(self, note: Note) -> list[Entity]:
        """Entities in the order of their numbers, which begin at 1."""
        return sorted((e for e in note.entities if e.type in self.types), key=lambda e: e.start)

    def _head_tags(self, note: Note) -> dict[Span, str]:
        heads = enumerate(self._heads(note), start=1)
        return {head.span: f'class="{head.type}" id="{number}"' for number, head in heads}

    def _input(self, note: Note) -> str:
        return _tagged(shown(note.text), self._head_tags(note))

    def _answer(self, note: Note) -> str:
        heads = [head.span for head in self._heads(note)]
        of: defaultdict[Span, list[Span]] = defaultdict(list)
        for head, tail in self.links(note):
            of[tail].append(head)
        return _tagged(shown(note.text), {tail: _attributes(tail, named, heads) for tail, named in of.items()})

    def _parsed(self, note: Note, answer: str) -> list[Link]:
        marks = marked_up(answer, note.text, self.modifiers)
        heads = [head.span for head in self._heads(note)]
        named: defaultdict[Span, list[Span]] = defaultdict(list)
        for tail, attributes in marks:
            named[tail] += [heads[number - 1] for number in _numbers(attributes) if 1 <= number <= len(heads)]
        links: set[Link] = set()
        for tail in outermost(named):
            possible = [head for head in heads if goes_with(tail.type, head.type)]
            meant = [head for head in named[tail] if head in possible] or _nearest(tail, possible)
            links |= {Link(head, tail) for head in meant}
        return sorted(links)


def with_heads(note: Note, heads: Iterable[Span]) -> Note:
    """The note with these mentions as its own and without any other label, to be asked for their modifiers."""
    entities = tuple(
        Entity(id=f"T{number}", start=span.start, end=span.end, type=span.type, text=note.text[span.start : span.end])
        for number, span in enumerate(outermost(heads), start=1)
        if note.text[span.start : span.end].strip()
    )
    return Note(id=note.id, text=note.text, entities=entities, specialty=note.specialty)


def _attributes(tail: Span, named: Sequence[Span], heads: Sequence[Span]) -> str:
    """Attributes of a modifier's tag: numbers only where it is not of the nearest mention alone."""
    possible = [head for head in heads if goes_with(tail.type, head.type)]
    if list(named) == _nearest(tail, possible):
        return f'class="{tail.type}"'
    numbers = sorted(heads.index(head) + 1 for head in named)
    return f'class="{tail.type}" of="{" ".join(map(str, numbers))}"'


def _nearest(tail: Span, possible: Sequence[Span]) -> list[Span]:
    """The nearest mention, of two as near the one before; none where none is possible."""
    return [min(possible, key=lambda head: (_distance(head, tail), head))] if possible else []


def _tagged(text: str, tags: Mapping[Span, str]) -> str:
    """The text with tags that have these attributes. Raises ValueError where two overlap: see apply_types."""
    pieces: list[str] = []
    done = 0
    for span in sorted(tags):
        if span.start < done:
            raise ValueError(f"entities overlap at offset {span.start}")
        pieces += [text[done : span.start], f"<span {tags[span]}>{text[span.start : span.end]}</span>"]
        done = span.end
    return "".join([*pieces, text[done:]])


def _drawn(name: str) -> bool:
    return hashlib.sha256(name.encode()).digest()[0] % BLANKS == 0


def _numbers(attributes: str) -> list[int]:
    named = _OF.search(attributes)
    digits = re.findall(r"\d+", named["numbers"]) if named else []
    return [int(one) for one in digits if len(one) <= _NUMBER_DIGITS]


def _distance(left: Span, right: Span) -> int:
    """Characters between the two; 0 where they touch or overlap."""
    return max(0, right.start - left.end, left.start - right.end)


def _moved(span: Span, by: int) -> Span:
    return span._replace(start=span.start + by, end=span.end + by)
