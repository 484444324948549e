# SPDX-License-Identifier: Apache-2.0
"""The seam between notes and a model: what a task asks, what it teaches, what an answer means and what it is worth.

A task is pure: notes and strings in, strings and counts out. Tokens, models and the choice of windows that fit are in
`training`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ...scores import TaskName, TaskScores
from ..link_scoring import Link
from ..notes import Note, Span
from ..windows import Window

Answer = str | tuple[float, ...]
"""Generated text, without what a model thinks aloud first; or, where there are options to choose from, the mean
log-likelihood per token of each (nats)."""


@dataclass(frozen=True)
class Asked:
    """One prompt about a note, or about the part of it that begins at `offset`, and the `answer` that would be right.

    `options`: answers to choose from by their likelihood; empty where the model writes the answer. `note` is the part.
    `left_off`: characters of it that the prompt has no room for.
    """

    note: Note
    prompt: str
    answer: str = ""
    options: tuple[str, ...] = ()
    offset: int = 0
    left_off: int = 0

    @property
    def window(self) -> Window:
        return Window(self.note, self.offset)


@dataclass(frozen=True)
class Prediction:
    """Answer of a model about a whole note, of each field as much as its task has.

    `codes`: (code, score), best first; the first `chosen` of them are what it would code. `option`: its number.
    """

    spans: tuple[Span, ...] = ()
    links: tuple[Link, ...] = ()
    codes: tuple[tuple[str, float], ...] = ()
    chosen: int = 0
    option: int | None = None
    text: str | None = None


class Task(Protocol):
    """One task as one site has it: its types, its form of answer."""

    @property
    def name(self) -> TaskName: ...

    def taught_by(self, notes: Sequence[Note]) -> bool:
        """True if a site with these notes has labels for the task."""

    def labelled(self, note: Note) -> bool:
        """True if a note of such a site is to be taught and scored: labels that say "nothing here" count."""

    def teach(self, note: Note, max_chars: int) -> list[Asked]:
        """Prompts of a labelled note, whose inputs have at most `max_chars` characters, with the answers to learn."""

    def ask(self, note: Note, max_chars: int) -> list[Asked]:
        """Prompts for reading the note; its labels decide nothing but `answer`."""

    def predict(self, note: Note, asked: Sequence[Asked], answers: Sequence[Answer]) -> Prediction:
        """Combine the answers into one about the whole note. Any string will do; `asked` may lack what did not fit."""

    def score(self, note: Note, prediction: Prediction) -> TaskScores:
        """Counts against the note's labels; whatever was not asked counts as missed."""
