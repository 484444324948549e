# SPDX-License-Identifier: Apache-2.0
"""Interface of aggregation methods: plan, weigh, combine, finish. A method holds its parameters and no state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from pydantic import Field, JsonValue

from ...arrays import np
from ...lora.algebra import Cut
from ...scores import TaskName
from ..actions import Combine
from ..combine import COMBINERS, Combination, Combiner, Combining, Sources
from ..plan import WHOLE, Difference, Masking, Plan, References, TrainingSettings, TransferSettings
from ..update import Report
from ..values import Frozen, Sha256
from .fitting import refusal_of, refusal_of_moments

MethodState = dict[str, JsonValue]


HistogramOf = Literal["none", "specialties", "types"]


@dataclass(frozen=True)
class Setting:
    """The parts of a specification that decide whether a method can run in it; see `Method.misfit`."""

    combine: Combining
    training: TrainingSettings
    histogram: HistogramOf
    shared_notes: bool
    tasks: tuple[TaskName, ...] = ("entities",)


@dataclass(frozen=True)
class Opening:
    """A round that opens, for a method to plan.

    `seeds` has every joined site with its seed, `caps` the largest rank of those sites that named one. `clients` of
    them take part (None: all); `seed` is the round's own, for drawing them. The federation trains for `rounds` rounds;
    the one after that only evaluates. `rank` is the federation's first, `state` the method's own. `modules`: the
    adapted ones and their (d, k). `cuts`: the start cut to smaller ranks, where sites fetch it so.
    """

    round: int
    rounds: int
    start: Sha256
    rank: int
    training: TrainingSettings
    seeds: Mapping[str, int]
    cut: Cut = "best"
    seed: int = 0
    frozen: Sha256 | None = None
    control: Sha256 | None = None
    references: References | None = None
    caps: Mapping[str, int] = field(default_factory=dict)
    modules: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    clients: int | None = None
    transfer: TransferSettings = WHOLE
    masking: Masking | None = None
    differences: tuple[Difference, ...] = ()
    cuts: Mapping[int, Sha256] = field(default_factory=dict)
    state: MethodState = field(default_factory=dict)

    def capped(self, site: str, rank: int) -> int:
        """Returns this rank, or the largest that the site's hardware allows."""
        return min(rank, self.caps.get(site, rank))

    def start_at(self, rank: int) -> Sha256:
        """The start that a site of this rank fetches; the whole one where it is evaluated."""
        return self.start if self.round > self.rounds else self.cuts.get(rank, self.start)


