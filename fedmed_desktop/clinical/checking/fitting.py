# SPDX-License-Identifier: Apache-2.0
"""Notes in tokens: what of them a base model can read at once, and how many windows the rest takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from ..notes import Note
from ..prompts import shown
from ..tasks import Asked, Task
from ..windows import split_note

DEFAULT_TOKENS: Final = 800
"""Of a window: the maximum length of Fed-MedLoRA's training (arXiv 2601.22124, conf/)."""

_LEAST_ROOM: Final = 40  # characters: training gives up at windows of a few words too

Tokens = Callable[[str], int]
"""The number of tokens of a text, without start and end."""


class Fit:
    """Fit of notes to `max_tokens`: prompt and answer of each task that a note is labelled for, as in training.

    Without tasks, or labels for one of them, it is the bare text that is measured. So it is for codes, which are asked
    about sentence by sentence.
    """

    def __init__(self, tokens: Tokens, max_tokens: int, tasks: Sequence[Task] = ()) -> None:
        self._tokens, self._max = tokens, max_tokens
        self._tasks = tuple(task for task in tasks if task.name != "codes")

    def windows(self, note: Note) -> tuple[int, bool]:
        """The number of windows (of the task that needs most), and whether nothing is left out."""
        tasks = [task for task in self._tasks if task.labelled(note)]
        found = [self._asked(task, note) for task in tasks] or [self._bare(note)]
        return max(1, *(number for number, _ in found)), all(fits for _, fits in found)

    def length(self, note: Note) -> int:
        """Tokens of the bare text."""
        return self._tokens(shown(note.text))

    def _asked(self, task: Task, note: Note) -> tuple[int, bool]:
        """Number of windows that fit, whose size is found by halving, and whether nothing is left out."""
        room, parts = len(note.text), task.teach(note, len(note.text))
        while not (fits := all(self._needed(part) <= self._max for part in parts)) and room > _LEAST_ROOM:
            room //= 2
            parts = task.teach(note, room)
        return len(parts), fits and not any(part.left_off for part in parts)

    def _needed(self, part: Asked) -> int:
        return self._tokens(part.prompt) + self._tokens(part.answer) + 2  # the start and the end of text

    def _bare(self, note: Note) -> tuple[int, bool]:
        room, parts = len(note.text), [note]
        while not (fits := all(self.length(part) < self._max for part in parts)) and room > _LEAST_ROOM:
            room //= 2
            parts = [window.note for window in split_note(note, room)]
        return len(parts), fits
