# SPDX-License-Identifier: Apache-2.0
"""Notes in tokens: what of them a base model can read at once, and how many windows the rest takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..notes import Note
from ..prompts import AnswerForm, build_answer, build_prompt, shown
from ..windows import split_note

DEFAULT_TOKENS: Final = 800
"""Of a window: the maximum length of Fed-MedLoRA's training (arXiv 2601.22124, conf/)."""

_LEAST_ROOM: Final = 40  # characters: training gives up at windows of a few words too

Tokens = Callable[[str], int]
"""The number of tokens of a text, without start and end."""


class Fit:
    """How notes fit `max_tokens`; with `types`, prompt and answer of the task "entities" count in, as in training."""

    def __init__(self, tokens: Tokens, max_tokens: int, types: tuple[str, ...] = (), form: AnswerForm = "html") -> None:
        self._tokens, self._max, self._types, self._form = tokens, max_tokens, types, form

    def windows(self, note: Note) -> tuple[int, bool]:
        """The number of windows, and whether all of them fit. Halving finds a size in a few tries."""
        room, parts = len(note.text), [note]
        while not (fits := all(self._needed(part) <= self._max for part in parts)) and room > _LEAST_ROOM:
            room //= 2
            parts = [window.note for window in split_note(note, room)]
        return len(parts), fits

    def length(self, note: Note) -> int:
        """Tokens of the bare text."""
        return self._tokens(shown(note.text))

    def _needed(self, part: Note) -> int:
        if not self._types:
            return self._tokens(shown(part.text)) + 1
        prompt = self._tokens(build_prompt(part.text, self._types, self._form))
        return prompt + self._tokens(build_answer(part, self._types, self._form)) + 2  # the start and the end of text
