# SPDX-License-Identifier: Apache-2.0
"""The tasks of a federation, and those of them that one site's notes have labels for."""

from __future__ import annotations

from collections.abc import Sequence

from ..clinical import Note
from ..clinical.tasks import Task, made_tasks
from ..federation.spec import FederationSpec


def all_tasks(
    spec: FederationSpec, types: Sequence[str] | None = None, modifiers: Sequence[str] | None = None
) -> tuple[Task, ...]:
    """The federation's tasks, for these of its types and modifiers (default: for all)."""
    types = spec.types if types is None else types
    return made_tasks(spec.tasks, types, spec.modifiers if modifiers is None else modifiers, spec.answer_form)


def site_tasks(
    spec: FederationSpec, notes: Sequence[Note], types: Sequence[str], modifiers: Sequence[str] | None = None
) -> tuple[Task, ...]:
    """Tasks that notes in the federation's types have labels for; `types` and `modifiers` are those that the site
    annotates.
    """
    return tuple(task for task in all_tasks(spec, types, modifiers) if task.taught_by(notes))
