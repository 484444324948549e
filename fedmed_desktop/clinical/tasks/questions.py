# SPDX-License-Identifier: Apache-2.0
"""Questions with answers to choose from, about a text (PubMedQA: yes, no, maybe) or on their own (MedMCQA).

    ### Task: question
    ### Input: Aspirin was compared with placebo. ...
    ### Question: Does aspirin prevent stroke?
    ### Options: yes | no | maybe
    ### Output: yes

The answer is the words of the right option. A model chooses the option that is most likely behind the prompt, per
token, so that a long option is not worse off. Nothing is set off against how likely an option is without its question,
so a model that was not trained leans towards usual words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from ...scores import Counts, TaskName, TaskScores
from ..notes import Note
from ..prompts import shown
from ..sentences import sentence_ends
from .task import Answer, Asked, Prediction

ANSWER: Final = "answer"
"""What the counts are of: a wrong answer is one invented and one missed, so that F1 is the share of right answers."""

_WORD: Final = re.compile(r"\w{4,}")


class Questions:
    """The task; every note is asked for itself, and as a whole."""

    name: Final[TaskName] = "questions"

    def taught_by(self, notes: Sequence[Note]) -> bool:
        return any(self.labelled(note) for note in notes)

    def labelled(self, note: Note) -> bool:
        return note.answer is not None and (note.tasks is None or self.name in note.tasks)

    def teach(self, note: Note, max_chars: int) -> list[Asked]:
        """One input. A longer text is shortened to the sentences that have most words of the question."""
        if not note.options:
            return []
        options = tuple(_line(option) for option in note.options)
        if note.question is None:
            text = ending(note.text, max_chars)
            about = ""
        else:
            text = relevant(note.text, note.question, max_chars)
            about = f"### Input: {_line(text)}\n"
        question = text if note.question is None else note.question
        prompt = f"### Task: question\n{about}### Question: {_line(question)}\n"
        prompt += f"### Options: {' | '.join(options)}\n### Output: "
        right = "" if note.answer is None else options[note.answer]
        return [Asked(note, prompt, right, options, left_off=len(note.text) - len(text))]

    def ask(self, note: Note, max_chars: int) -> list[Asked]:
        return self.teach(note, max_chars)

    def predict(self, note: Note, asked: Sequence[Asked], answers: Sequence[Answer]) -> Prediction:
        if not answers:
            return Prediction()
        (likelihoods,) = answers
        assert not isinstance(likelihoods, str)
        return Prediction(option=max(range(len(likelihoods)), key=likelihoods.__getitem__))

    def score(self, note: Note, prediction: Prediction) -> TaskScores:
        """A question that was not answered counts as answered wrongly."""
        assert note.answer is not None
        chosen = None if prediction.option is None else _line(note.options[prediction.option])
        # Some exams print an option twice.
        counts = Counts(tp=1) if chosen == _line(note.options[note.answer]) else Counts(fp=1, fn=1)
        return TaskScores(strict={ANSWER: counts}, lenient={ANSWER: counts}, unified=counts)


def relevant(text: str, question: str, room: int) -> str:
    """The text in at most `room` characters: the sentences that share most words with the question, later ones first
    where as many are shared (results come last), in their own order."""
    if len(text) <= room:
        return text
    places = [0, *sentence_ends(text), len(text)]
    sentences = [text[start:end].strip() for start, end in pairwise(places)]
    wanted = _words(question)
    best = sorted(range(len(sentences)), key=lambda at: (-len(wanted & _words(sentences[at])), -at))
    kept: list[int] = []
    left = room + 1
    for at in best:
        if sentences[at] and len(sentences[at]) < left:
            kept.append(at)
            left -= len(sentences[at]) + 1
    return " ".join(sentences[at] for at in sorted(kept)) or ending(text, room)


def ending(text: str, room: int) -> str:
    """The last `room` characters at most, from the beginning of a word if there is one: exams ask at the end."""
    if len(text) <= room:
        return text
    part = text[len(text) - room :]
    whole = part if text[len(text) - room - 1].isspace() else part.partition(" ")[2]
    return whole.strip() or part


def _words(text: str) -> set[str]:
    return {word.casefold() for word in _WORD.findall(text)}


def _line(text: str) -> str:
    return shown(text).strip()
