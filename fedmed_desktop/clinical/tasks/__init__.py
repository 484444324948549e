# SPDX-License-Identifier: Apache-2.0
"""Tasks that a model is taught on clinical notes, one file each, behind one seam (`task.Task`)."""

from __future__ import annotations

from ..link_scoring import Link
from .codes import Codes
from .entities import Entities
from .made import made_tasks
from .questions import Questions
from .relations import Relations, with_heads
from .summaries import Summaries
from .task import Answer, Asked, Prediction, Task

__all__ = [
    "Answer",
    "Asked",
    "Codes",
    "Entities",
    "Link",
    "Prediction",
    "Questions",
    "Relations",
    "Summaries",
    "Task",
    "made_tasks",
    "with_heads",
]
