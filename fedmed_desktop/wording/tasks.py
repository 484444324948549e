# SPDX-License-Identifier: Apache-2.0
"""Names of the tasks as people see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .translation import later, tr

if TYPE_CHECKING:
    from ..scores import TaskName

_NAMES: Final[dict[TaskName, str]] = {
    "entities": later("Entities"),
    "relations": later("Modifiers"),
    "codes": later("ICD-10 codes"),
    "questions": later("Questions"),
    "summaries": later("Summaries"),
    "text": later("Plain text"),
}


def task_name(task: TaskName) -> str:
    return tr(_NAMES[task])
