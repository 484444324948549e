# SPDX-License-Identifier: Apache-2.0
"""Entities: mentions of the asked types, marked up in the text or listed as JSON (clinical.prompts)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from ...scores import TaskName, TaskScores
from ..answers import outermost, parse_answer
from ..notes import Note
from ..prompts import AnswerForm, build_answer, build_prompt
from ..scoring import score
from ..windows import OVERLAP, Parts, merged, split_note
from .task import Answer, Asked, Prediction


class Entities:
    """The task for these types. Notes come from apply_types: no two of their entities of these types overlap."""

    name: Final[TaskName] = "entities"

    def __init__(self, types: Iterable[str], form: AnswerForm = "html") -> None:
        self.types: tuple[str, ...] = tuple(sorted(set(types)))
        self.form: AnswerForm = form

    def taught_by(self, notes: Sequence[Note]) -> bool:
        return bool(self.types) and any(self.labelled(note) for note in notes)

    def labelled(self, note: Note) -> bool:
        if note.tasks is not None:
            return self.name in note.tasks
        # A note with labels of another kind and no entity was not read for entities.
        other = note.codes is not None or bool(note.options) or note.summary is not None
        return bool(note.entities) or not other

    def prompt(self, text: str) -> str:
        return build_prompt(text, self.types, self.form)

    def teach(self, note: Note, max_chars: int) -> list[Asked]:
        return [self._asked(part, offset) for part, offset in split_note(note, max_chars)]

    def ask(self, note: Note, max_chars: int) -> list[Asked]:
        # Cut without looking at the labels, which may be those of a test.
        bare = note.model_copy(update={"entities": (), "relations": ()})
        windows = split_note(bare, max_chars, max_chars // OVERLAP)
        parts = Parts(note)
        return [self._asked(parts.of(window.offset, window.end), window.offset) for window in windows]

    def _asked(self, part: Note, offset: int) -> Asked:
        return Asked(part, self.prompt(part.text), build_answer(part, self.types, self.form), offset=offset)

    def predict(self, note: Note, asked: Sequence[Asked], answers: Sequence[Answer]) -> Prediction:
        found = []
        for one, answer in zip(asked, answers, strict=True):
            assert isinstance(answer, str)
            found.append((one.window, parse_answer(answer, one.note.text, self.types, self.form)))
        return Prediction(spans=tuple(outermost(merged(found))))

    def score(self, note: Note, prediction: Prediction) -> TaskScores:
        return score([entity.span for entity in note.entities], prediction.spans, self.types)
