# SPDX-License-Identifier: Apache-2.0
"""The seam for aggregation methods: plan, weigh, combine, finish. A method is its own parameters; it keeps no state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue

from ...lora import Adapter
from ..combine import Combiner, combine_factors
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
class Outcome:
    """The next global adapter, what lies frozen beside the base from now on (sha256), and the method's state."""

    adapter: Adapter
    frozen: Sha256 | None = None
    state: MethodState = field(default_factory=dict)


class Method(Frozen):
    """One aggregation scheme. Subclasses give `name: Literal[...]`, their parameters as fields, and `weigh`."""

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

    def weigh(self, reports: Mapping[str, Report]) -> dict[str, float]:
        """Weights by site, non-negative, sum 1; only known once every report is there."""
        raise TypeError(f"{type(self).__name__} does not say how it weighs")

    @property
    def combiner(self) -> Combiner:
        """How updates become one adapter."""
        return combine_factors

    def finish(self, adapter: Adapter, frozen: Sha256 | None, state: MethodState) -> Outcome:
        """What the next round starts from, given the combined adapter. By default the combination itself."""
        return Outcome(adapter=adapter, frozen=frozen, state=state)


def normalised(weights: Mapping[str, float]) -> dict[str, float]:
    """Weights divided by their sum; equal weights where the sum is zero (no site has anything to count)."""
    total = sum(weights[site] for site in sorted(weights))
    if total <= 0:
        return {site: 1.0 / len(weights) for site in weights}
    return {site: weight / total for site, weight in weights.items()}
