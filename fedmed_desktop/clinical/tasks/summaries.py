# SPDX-License-Identifier: Apache-2.0
"""Summaries: what a person wrote about a text, such as the assessment of a visit, written by the model.

    ### Task: summary
    ### Input: CHIEF COMPLAINT Joint pain. HISTORY OF PRESENT ILLNESS ...
    ### Output: ASSESSMENT ...

Scored by ROUGE-1, ROUGE-2 and ROUGE-L (F, stems) of the library rouge-score, a mean over the notes of each. Only the
longest common subsequence of ROUGE-L is found here: the library fills a table of all pairs of words, which takes
minutes and gigabytes where both texts have 20,000.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from ...scores import Mean, TaskName, TaskScores
from ..notes import Note
from ..prompts import shown
from .task import Answer, Asked, Prediction

ROUGE: Final = {"rouge_1": "rouge1", "rouge_2": "rouge2"}
"""Our names of the means that the library gives, with its own."""


class Summaries:
    """The task; a note is asked for as a whole, for windows of it have no summary of their own."""

    name: Final[TaskName] = "summaries"

    def taught_by(self, notes: Sequence[Note]) -> bool:
        return any(self.labelled(note) for note in notes)

    def labelled(self, note: Note) -> bool:
        return bool((note.summary or "").strip()) and (note.tasks is None or self.name in note.tasks)

    def teach(self, note: Note, max_chars: int) -> list[Asked]:
        """One input. A longer text loses its middle, but never so much that the summary is longer than what is left:
        that would teach to invent."""
        summary = (note.summary or "").strip()
        return [self._asked(note, max(max_chars, len(summary)), summary)]

    def ask(self, note: Note, max_chars: int) -> list[Asked]:
        # Without the right answer: its length would decide how much of the text is shown.
        return [self._asked(note, max_chars, "")]

    def _asked(self, note: Note, room: int, answer: str) -> Asked:
        text = ends(note.text, room)
        prompt = f"### Task: summary\n### Input: {shown(text).strip()}\n### Output: "
        return Asked(note, prompt, answer, left_off=len(note.text) - len(text))

    def predict(self, note: Note, asked: Sequence[Asked], answers: Sequence[Answer]) -> Prediction:
        if not answers:
            return Prediction()
        (answer,) = answers
        assert isinstance(answer, str)
        return Prediction(text=answer.strip())

    def score(self, note: Note, prediction: Prediction) -> TaskScores:
        """Each in [0, 1]; 0 where there is no summary."""
        given, written = note.summary or "", prediction.text or ""
        found = _library().scorer.score(given, written)
        values = {name: float(found[theirs].fmeasure) for name, theirs in ROUGE.items()} | {
            "rouge_l": rouge_l(given, written)
        }
        return TaskScores(means={name: Mean(sum=min(1.0, value), of=1) for name, value in values.items()})


def rouge_l(given: str, written: str) -> float:
    """The library's ROUGE-L (F), in time that twenty thousand words do not notice."""
    words, others = (_library().tokenizer.tokenize(text) for text in (given, written))
    common = common_words(words, others)
    return 2 * common / (len(words) + len(others)) if common else 0.0


def common_words(words: Sequence[str], others: Sequence[str]) -> int:
    """The length of the longest common subsequence. Rows of its table are bits of one number: Hyyrö, 2004."""
    places: dict[str, int] = {}
    for at, word in enumerate(words):
        places[word] = places.get(word, 0) | 1 << at
    every = row = (1 << len(words)) - 1
    for word in others:
        here = row & places.get(word, 0)
        row = ((row + here) | (row - here)) & every
    return len(words) - row.bit_count()


def ends(text: str, room: int) -> str:
    """The text in at most `room` characters: as much of its beginning as of its end, with " ... " between them."""
    if len(text) <= room:
        return text
    half = max(0, (room - 5) // 2)
    first, last = text[:half].rpartition(" ")[0], text[len(text) - half :].partition(" ")[2]
    return f"{first} ... {last}" if first or last else text[:room]


class _Library(NamedTuple):
    scorer: Any
    tokenizer: Any


@cache
def _library() -> _Library:
    """Loads the library for ROUGE, whose stemmer is plain code: nothing is looked up or downloaded."""
    from rouge_score.rouge_scorer import RougeScorer
    from rouge_score.tokenizers import DefaultTokenizer

    return _Library(RougeScorer(list(ROUGE.values()), use_stemmer=True), DefaultTokenizer(use_stemmer=True))
