# SPDX-License-Identifier: Apache-2.0
"""Modifiers of the mentions that the model itself has found: relations end to end, as on notes without labels.

Elsewhere relations are asked about the mentions that a note is labelled with, as Fed-MedLoRA's authors do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ..clinical import Note
from ..clinical.tasks import Prediction, Relations, Task, with_heads
from .base import BaseModel
from .batches import Encoder
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
) -> Iterator[tuple[Note, Prediction]]:
    """Each note with the mentions that whatever is in the base's slot finds there, and with the links of these.

    `progress` counts answers, first of the one task, then on of the other.
    """
    asked = Encoder(base.tokenizer, [entities]).encode([_unlabelled(n) for n in notes], max_tokens, reading=True)
    first = Evaluator(base, Encoder(base.tokenizer, [entities]))
    found = [one.spans for _, one in first.predictions(asked, max_new_tokens, progress, check)]

    marked = [with_heads(note, spans) for note, spans in zip(notes, found, strict=True)]
    encoder = Encoder(base.tokenizer, [relations])
    # Notes in which nothing was found are not asked about at all.
    places = [at for at, note in enumerate(marked) if relations.labelled(note)]
    following = encoder.encode([marked[at] for at in places], max_tokens, reading=True)
    done = len(asked.items)
    second = Evaluator(base, encoder).predictions(following, max_new_tokens, lambda n: progress(done + n), check)
    links = {at: one.links for at, (_, one) in zip(places, second, strict=True)}
    for at, (note, spans) in enumerate(zip(notes, found, strict=True)):
        yield note, Prediction(spans=spans, links=links.get(at, ()))


def _unlabelled(note: Note) -> Note:
    """The note as a text, which every task may be asked about."""
    return Note(id=note.id, text=note.text, specialty=note.specialty)
