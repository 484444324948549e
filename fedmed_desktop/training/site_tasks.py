# SPDX-License-Identifier: Apache-2.0
"""The tasks of a federation, and those of them that one site's notes have labels for."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..clinical import AnswerForm, Note
from ..clinical.tasks import Entities, Questions, Summaries, Task
from ..federation.spec import FederationSpec
from ..scores import TaskName


def made_tasks(
    names: Collection[TaskName], types: Collection[str], modifiers: Collection[str] = (), form: AnswerForm = "html"
) -> tuple[Task, ...]:
    """The named tasks, for these types and modifiers; none for "text", which is learned without being asked."""
    made: list[Task] = []
    if "entities" in names:
        made.append(Entities(types, form))
    if "questions" in names:
        made.append(Questions())
    if "summaries" in names:
        made.append(Summaries())
    return tuple(made)


def all_tasks(spec: FederationSpec, types: Sequence[str] | None = None) -> tuple[Task, ...]:
    """The federation's tasks, for these of its types (default: for all)."""
    return made_tasks(spec.tasks, spec.types if types is None else types, spec.modifiers, spec.answer_form)


def site_tasks(spec: FederationSpec, notes: Sequence[Note], types: Sequence[str]) -> tuple[Task, ...]:
    """Those that notes in the federation's types have labels for; `types` are those that the site annotates."""
    return tuple(task for task in all_tasks(spec, types) if task.taught_by(notes))
