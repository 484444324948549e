# SPDX-License-Identifier: Apache-2.0
"""Evaluation of any adapter on any notes, as the papers report it: scores with intervals, predictions to read."""

from __future__ import annotations

from .run import EvaluationRequest, NoteResult, evaluate, tasks_of
from .table import Comparison, ScoreRow, compare, score_rows

__all__ = [
    "Comparison",
    "EvaluationRequest",
    "NoteResult",
    "ScoreRow",
    "compare",
    "evaluate",
    "score_rows",
    "tasks_of",
]
