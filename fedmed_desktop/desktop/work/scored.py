# SPDX-License-Identifier: Apache-2.0
"""Scores as every page shows them: task by task, each measure by its own name, the most telling means only. No Qt."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from ...scores import Counts, Scores, TaskName, TaskScores
from ...wording import later, task_name, tr

INDENT: Final = "\u2003"
"""Before the name of a type or mean that stands below its task."""

# Of codes there are fifteen means: these tell most of how well codes are ranked; reports have all of them.
_MEANS: Final = {
    "recall@10 code": later("Recall@10"),
    "recall@10 category": later("Recall@10, category"),
    "MAP code": later("MAP"),
    "rouge_1": later("ROUGE-1"),
    "rouge_2": later("ROUGE-2"),
    "rouge_l": later("ROUGE-L"),
}
_TYPED: Final[frozenset[TaskName]] = frozenset({"entities", "relations"})
_ALONE: Final[dict[TaskName, str]] = {
    "entities": later("All types F1"),
    "relations": later("All types F1"),
    "codes": later("Codes F1"),
    "questions": later("Right answers"),
    "summaries": later("ROUGE on average"),
}
_BESIDE: Final[dict[TaskName, str]] = {
    "entities": later("Entities F1"),
    "relations": later("Modifiers F1"),
    "codes": later("ICD-10 codes F1"),
    "questions": later("Questions, right"),
    "summaries": later("Summary ROUGE"),
}


# The same for people who know no measure by name: beside so many of 100, and short enough for the Monitor's card.
_PLAIN_MEANS: Final = {
    "recall@10 code": later("Code in the first 10"),
    "recall@10 category": later("Category in first 10"),
    "MAP code": later("Codes near the top"),
    "rouge_1": later("Words shared"),
    "rouge_2": later("Word pairs shared"),
    "rouge_l": later("Longest passage"),
}
_PLAIN: Final[dict[TaskName, str]] = {
    "entities": later("Entities"),
    "relations": later("Modifiers"),
    "codes": later("ICD-10 codes"),
    "questions": later("Questions"),
    "summaries": later("Summaries"),
}


class Key(NamedTuple):
    """A measure: a task as a whole ("all"), one of its types, or one of its means."""

    task: TaskName
    kind: Literal["all", "type", "mean"]
    name: str = ""


def parts(task: TaskName, scores: TaskScores) -> list[Key]:
    """Types and means of a task; none that says the same as the task as a whole."""
    types = [Key(task, "type", name) for name in sorted(scores.strict)] if task in _TYPED else []
    means = [Key(task, "mean", name) for name in scores.means if name in _MEANS]
    return [*types, *sorted(means, key=lambda key: list(_MEANS).index(key.name))]


def is_shown_mean(name: str) -> bool:
    return name in _MEANS


def value(scores: Scores, key: Key) -> float | None:
    """Value in [0, 1]; None where it was not measured."""
    own = scores.tasks.get(key.task)
    if own is None:
        return None
    if key.kind == "all":
        return own.headline
    found = own.strict.get(key.name) if key.kind == "type" else own.means.get(key.name)
    return None if found is None else found.f1 if isinstance(found, Counts) else found.value


def headline_name(task: TaskName, *, several: bool) -> str:
    """The task as a whole; `several`: beside other tasks."""
    names = _BESIDE if several else _ALONE
    return tr(names[task]) if task in names else task_name(task)


def plain_name(key: Key, *, several: bool) -> str:
    """A measure for people who know none by name; `several`: beside other tasks."""
    if key.kind == "all":
        return tr("All types") if key.task in _TYPED and not several else tr(_PLAIN[key.task])
    return tr(_PLAIN_MEANS[key.name]) if key.kind == "mean" else part_name(key)


def part_name(key: Key) -> str:
    """A type as people write it, or a mean."""
    if key.kind == "mean":
        return tr(_MEANS[key.name])
    return key.name.replace("_", " ").capitalize()


def is_f1(scores: Scores) -> bool:
    """True if all that was scored is an F1, so that "F1" says what the numbers are."""
    return not scores or all(task in _TYPED for task in scores.tasks)
