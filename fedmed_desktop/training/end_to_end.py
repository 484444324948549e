# SPDX-License-Identifier: Apache-2.0
"""Modifiers of the mentions that the model itself has found: relations end to end, as on notes without labels.

Elsewhere relations are asked about the mentions that a note is labelled with, as Fed-MedLoRA's authors do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ..clinical import Note, Span
from ..clinical.link_scoring import Link
from ..clinical.tasks import Prediction, Relations, Task, with_heads
from .base import BaseModel
from .batches import Encoder
from .chat import Prompting
from .evaluation import Evaluator


def end_to_end(
    base: BaseModel,
    notes: Sequence[Note],
    entities: Task,
    relations: Relations,
    max_tokens: int,
    max_new_tokens: int,
    progress: Callable[[int], None] = lambda done: None,
    check: Callable[[], None] = lambda: None,
    prompting: Prompting = "plain",
) -> Iterator[tuple[Note, Prediction]]:
    """Each note with the mentions that whatever is in the base's slot finds there, and with the links of these.

    `progress` counts answers, first of the one task, then on of the other.
    """
    encoder = Encoder(base.tokenizer, [entities], prompting)
    asked = encoder.encode([_unlabelled(note) for note in notes], max_tokens, reading=True)
    answered = Evaluator(base, encoder).predictions(asked, max_new_tokens, progress, check)
    found = [one.spans for _, one in answered]
    done = len(asked.items)
    links = linked(
        base, notes, found, relations, max_tokens, max_new_tokens, lambda n: progress(done + n), check, prompting
    )
    for note, spans, those in zip(notes, found, links, strict=True):
        yield note, Prediction(spans=spans, links=those)


def linked(
    base: BaseModel,
    notes: Sequence[Note],
    found: Sequence[Sequence[Span]],
    relations: Relations,
    max_tokens: int,
    max_new_tokens: int,
    progress: Callable[[int], None] = lambda done: None,
    check: Callable[[], None] = lambda: None,
    prompting: Prompting = "plain",
) -> list[tuple[Link, ...]]:
    """The links of the mentions `found` in each note. Notes in which nothing was found are not asked about at all."""
    marked = [with_heads(note, spans) for note, spans in zip(notes, found, strict=True)]
    places = [at for at, note in enumerate(marked) if relations.labelled(note)]
    encoder = Encoder(base.tokenizer, [relations], prompting)
    asked = encoder.encode([marked[at] for at in places], max_tokens, reading=True)
    links: list[tuple[Link, ...]] = [()] * len(notes)
    answered = Evaluator(base, encoder).predictions(asked, max_new_tokens, progress, check)
    for at, (_, one) in zip(places, answered, strict=True):
        links[at] = one.links
    return links


def _unlabelled(note: Note) -> Note:
    """The note as a text, which every task may be asked about."""
    return Note(id=note.id, text=note.text, specialty=note.specialty)
