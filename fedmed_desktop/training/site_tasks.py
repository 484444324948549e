# SPDX-License-Identifier: Apache-2.0
"""The tasks of a federation, and those of them that one site's notes have labels for."""

from __future__ import annotations

from collections.abc import Sequence

from ..clinical import Note
from ..clinical.tasks import Entities, Task
from ..federation.spec import FederationSpec


def all_tasks(spec: FederationSpec, types: Sequence[str] | None = None) -> tuple[Task, ...]:
    """The federation's tasks, for these of its types (default: for all); none where it learns the text itself."""
    made: list[Task] = []
    if "entities" in spec.tasks:
        made.append(Entities(spec.types if types is None else types, spec.answer_form))
    return tuple(made)


def site_tasks(spec: FederationSpec, notes: Sequence[Note], types: Sequence[str]) -> tuple[Task, ...]:
    """Those that notes in the federation's types have labels for; `types` are those that the site annotates."""
    return tuple(task for task in all_tasks(spec, types) if task.taught_by(notes))
