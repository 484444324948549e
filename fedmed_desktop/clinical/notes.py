# SPDX-License-Identifier: Apache-2.0
"""Notes with their annotations, as immutable values.

Offsets are Python character offsets (code points), half-open: `text[start:end]`. Messages of validation errors name
keys, offsets and entity numbers only, never the note's words: they reach screens and logs.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Annotated, Final, NamedTuple, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
    field_validator,
    model_validator,
)

from ..scores import TaskName

_HALF: Final = re.compile("[\ud800-\udfff]")


def _whole(text: str) -> str:
    """JSON may escape half a surrogate pair; no tokeniser, file or socket takes such a string."""
    if not text.isascii() and _HALF.search(text):
        raise ValueError("holds half a surrogate pair")
    return text


Text = Annotated[StrictStr, AfterValidator(_whole)]
# Where there are bounds the library refuses half a surrogate pair itself, ten times as fast.
Name = Annotated[StrictStr, Field(min_length=1, max_length=200)]


class Span(NamedTuple):
    """A typed stretch of a text: what is predicted and what is scored. Sorts by start, then end, then type."""

    start: int
    end: int
    type: str


class _Record(BaseModel):
    # Corpora carry keys of their own (`split`, `concept`, `level`): they are read over, not refused.
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Entity(_Record):
    """One annotated mention; `fragments` are the `[start, end)` parts of a discontinuous one, in its outer span."""

    id: Name
    start: StrictInt
    end: StrictInt
    type: Name
    text: Text
    fragments: tuple[tuple[StrictInt, StrictInt], ...] | None = None

    @property
    def discontinuous(self) -> bool:
        """True if other words are between its fragments; a line break alone does not count."""
        gaps = pairwise(sorted(self.fragments or ()))
        return any(self.text[end - self.start : start - self.start].strip() for (_, end), (start, _) in gaps)

    @property
    def span(self) -> Span:
        return Span(self.start, self.end, self.type)


class Relation(_Record):
    """A directed link between two entities of the same note, by entity id."""

    head: Name
    tail: Name
    type: Name


class Note(_Record):
    """A clinical text with its annotation. Raises pydantic.ValidationError if they do not fit.

    `codes`: ICD-10-CM codes of the whole note, dotted, upper case. `question` is about the text (or the text is the
    question, and this is None), `options` its answers to choose from and `answer` the number of the right one, from 0.
    `summary`: what a person wrote about the text. `patient` and `document` say which notes belong together when notes
    are split; `specialty` is the medical one. `tasks`: those that the note is annotated for, also where there was
    nothing to annotate; None: those whose labels it has.
    """

    id: Name
    text: Text
    entities: tuple[Entity, ...] = ()
    relations: tuple[Relation, ...] = ()
    codes: tuple[Name, ...] | None = None
    question: Text | None = None
    options: tuple[Text, ...] = ()
    answer: StrictInt | None = None
    summary: Text | None = None
    patient: Name | None = None
    document: Name | None = None
    specialty: Name | None = None
    tasks: tuple[TaskName, ...] | None = None

    @field_validator("specialty", "patient", "document", mode="before")
    @classmethod
    def _blank_is_none(cls, value: object) -> object:
        return None if isinstance(value, str) and not value.strip() else value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not self.text.strip():
            raise ValueError("the text is empty")
        for number, entity in enumerate(self.entities, start=1):
            _check_entity(number, entity, self.text)
        ids = {entity.id for entity in self.entities}
        if len(ids) < len(self.entities):
            raise ValueError("two entities have the same id")
        for number, relation in enumerate(self.relations, start=1):
            if relation.head not in ids or relation.tail not in ids:
                raise ValueError(f"relation {number} points to an entity id that the note does not have")
        if self.answer is not None and not 0 <= self.answer < len(self.options):
            raise ValueError(f"answer {self.answer} is not the number of one of its {len(self.options)} options")
        return self


def _check_entity(number: int, entity: Entity, text: str) -> None:
    where = f"entity {number}, offsets {entity.start} to {entity.end}"
    if not 0 <= entity.start < entity.end <= len(text):
        raise ValueError(f"{where}: outside the text ({len(text)} characters) or not in order")
    if text[entity.start : entity.end] != entity.text:
        raise ValueError(f"{where}: the characters there are not the entity's text")
    if entity.text.isspace():
        raise ValueError(f"{where}: only blanks")
    for start, end in entity.fragments or ():
        if not entity.start <= start < end <= entity.end:
            raise ValueError(f"{where}: fragment {start} to {end} is not inside")
