# SPDX-License-Identifier: Apache-2.0
"""The seam for aggregation methods: plan, weigh, combine, finish. A method is its own parameters; it keeps no state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue

from ...lora import Adapter
from ...lora.module import ModuleSource
from ..combine import COMBINERS, Combination, Combiner, Combining
from ..plan import Frozen, Plan, References, Sha256, TrainingSettings
from ..update import Report

MethodState = dict[str, JsonValue]


@dataclass(frozen=True)
class Assignment:
    """What the rounds hand to a method when a round opens. `seeds` names the sites that are there, with their seeds."""

    round: int
    start: Sha256
    frozen: Sha256 | None
    rank: int
    training: TrainingSettings
    references: References | None
    seeds: Mapping[str, int]


@dataclass(frozen=True)
class Closing:
    """What a method has at hand when a round closes; mappings by site. `start` is what this round started from."""

    round: int
    combination: Combination
    reports: Mapping[str, Report]
    weights: Mapping[str, float]
    ranks: Mapping[str, int]
    start: ModuleSource
    state: MethodState


@dataclass(frozen=True)
class Outcome:
    """The next global adapter, what lies frozen beside the base from now on (None: as before), the method's state."""

    adapter: Adapter
    frozen: Adapter | None = None
    state: MethodState = field(default_factory=dict)


class Method(Frozen):
    """One aggregation scheme. Subclasses give `name: Literal[...]`, their parameters as fields, and `weigh`.

    Which ways of combining make sense with it stands in `fitting`.
    """

    name: str

    def plan(self, assignment: Assignment, state: MethodState) -> dict[str, Plan]:
        """A plan for each selected site (the keys are the selection). By default all sites get the same plan."""
        return {
            site: Plan(
                round=assignment.round,
                start=assignment.start,
                frozen=assignment.frozen,
                rank=assignment.rank,
                training=assignment.training,
                references=assignment.references,
                seed=seed,
            )
            for site, seed in sorted(assignment.seeds.items())
        }

    def refusal(self, report: Report) -> str | None:
        """The code of why an update with this report cannot count, if it lacks what the method needs."""
        return None

    def weigh(self, reports: Mapping[str, Report]) -> dict[str, float]:
        """Weights by site, non-negative, sum 1; only known once every report is there."""
        raise TypeError(f"{type(self).__name__} does not say how it weighs")

    def start_weight(self, reports: Mapping[str, Report]) -> float:
        """Weight of the round's start adapter in the combination; those of the sites share the rest. By default none.

        Below zero it goes further from the start than the sites' mean.
        """
        return 0.0

    def combiner(self, combine: Combining) -> Combiner:
        """How updates become one adapter, where the specification says `combine`."""
        return COMBINERS[combine]

    def finish(self, closing: Closing) -> Outcome:
        """What the next round starts from. By default what the combination gave; the state stays as it was."""
        return Outcome(closing.combination.adapter, closing.combination.frozen, closing.state)


class WeighedByNotes(Method):
    """Base of the methods whose weights are FedAvg's: the number of training notes."""

    def weigh(self, reports: Mapping[str, Report]) -> dict[str, float]:
        return normalised({site: float(report.notes) for site, report in reports.items()})


def normalised(weights: Mapping[str, float]) -> dict[str, float]:
    """Weights divided by their sum; equal weights where the sum is zero (no site has anything to count)."""
    total = sum(weights[site] for site in sorted(weights))
    if total <= 0:
        return {site: 1.0 / len(weights) for site in weights}
    return {site: weight / total for site, weight in weights.items()}


def with_all(plans: Mapping[str, Plan], **changes: Any) -> dict[str, Plan]:
    """The plans, each with these fields set."""
    return {site: plan.model_copy(update=changes) for site, plan in plans.items()}