class Method(Frozen):
    """One aggregation scheme. Subclasses give `name: Literal[...]`, their parameters as fields, and `weigh`.

    `fitting` says which ways of combining it works with. `mixes_ranks`: sites of different ranks may take part
    together. `scored_by`: who measures each update on the federation's shared notes, if anybody. Pure; any thread.
    """

    mixes_ranks: ClassVar[bool] = True

    name: str

    @property
    def scored_by(self) -> Literal["nobody", "sites", "coordinator"]:
        return "nobody"

    @property
    def needs(self) -> frozenset[str]:
        """Scalars of a training's report that it cannot do without; the norm is compared with what arrives."""
        return frozenset({"notes", "update_norm"})

    @property
    def rank_follows(self) -> Literal["nothing", "drift", "schedule"]:
        """Cause of a change of a site's rank from round to round."""
        return "nothing"

    @property
    def rank_levels(self) -> tuple[float, ...]:
        """Combined drifts, ascending, below the first and above the last of which a rank changes; () without any."""
        return ()

    def misfit(self, setting: Setting) -> str | None:
        """Error code if this method cannot run in such a federation, else None."""
        code = refusal_of(self.name, setting.combine)
        if code is None and setting.training.keep_moments:
            return refusal_of_moments(self.name, setting.combine)
        return code

    def select(self, opening: Opening) -> list[str]:
        """The sites that take part in this round, sorted; drawn at random by default if not all can."""
        return drawn(opening)

    def rank(self, site: str, opening: Opening) -> int:
        """The rank that this site trains at, before its cap is applied."""
        return opening.rank

    def cut(self, opening: Opening) -> Cut:
        """The way in which sites of smaller rank reduce the start."""
        return opening.cut

    def plan(self, opening: Opening) -> dict[str, Plan]:
        """A plan for each selected site; the keys are the selection."""
        ranks = {site: opening.capped(site, self.rank(site, opening)) for site in self.select(opening)}
        return {
            site: Plan(
                round=opening.round,
                rounds=None if opening.training.schedule == "round" else opening.rounds,
                start=opening.start_at(rank),
                frozen=opening.frozen,
                rank=rank,
                cut=self.cut(opening),
                training=opening.training,
                references=opening.references,
                transfer=opening.transfer,
                masking=opening.masking,
                differences=opening.differences,
                seed=opening.seeds[site],
                **self.asks(site, opening),
            )
            for site, rank in ranks.items()
        }

    def asks(self, site: str, opening: Opening) -> dict[str, Any]:
        """Fields of a site's plan that this method sets beyond the common ones."""
        return {}

    def refusal(self, report: Report) -> str | None:
        """Error code if this report lacks something that the method needs, so its update cannot count; else None."""
        return None

    def weigh(self, reports: Mapping[str, Report]) -> dict[str, float]:
        """Weights by site, non-negative, summing to 1; called once the round has closed."""
        raise TypeError(f"{type(self).__name__} does not say how it weighs")

    def own_weight(self, report: Report, largest: int) -> float:
        """The weight of one update as its site can say it alone: `weigh` gives these, normalised.

        As a share of the weight of a site with `largest` notes, or supervised tokens. For methods that secure
        aggregation goes with (secure_aggregation.fitting).
        """
        raise TypeError(f"{type(self).__name__} needs all reports to weigh one")

    def start_weights(self, reports: Mapping[str, Report]) -> Mapping[str, float]:
        """Weights in the combination of each site's own start; the updates share the rest. Empty by default.

        A negative weight extrapolates beyond the site's update. A site of smaller rank starts from the start cut back.
        """
        return {}

    def combiner(self, combine: Combining) -> Combiner:
        """The function that combines updates, given the specification's `combine`."""
        return COMBINERS[combine]

    def finish(self, closed: Combine, sources: Sources, combination: Combination) -> Combination:
        """The next round's start, from a combination that has no control, state or measures yet.

        By default the combination itself, and the state as it was. Runs with one BLAS thread.
        """
        return replace(combination, state=closed.state)


class WeighedByNotes(Method):
    """Base of the methods that weigh sites by their number of training notes, as FedAvg does."""

    def weigh(self, reports: Mapping[str, Report]) -> dict[str, float]:
        return normalised({site: float(report.notes) for site, report in reports.items()})

    def own_weight(self, report: Report, largest: int) -> float:
        return report.notes / largest


class ServerStep(Method):
    """Base of the averages that may go further than the mean of the updates, or less far (FedOpt, Reddi et al. 2021,
    arXiv 2003.00295, algorithm 1 with SGD at the server):

        x' = x + server_step (sum_i w_i y_i - x)

    An average is shorter than the updates that it is made of, as far as they point apart; a step above 1 makes up for
    it.
    """

    server_step: float = Field(1.0, gt=0, le=4, exclude_if=lambda value: value == 1)

    def misfit(self, setting: Setting) -> str | None:
        if self.server_step != 1 and setting.combine == "stack":
            return "methods.server_step_needs_start"
        return super().misfit(setting)

    def start_weights(self, reports: Mapping[str, Report]) -> Mapping[str, float]:
        if self.server_step == 1:
            return {}
        return {site: (1 - self.server_step) * weight for site, weight in self.weigh(reports).items()}


def drawn(opening: Opening) -> list[str]:
    """`clients` of the sites, drawn without replacement by the round's seed; all of them if there are no more."""
    sites = sorted(opening.seeds)
    if opening.clients is None or len(sites) <= opening.clients:
        return sites
    rng = np.random.Generator(np.random.PCG64(opening.seed))
    return sorted(sites[i] for i in rng.choice(len(sites), opening.clients, replace=False))


def normalised(weights: Mapping[str, float]) -> dict[str, float]:
    """Weights divided by their sum; equal weights if the sum is zero."""
    total = sum(weights[site] for site in sorted(weights))
    if total <= 0:
        return {site: 1.0 / len(weights) for site in weights}
    return {site: weight / total for site, weight in weights.items()}
