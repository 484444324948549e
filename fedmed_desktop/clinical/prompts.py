# SPDX-License-Identifier: Apache-2.0
"""Entity extraction as an instruction: the prompt, and the answer that a model is trained to give.

Two answer forms, after the instruction templates of Fed-MedLoRA (arXiv 2601.22124, in the authors' code): "html" is the
text again with `<span class="drug">...</span>` around each mention, "json" a list of objects with "entity" and "text".
The wording is shorter than the authors', for small models:

    ### Task: markup
    ### Classes: drug, problem
    ### Input: Aspirin for pain.
    ### Output: <span class="drug">Aspirin</span> for <span class="problem">pain</span>.

A prompt ends with the blank after "Output:". Training and generation tokenise prompt and answer apart, so that both see
the same tokens there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from itertools import pairwise
from typing import Final, Literal, NamedTuple

from .notes import Entity, Note, Span
from .sentences import sentence_ends

AnswerForm = Literal["html", "json"]

_TASKS: Final[dict[AnswerForm, str]] = {"html": "markup", "json": "json"}
# Everything that str.splitlines splits at: the input is one line of the prompt.
_LINE_BREAK: Final = re.compile("[\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029]")
_OWN_MARKUP: Final = re.compile(r"<(?=\s*/?\s*span)", re.IGNORECASE)


def shown(text: str) -> str:
    """The text as the model sees it, of the same length, so that offsets hold.

    Line breaks become blanks, and "<" before "span" or "/span" becomes "‹": in an answer only the model's own mark-up
    may look like mark-up. All else is verbatim.
    """
    return _OWN_MARKUP.sub("‹", _LINE_BREAK.sub(" ", text))


def build_prompt(note_text: str, types: Iterable[str], form: AnswerForm) -> str:
    """The instruction for one text. `types` are the classes asked for, in any order; the prompt has them sorted."""
    classes = ", ".join(sorted(set(types)))
    return f"### Task: {_TASKS[form]}\n### Classes: {classes}\n### Input: {shown(note_text)}\n### Output: "


def build_answer(note: Note, types: Collection[str], form: AnswerForm) -> str:
    """The answer for a note, with its entities of `types`. Raises ValueError where these overlap: see apply_types."""
    entities = sorted((e for e in note.entities if e.type in types), key=lambda e: e.start)
    for left, right in pairwise(entities):
        if right.start < left.end:
            raise ValueError(f"entities overlap at offset {right.start}")
    text = shown(note.text)
    if form == "json":
        return json.dumps([{"entity": e.type, "text": text[e.start : e.end]} for e in entities], ensure_ascii=False)
    return _marked_up(text, entities)


def _marked_up(text: str, entities: list[Entity]) -> str:
    pieces: list[str] = []
    done = 0
    for entity in entities:
        words = text[entity.start : entity.end]
        pieces += [text[done : entity.start], f'<span class="{entity.type}">{words}</span>']
        done = entity.end
    return "".join([*pieces, text[done:]])


class Window(NamedTuple):
    """A part of a note as a note of its own; its text begins at `offset` in the whole."""

    note: Note
    offset: int

    def to_note(self, spans: Iterable[Span]) -> list[Span]:
        """Spans of the window as spans of the whole note."""
        return [Span(s.start + self.offset, s.end + self.offset, s.type) for s in spans]


def split_note(note: Note, max_chars: int) -> list[Window]:
    """Windows of at most `max_chars` characters, cut at the end of a sentence, else at a blank, else anywhere.

    No cut is inside an entity, so a longer one makes a longer window. Blanks between windows are dropped: give it notes
    from apply_types, whose entities have none at their edges. A note that fits is its own window.
    """
    if max_chars < 1:
        raise ValueError("max_chars must be at least 1")
    if len(note.text) <= max_chars:
        return [Window(note, 0)]
    forbidden = bytearray(len(note.text) + 1)
    for entity in note.entities:
        forbidden[entity.start + 1 : entity.end] = b"\x01" * (entity.end - entity.start - 1)
    ends = {end for end in sentence_ends(note.text) if not forbidden[end]}
    windows: list[Window] = []
    start = _next_word(note.text, 0)
    while start < len(note.text):
        cut = _cut(note.text, start, max_chars, ends, forbidden)
        windows.append(Window(_part(note, start, cut), start))
        start = _next_word(note.text, cut)
    return windows


def _next_word(text: str, start: int) -> int:
    return len(text) - len(text[start:].lstrip())


def _cut(text: str, start: int, max_chars: int, ends: set[int], forbidden: bytearray) -> int:
    limit = start + max_chars
    if limit >= len(text):
        return len(text)
    backwards = range(limit, start, -1)
    choices = (
        (at for at in backwards if at in ends),
        (at for at in backwards if text[at].isspace() and not forbidden[at]),
        (at for at in backwards if not forbidden[at]),
        (at for at in range(limit, len(text)) if not forbidden[at]),
    )
    return next((at for places in choices for at in places), len(text))


def _part(note: Note, start: int, end: int) -> Note:
    text = note.text[start:end].rstrip()
    end = start + len(text)
    entities = tuple(_moved(e, start) for e in note.entities if start <= e.start and e.end <= end)
    ids = {entity.id for entity in entities}
    relations = tuple(r for r in note.relations if r.head in ids and r.tail in ids)
    name = f"{note.id[:180]}@{start}"
    return Note(id=name, text=text, entities=entities, relations=relations, specialty=note.specialty)


def _moved(entity: Entity, by: int) -> Entity:
    fragments = entity.fragments and tuple((start - by, end - by) for start, end in entity.fragments)
    return entity.model_copy(update={"start": entity.start - by, "end": entity.end - by, "fragments": fragments})
