# SPDX-License-Identifier: Apache-2.0
"""Counts behind F1 scores, task by task. Counts add up over notes and over sites; F1 scores do not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Final, Literal, Protocol, Self, TypeVar, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from .bounds import LARGEST_COUNT, Count

TaskName = Literal["entities", "relations", "codes", "questions", "summaries", "text"]
TASKS: Final[tuple[TaskName, ...]] = get_args(TaskName)
"""In the order in which they are always shown."""

AS_SIGNED: Final = "as signed"
"""Context of a dump that is hashed and signed: scores of entities alone look as they did when there was one task, so
that what was signed then still holds."""


class Counts(BaseModel):
    """Entities found, invented and missed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tp: Count = 0
    fp: Count = 0
    fn: Count = 0

    def __add__(self, other: Counts) -> Counts:
        """The sums; where sites give absurd counts, the largest that may be told on."""
        return Counts(
            tp=min(self.tp + other.tp, LARGEST_COUNT),
            fp=min(self.fp + other.fp, LARGEST_COUNT),
            fn=min(self.fn + other.fn, LARGEST_COUNT),
        )

    @property
    def f1(self) -> float:
        """F1 in [0, 1]; 0 where nothing was expected and nothing found."""
        total = 2 * self.tp + self.fp + self.fn
        return 2 * self.tp / total if total else 0.0


class Mean(BaseModel):
    """A mean that adds up over notes and sites: the sum of the values, each in [0, 1], and their number."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sum: Annotated[float, Field(ge=0, le=LARGEST_COUNT, allow_inf_nan=False)] = 0.0
    of: Count = 0

    def __add__(self, other: Mean) -> Mean:
        return Mean(sum=min(self.sum + other.sum, LARGEST_COUNT), of=min(self.of + other.of, LARGEST_COUNT))

    @property
    def value(self) -> float:
        """0 where there was nothing to measure."""
        return self.sum / self.of if self.of else 0.0


Label = Annotated[str, Field(max_length=80)]


class TaskScores(BaseModel):
    """Counts of one task: per type (strict, lenient), regardless of type (unified, strict spans), and its `means`.

    A task without types counts under one name ("code", "answer"). Of codes, strict is the code itself, lenient its
    category and unified its chapter.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    strict: dict[Label, Counts] = {}
    lenient: dict[Label, Counts] = {}
    unified: Counts = Counts()
    means: dict[Label, Mean] = {}

    def __add__(self, other: TaskScores) -> TaskScores:
        return TaskScores(
            strict=_added(self.strict, other.strict, Counts()),
            lenient=_added(self.lenient, other.lenient, Counts()),
            unified=self.unified + other.unified,
            means=_added(self.means, other.means, Mean()),
        )

    @property
    def f1_strict(self) -> float:
        """Strict typed micro-F1 over pooled counts."""
        return total(self.strict.values()).f1

    @property
    def f1_lenient(self) -> float:
        return total(self.lenient.values()).f1

    @property
    def f1_unified(self) -> float:
        return self.unified.f1

    @property
    def headline(self) -> float:
        """The one number for the task: strict F1 or, where nothing is counted, the mean of its means."""
        if self.strict or not self.means:
            return self.f1_strict
        return sum(mean.value for mean in self.means.values()) / len(self.means)

    def summary(self) -> dict[str, object]:
        """The score as reports print it: four decimals, strict F1 by type."""
        means = {name: round(mean.value, 4) for name, mean in sorted(self.means.items())}
        return {
            "f1_strict": round(self.f1_strict, 4),
            "f1_lenient": round(self.f1_lenient, 4),
            "f1_unified": round(self.f1_unified, 4),
            "by_type": {name: round(c.f1, 4) for name, c in sorted(self.strict.items())},
        } | ({"means": means} if means else {})


class Scores(BaseModel):
    """Scores of one evaluation, task by task; no tasks where nothing was scored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tasks: dict[TaskName, TaskScores] = {}

    @model_validator(mode="before")
    @classmethod
    def _of_entities_alone(cls, data: Any) -> Any:
        """Scores as they were stored when there was one task."""
        if isinstance(data, dict) and data.keys() & {"strict", "lenient", "unified"} and "tasks" not in data:
            return {"tasks": {"entities": data} if data.get("strict") else {}}
        return data

    @model_serializer(mode="wrap")
    def _as_signed(self, dumped: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        if info.context != AS_SIGNED or self.tasks.keys() - {"entities"} or self["entities"].means:
            found: dict[str, Any] = dumped(self)
            return found
        return self["entities"].model_dump(exclude={"means"})

    @classmethod
    def of_entities(cls, scores: TaskScores) -> Self:
        return cls(tasks={"entities": scores})

    def __add__(self, other: Scores) -> Scores:
        return Scores(tasks=_added(self.tasks, other.tasks, TaskScores()))

    def __bool__(self) -> bool:
        """True if anything was scored."""
        return bool(self.tasks)

    def __getitem__(self, task: TaskName) -> TaskScores:
        """Scores of a task; empty ones of a task that was not scored."""
        return self.tasks.get(task, TaskScores())

    @property
    def scored(self) -> tuple[TaskName, ...]:
        """The tasks, in the order in which they are shown."""
        return tuple(name for name in TASKS if name in self.tasks)

    def by_type(self) -> Iterator[tuple[TaskName, str, Counts]]:
        """Strict counts of every type of every task: tasks in the order in which they are shown, types by name."""
        for task in self.scored:
            for kind, counts in sorted(self[task].strict.items()):
                yield task, kind, counts

    @property
    def headline(self) -> float:
        """The mean of the tasks' headlines, so that no task drowns another (inferred); of one task its own."""
        return sum(scores.headline for scores in self.tasks.values()) / len(self.tasks) if self.tasks else 0.0

    def summary(self) -> dict[str, object]:
        """The scores as reports print them: of one task alone its own, of several one by one under their names."""
        if len(self.tasks) <= 1:
            return next(iter(self.tasks.values()), TaskScores()).summary()
        return {"headline": round(self.headline, 4), **{name: self[name].summary() for name in self.scored}}


class _Addable(Protocol):
    def __add__(self, other: Self, /) -> Self: ...


K = TypeVar("K", bound=str)
V = TypeVar("V", bound=_Addable)


def total(counts: Iterable[Counts]) -> Counts:
    return sum(counts, Counts())


def pool(scores: Iterable[Scores]) -> Scores:
    return sum(scores, Scores())


def _added(left: Mapping[K, V], right: Mapping[K, V], zero: V) -> dict[K, V]:
    return {name: left.get(name, zero) + right.get(name, zero) for name in sorted(left.keys() | right.keys())}
