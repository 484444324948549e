# SPDX-License-Identifier: Apache-2.0
"""One free-text note that one task asks about, by the base model with an adapter or without: all tasks but entities,
whose words are told as they come (reading.py)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..clinical import Note
from ..clinical.reading import LEAST_CHARACTERS, Lengths
from ..clinical.tasks import Answer, Prediction, Task
from ..errors import UserFacingError
from ..federation.work import Control
from ..lora import Adapter
from .batches import Encoder
from .chat import Prompting
from .evaluation import Evaluator
from .loading import LoadedBase


@dataclass(frozen=True)
class Sides:
    """Adapters that act together; none: the base alone."""

    adapter: Adapter | None = None
    frozen: Adapter | None = None
    personal: Adapter | None = None


def ask_note(
    base: LoadedBase,
    task: Task,
    note: Note,
    sides: Sides,
    lengths: Lengths,
    control: Control,
    prompting: Prompting = "plain",
    text_tokens: int | None = None,
) -> tuple[Prediction, tuple[Answer, ...]]:
    """The task's prediction about the note, and the answers behind it. Labels that the note has decide nothing.

    `text_tokens` bounds what is asked about at a time, as in reading.py.

    On the calling thread, after other work. Raises Stopped before the next token, UserFacingError: a model that cannot
    be loaded, an adapter that does not fit it, too little memory, a note of which nothing fits.
    """
    control.check()
    model = base.get()
    model.use_threads()
    encoder = Encoder(model.tokenizer, [task], prompting)
    model.lora.attach(sides.adapter, sides.frozen, sides.personal)
    most_chars = None
    if text_tokens and note.text.strip():
        most_chars = max(LEAST_CHARACTERS, len(note.text) * text_tokens // encoder.length(note.text))
    most = model.room(lengths.max_tokens)
    questions = encoder.encode([note], most, reading=True, unlabelled=True, most_chars=most_chars)
    if questions.left_out:
        raise UserFacingError("training.context_too_short", context=most)
    try:
        answers = Evaluator(model, encoder).answers(questions, lengths.max_new_tokens, check=control.check)
    except torch.OutOfMemoryError:
        raise UserFacingError("training.out_of_memory", device=model.device.name) from None
    asked = [item.asked for item in questions.items]
    return task.predict(note, asked, answers), tuple(answers)
