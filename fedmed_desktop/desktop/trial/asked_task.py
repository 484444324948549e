# SPDX-License-Identifier: Apache-2.0
"""Tasks of Try it other than entities: what is asked about a note, and what the answer means. No Qt."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from ...clinical import Note, Span
from ...clinical.reading import Reading
from ...clinical.tasks import Answer, Codes, Prediction, Questions, Relations, Summaries, Task, with_heads
from ..work.news import Answered
from ..work.requests import TrialRequest


def asked_about(request: TrialRequest, found: Sequence[Span]) -> tuple[Task, Note]:
    """The task and the note as it asks about it: for modifiers, with the mentions that were `found`."""
    text = re.sub("[\\ud800-\\udfff]", "\ufffd", request.text)  # half a pair, which no tokeniser takes; offsets stay
    note = Note(id="note", text=text, tasks=(request.task,))
    match request.task:
        case "relations":
            return Relations(request.types, request.modifiers), with_heads(note, found).model_copy(
                update={"tasks": note.tasks}
            )
        case "codes":
            return Codes(), note
        case "questions":
            # A task asks about notes with a label: this one stands in for it, and nobody looks at it.
            asked = {"question": request.question, "options": request.options, "answer": 0}
            return Questions(), note.model_copy(update=asked)
        case _:
            return Summaries(), note.model_copy(update={"summary": ""})


def answered(
    reading: Reading, task: Task, prediction: Prediction, answers: Sequence[Answer]
) -> tuple[Reading, Answered]:
    """The reading with modifiers among its marks, and the answer with what a page needs to show it."""
    if links := prediction.links:
        reading = replace(reading, spans=tuple(sorted({*reading.spans, *(link.tail for link in links)})))
    likelihoods: tuple[float, ...] = ()
    descriptions: tuple[str, ...] = ()
    if isinstance(task, Questions) and answers and not isinstance(answers[0], str):
        likelihoods = answers[0]
    if isinstance(task, Codes):
        descriptions = tuple(task.index.table.description(code) for code, _ in prediction.codes)
    return reading, Answered(task.name, prediction, likelihoods, descriptions)
