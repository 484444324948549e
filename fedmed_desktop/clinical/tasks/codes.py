# SPDX-License-Identifier: Apache-2.0
"""Codes: the ICD-10-CM codes of a whole note, out of the candidates that BM25 finds (clinical.icd10).

A passage of the note is asked about once, with the descriptions of all the candidates that it speaks for most:

    ### Task: code
    ### Input: She had been feverish for two days.
    ### Output: Fever, unspecified

A candidate's score is the logarithm of what BM25 gives it plus LIKELIHOOD times its log-likelihood per token, less that
of the note's candidates on average. Those of at least CHOSEN are what the note would be coded with. Both constants are
inferred: chosen on the training split of CodiEsp.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Final

from ...errors import UserFacingError
from ...scores import TaskName, TaskScores
from ..icd10 import Candidate, CodeIndex, bundled_index, score_codes
from ..notes import Note
from ..prompts import shown
from .task import Answer, Asked, Prediction

OFFERED: Final = 30  # candidates of a note, so that a model reads some 3,000 tokens for it
LIKELIHOOD: Final = 0.3
CHOSEN: Final = math.log(4.0)


class Codes:
    """The task with the bundled table, or with another index."""

    name: Final[TaskName] = "codes"

    def __init__(self, index: CodeIndex | None = None) -> None:
        self._index = index

    @property
    def index(self) -> CodeIndex:
        """Built when it is first needed: a federation's tasks are named in many places that ask nothing.

        Raises UserFacingError (`clinical.no_code_table`) where the installation is broken.
        """
        if self._index is None:
            try:
                self._index = bundled_index()
            except (OSError, EOFError):
                raise UserFacingError("clinical.no_code_table") from None
        return self._index

    def taught_by(self, notes: Sequence[Note]) -> bool:
        return any(self.labelled(note) and note.codes for note in notes)

    def labelled(self, note: Note) -> bool:
        return note.codes is not None if note.tasks is None else self.name in note.tasks

    def prompt(self, passage: str) -> str:
        return f"### Task: code\n### Input: {shown(passage)}\n### Output: "

    def teach(self, note: Note, max_chars: int) -> list[Asked]:
        """An example for each billable code of which a passage speaks, in the order of the codes."""
        table = self.index.table
        codes = [code for code in dict.fromkeys(note.codes or ()) if table.billable(code)]
        found = self.index.evidence(note.text, codes)
        return [
            self._asked(note, found[code], max_chars, answer=table.description(code)) for code in codes if code in found
        ]

    def ask(self, note: Note, max_chars: int) -> list[Asked]:
        """The note's candidates, passage by passage; `answer` is the first of a passage that the note is coded with."""
        table = self.index.table
        gold = {table.description(code) for code in note.codes or () if table.billable(code)}
        by_passage: dict[tuple[int, int], list[Candidate]] = {}
        for candidate in self.index.find(note.text, OFFERED):
            by_passage.setdefault((candidate.start, candidate.end), []).append(candidate)
        asked = []
        for passage, candidates in sorted(by_passage.items()):
            options = tuple(table.description(candidate.code) for candidate in candidates)
            answer = next((option for option in options if option in gold), "")
            asked.append(self._asked(note, passage, max_chars, answer, options))
        return asked

    def _asked(
        self, note: Note, passage: tuple[int, int], max_chars: int, answer: str, options: tuple[str, ...] = ()
    ) -> Asked:
        start, end = passage
        # All of a long sentence was searched; the model is shown as much of it as it can take.
        text = note.text[start : min(end, start + max_chars)].rstrip()
        part = Note(id=f"{note.id[:180]}@{start}", text=text)
        return Asked(part, self.prompt(text), answer, options, start, left_off=max(0, end - start - max_chars))

    def predict(self, note: Note, asked: Sequence[Asked], answers: Sequence[Answer]) -> Prediction:
        told: dict[str, float] = {}
        for one, answer in zip(asked, answers, strict=True):
            assert not isinstance(answer, str)
            told |= {option: value for option, value in zip(one.options, answer, strict=True) if math.isfinite(value)}
        usual = fmean(told.values()) if told else 0.0
        describe = self.index.table.description
        scores = {
            candidate.code: math.log(candidate.score) + LIKELIHOOD * (told.get(describe(candidate.code), usual) - usual)
            for candidate in self.index.find(note.text, OFFERED)
        }
        ranked = sorted(scores.items(), key=lambda scored: -scored[1])
        return Prediction(codes=tuple(ranked), chosen=sum(score >= CHOSEN for _, score in ranked))

    def score(self, note: Note, prediction: Prediction) -> TaskScores:
        return score_codes([code for code, _ in prediction.codes], prediction.chosen, note.codes or ())
