# SPDX-License-Identifier: Apache-2.0
"""Tasks by their names, for some types and modifiers."""

from __future__ import annotations

from collections.abc import Collection

from ...scores import TaskName
from ..prompts import AnswerForm
from .codes import Codes
from .entities import Entities
from .questions import Questions
from .relations import Relations
from .summaries import Summaries
from .task import Task


def made_tasks(
    names: Collection[TaskName], types: Collection[str], modifiers: Collection[str] = (), form: AnswerForm = "html"
) -> tuple[Task, ...]:
    """The named tasks, for these types and modifiers; none for "text", which is learned without being asked."""
    made: list[Task] = []
    if "entities" in names:
        made.append(Entities(types, form))
    if "relations" in names:
        made.append(Relations(types, modifiers))
    if "codes" in names:
        made.append(Codes())
    if "questions" in names:
        made.append(Questions())
    if "summaries" in names:
        made.append(Summaries())
    return tuple(made)
