# SPDX-License-Identifier: Apache-2.0
"""Tasks that a model is taught on clinical notes, one file each, behind one seam (`task.Task`)."""

from __future__ import annotations

from .codes import Codes
from .entities import Entities
from .questions import Questions
from .summaries import Summaries
from .task import Answer, Asked, Link, Prediction, Task

__all__ = ["Answer", "Asked", "Codes", "Entities", "Link", "Prediction", "Questions", "Summaries", "Task"]
