# SPDX-License-Identifier: Apache-2.0
"""The seam for aggregation methods: plan, weigh, combine, finish. A method is its own parameters; it keeps no state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import JsonValue

from ...lora import Adapter
from ...lora.module import ModuleSource
from ..combine import COMBINERS, Combination, Combiner, Combining
from ..drift import Drift
from ..plan import Frozen, Plan, References, Sha256, TrainingSettings
from ..update import Report
from .fitting import refusal_of

MethodState = dict[str, JsonValue]


HistogramOf = Literal["none", "specialties", "types"]


@dataclass(frozen=True)
class Setting:
    """What of a specification decides whether a method can run in it; see `Method.misfit`."""

    combine: Combining
    training: TrainingSettings
    histogram: HistogramOf
    shared_notes: bool
    clients: int | None


@dataclass(frozen=True)
class Assignment:
    """What the rounds hand to a method when a round opens.

    `seeds` names the sites that are there, with their seeds; `caps` the largest rank of those that named one. Of these
    sites `clients` take part (None: all); `seed` is the round's own, for drawing them. `rounds` is how many there will
    be; round `rounds` + 1 only evaluates.
    """

    round: int
    rounds: int
    start: Sha256
    frozen: Sha256 | None
    control: Sha256 | None
    rank: int
    training: TrainingSettings
    references: References | None
    seeds: Mapping[str, int]
    caps: Mapping[str, int]
    clients: int | None
    seed: int

    def capped(self, site: str, rank: int) -> int:
        """This rank, or what the site's hardware bears."""
        return min(rank, self.caps.get(site, rank))


@dataclass(frozen=True)
class Closing:
    """What a method has at hand when a round closes; mappings by site. `start` is what this round started from.

    `sources` are the updates' adapters, `controls` the changes of c_i, `control` the c of this round (None: zero).
    `sites` counts all that ever joined. `rank` and `caps` as in Assignment; `ranks` are those that were planned.
    """

    round: int
    rounds: int
    rank: int
    combination: Combination
    reports: Mapping[str, Report]
    weights: Mapping[str, float]
    ranks: Mapping[str, int]
    drifts: Mapping[str, Drift]
    start: ModuleSource
    sources: Mapping[str, ModuleSource]
    control: ModuleSource | None
    controls: Mapping[str, ModuleSource]
    sites: int
    caps: Mapping[str, int]
    state: MethodState


@dataclass(frozen=True)
class Outcome:
    """The next global adapter, what lies frozen beside the base and what the control is from now on (None: as before).

    With the method's state for the next round, and its own figures of this one, by name.
    """

    adapter: Adapter
    frozen: Adapter | None = None
    control: Adapter | None = None
    state: MethodState = field(default_factory=dict)
    measures: Mapping[str, float] = field(default_factory=dict)


class Method(Frozen):
    """One aggregation scheme. Subclasses give `name: Literal[...]`, their parameters as fields, and `weigh`.

    Which ways of combining make sense with it stands in `fitting`. `mixes_ranks`: sites of different ranks may take
    part together. `scored_by`: who must measure each update on the federation's shared notes, if anybody.
    """

    mixes_ranks: ClassVar[bool] = True

    name: str

    @property
    def scored_by(self) -> Literal["nobody", "sites", "coordinator"]:
        return "nobody"

    def misfit(self, setting: Setting) -> str | None:
        """The code of why this method cannot run in such a federation; None where it can."""
        return refusal_of(self.name, setting.combine)

    def select(self, assignment: Assignment, state: MethodState) -> list[str]:
        """The sites that take part in this round, in sorted order: by default drawn at random where not all can."""
        return drawn(assignment)

    def rank(self, site: str, assignment: Assignment, state: MethodState) -> int:
        """The rank that this site trains at, before its hardware's cap."""
        return assignment.rank

    def plan(self, assignment: Assignment, state: MethodState) -> dict[str, Plan]:
        """A plan for each selected site (the keys are the selection)."""
        return {
            site: Plan(
                round=assignment.round,
                start=assignment.start,
                frozen=assignment.frozen,
                rank=assignment.capped(site, self.rank(site, assignment, state)),
                training=assignment.training,
                references=assignment.references,
                seed=assignment.seeds[site],
            )
            for site in self.select(assignment, state)
        }

    def refusal(self, report: Report) -> str | None:
        """The code of why an update with this report cannot count, if it lacks what the method needs."""
        return None

    def weigh(self, reports: Mapping[str, Report]) -> dict[str, float]:
        """Weights by site, non-negative, sum 1; only known once every report is there."""
        raise TypeError(f"{type(self).__name__} does not say how it weighs")

    def start_weights(self, reports: Mapping[str, Report]) -> Mapping[str, float]:
        """Weights, in the combination, of what each site began from; those of the updates share the rest. None: empty.

        Below zero it goes further from there than the site's update. What a site of a smaller rank began from is the
        start cut back to it.
        """
        return {}

    def combiner(self, combine: Combining) -> Combiner:
        """How updates become one adapter, where the specification says `combine`."""
        return COMBINERS[combine]

    def finish(self, closing: Closing) -> Outcome:
        """What the next round starts from. By default what the combination gave; the state stays as it was."""
        return Outcome(closing.combination.adapter, closing.combination.frozen, state=closing.state)


class WeighedByNotes(Method):
    """Base of the methods whose weights are FedAvg's: the number of training notes."""

    def weigh(self, reports: Mapping[str, Report]) -> dict[str, float]:
        return normalised({site: float(report.notes) for site, report in reports.items()})


def drawn(assignment: Assignment) -> list[str]:
    """`clients` of the sites, without replacement, by the round's seed; all where there are no more."""
    sites = sorted(assignment.seeds)
    if assignment.clients is None or len(sites) <= assignment.clients:
        return sites
    rng = np.random.Generator(np.random.PCG64(assignment.seed))
    return sorted(sites[i] for i in rng.choice(len(sites), assignment.clients, replace=False))


def normalised(weights: Mapping[str, float]) -> dict[str, float]:
    """Weights divided by their sum; equal weights where the sum is zero (no site has anything to count)."""
    total = sum(weights[site] for site in sorted(weights))
    if total <= 0:
        return {site: 1.0 / len(weights) for site in weights}
    return {site: weight / total for site, weight in weights.items()}


def with_all(plans: Mapping[str, Plan], **changes: Any) -> dict[str, Plan]:
    """The plans, each with these fields set."""
    return {site: plan.model_copy(update=changes) for site, plan in plans.items()}
