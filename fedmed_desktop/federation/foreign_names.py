# SPDX-License-Identifier: Apache-2.0
"""Check for names in a report that are not the federation's: other sites would see them, whatever they say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..scores import TaskName
from .spec import FederationSpec
from .update import Report

_OF_CODES: Final = ("recall@1", "recall@5", "recall@10", "recall@20", "MAP")
_LABELS: Final[Mapping[TaskName, frozenset[str]]] = {
    "codes": frozenset(
        {"code", *(f"{name} {level}" for name in _OF_CODES for level in ("code", "category", "chapter"))}
    ),
    "questions": frozenset({"answer"}),
    "summaries": frozenset({"rouge_1", "rouge_2", "rouge_l"}),
}
"""Names of what is counted and averaged in tasks that have no types of the federation's own."""


def has_foreign_names(report: Report, spec: FederationSpec) -> bool:
    """True if it scores tasks, types or measures that the federation has not, or counts other types.

    Unknown types would shift every other site's drift, too.
    """
    if spec.share.histogram == "types" and report.histogram.keys() - set(spec.types):
        return True
    own: Mapping[TaskName, tuple[str, ...]] = {"entities": spec.types, "relations": spec.modifiers}
    for scores in (report.scores_before, report.scores_after):
        for task, one in scores.tasks.items():
            known = {*own.get(task, ()), *_LABELS.get(task, ())} if task in spec.tasks else set()
            if task not in spec.tasks or {*one.strict, *one.lenient, *one.means} - known:
                return True
    return False
