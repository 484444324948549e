# SPDX-License-Identifier: Apache-2.0
"""The seam for aggregation methods: plan, weigh, combine, finish. A method is its own parameters; it keeps no state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import JsonValue

from ..actions import Combine
from ..combine import COMBINERS, Combination, Combiner, Combining, Sources
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
class Opening:
    """A round that opens, as a method plans it.

    `seeds` names the sites that are there, with their seeds; `caps` the largest rank of those that named one. Of these
    sites `clients` take part (None: all); `seed` is the round's own, for drawing them. `rounds` is how many there will
    be; round `rounds` + 1 only evaluates. `rank` is the federation's first, `state` the method's own.
    """

    round: int
    rounds: int
    start: Sha256
    rank: int
    training: TrainingSettings
    seeds: Mapping[str, int]
    seed: int = 0
    frozen: Sha256 | None = None
    control: Sha256 | None = None
    references: References | None = None
    caps: Mapping[str, int] = field(default_factory=dict)
    clients: int | None = None
    state: MethodState = field(default_factory=dict)

    def capped(self, site: str, rank: int) -> int:
        """This rank, or the largest that the site's hardware allows."""
        return min(rank, self.caps.get(site, rank))


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

    def select(self, opening: Opening) -> list[str]:
        """The sites that take part in this round, in sorted order: by default drawn at random where not all can."""
        return drawn(opening)

    def rank(self, site: str, opening: Opening) -> int:
        """The rank that this site trains at, before its hardware's cap."""
        return opening.rank

    def plan(self, opening: Opening) -> dict[str, Plan]:
        """A plan for each selected site (the keys are the selection)."""
        return {
            site: Plan(
                round=opening.round,
                start=opening.start,
                frozen=opening.frozen,
                rank=opening.capped(site, self.rank(site, opening)),
                training=opening.training,
                references=opening.references,
                seed=opening.seeds[site],
            )
            for site in self.select(opening)
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

    def finish(self, closed: Combine, sources: Sources, combination: Combination) -> Combination:
        """The next round's start, from a combination that has no control, state or measures yet.

        By default the combination itself, and the state as it was. Runs with one BLAS thread.
        """
        return replace(combination, state=closed.state)


class WeighedByNotes(Method):
    """Base of the methods whose weights are FedAvg's: the number of training notes."""

    def weigh(self, reports: Mapping[str, Report]) -> dict[str, float]:
        return normalised({site: float(report.notes) for site, report in reports.items()})


def drawn(opening: Opening) -> list[str]:
    """`clients` of the sites, without replacement, by the round's seed; all where there are no more."""
    sites = sorted(opening.seeds)
    if opening.clients is None or len(sites) <= opening.clients:
        return sites
    rng = np.random.Generator(np.random.PCG64(opening.seed))
    return sorted(sites[i] for i in rng.choice(len(sites), opening.clients, replace=False))


def normalised(weights: Mapping[str, float]) -> dict[str, float]:
    """Weights divided by their sum; equal weights where the sum is zero (no site has anything to count)."""
    total = sum(weights[site] for site in sorted(weights))
    if total <= 0:
        return {site: 1.0 / len(weights) for site in weights}
    return {site: weight / total for site, weight in weights.items()}


def with_all(plans: Mapping[str, Plan], **changes: Any) -> dict[str, Plan]:
    """The plans, each with these fields set."""
    return {site: plan.model_copy(update=changes) for site, plan in plans.items()}
