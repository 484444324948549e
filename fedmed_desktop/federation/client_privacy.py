# SPDX-License-Identifier: Apache-2.0
"""Differential privacy of whole sites (client-level; DP-FedAvg, McMahan et al. 2018, arXiv 1710.06963, algorithm 1).

    x <- x + (s / K) ( sum_k clip(u_k, C) + N(0, z^2 C^2 I) ),     u_k = y_k - x, over all values that sites share

Every site counts the same, so that the noise need hide no more than C; s is the method's step, K the round's updates.
Neighbours are federations in which one site's updates are all nothing ("zero-out", Kairouz et al. 2021, arXiv
2102.06387): that a site takes part, and how often, is no secret. Each round counts as one Gaussian mechanism, also
where a round asks only some sites.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import Field, model_validator

from ..bounds import PositiveFloat
from ..errors import UserFacingError
from ..lora.module import Factor
from .accounting import Steps, epsilon, gaussian_epsilon, gaussian_noise, noise_for
from .combine import Combining
from .methods.method import HistogramOf, Method, Opening
from .plan import Frozen
from .secure_aggregation.fitting import REFUSED

if TYPE_CHECKING:
    from .spec import FederationSpec

MOST_TIMES: Final = 10.0
"""A federation is refused where one round's noise would be expected to be longer than so many times the longest mean
update there can be. Inferred: a hundred rounds that all point the same way would only just stand out of it."""


class ClientPrivacy(Frozen):
    """The table `[client_privacy]`: what whole sites are promised. Exactly one of `epsilon` and `noise_multiplier`.

    At most `epsilon` at `delta` is spent by all rounds together; with `noise_multiplier`, what that many rounds of it
    spend. `clip_norm`: the longest update of a site that counts in full (Euclidean norm over all shared values of the
    factors); 1 is inferred. `accept_noise`: the federation is founded even where the noise would bury the update.
    """

    epsilon: float | None = Field(None, gt=0, le=100, strict=True)
    noise_multiplier: float | None = Field(None, ge=0.1, le=100, strict=True)
    delta: float = Field(1e-3, gt=0, lt=0.1, strict=True)
    clip_norm: PositiveFloat = 1.0
    accept_noise: bool = False

    @model_validator(mode="after")
    def _one_measure(self) -> ClientPrivacy:
        if (self.epsilon is None) == (self.noise_multiplier is None):
            raise ValueError("give either epsilon or noise_multiplier")
        return self

    def budget(self, rounds: int) -> float:
        """The most epsilon that a federation of so many rounds may spend. May load SciPy."""
        if self.epsilon is not None:
            return self.epsilon
        assert self.noise_multiplier is not None
        return epsilon([Steps(1.0, self.noise_multiplier, rounds)], self.delta)

    def noise_of_round(self, number: int, rounds: int, spent: Sequence[Steps]) -> float:
        """The noise multiplier of round `number`, given all sums that were made public; the later rounds get as much.

        Loads SciPy. Raises UserFacingError("client_privacy.no_room") where the budget has no room for the rest.
        """
        left, budget = rounds - number + 1, self.budget(rounds)
        try:
            return noise_for(budget, self.delta, spent, 1.0, left, self.noise_multiplier)
        except UserFacingError as error:
            if error.code != "privacy.no_room":
                raise
            spends = error.params["spent"]
            raise UserFacingError(
                "client_privacy.no_room", epsilon=round(budget, 2), spent=spends, rounds=left
            ) from error


@dataclass(frozen=True)
class ExpectedNoise:
    """Noise of a round, told before anybody takes part.

    `times`: expected length of the noise on the mean update, by the longest that the mean can be, z sqrt(d) / K, for d
    `values` and K `sites`. Updates are usually shorter than the clip, and then it is more.
    """

    multiplier: float
    sites: int
    values: int

    @property
    def times(self) -> float:
        return self.multiplier * math.sqrt(self.values) / self.sites

    @property
    def buries(self) -> bool:
        """Whether nothing would be left of what is learned."""
        return self.times > MOST_TIMES


def expected_noise(spec: FederationSpec) -> ExpectedNoise | None:
    """The noise of a round to which all sites come that are expected; None where whole sites are not hidden.

    By the closed form, so that whoever reads a specification needs no accountant.
    """
    settings = spec.client_privacy
    if settings is None:
        return None
    multiplier = settings.noise_multiplier
    if multiplier is None:
        assert settings.epsilon is not None
        multiplier = gaussian_noise(settings.epsilon, settings.delta, spec.rounds)
    asked: dict[str, Any] = {"start": spec.base.initial, "rank": spec.lora.rank, "training": spec.training}
    values = []
    for number in (1, 2):  # one method shares its factors in turns
        opening = Opening(round=number, rounds=max(2, spec.rounds), seeds={"": 0}, **asked)
        plan = spec.method.plan(opening)[""]
        values.append(shared_values(spec.base.modules, plan.shared, plan.rank))
    return ExpectedNoise(multiplier, min(spec.round.sites, spec.round.clients or spec.round.sites), max(values))


def notice(spec: FederationSpec) -> tuple[str, dict[str, str | int | float]] | None:
    """Code and parameters of the sentence that tells people before they take part; None without any such protection."""
    settings, noise = spec.client_privacy, expected_noise(spec)
    if settings is None or noise is None:
        return None
    spends = settings.epsilon or gaussian_epsilon(noise.multiplier, settings.delta, spec.rounds)
    told: dict[str, str | int | float] = {
        "epsilon": f"{spends:.2f}",
        "delta": f"{settings.delta:.12f}".rstrip("0"),
        "noise": f"{noise.multiplier:.2f}",
        "sites": noise.sites,
        "times": f"{noise.times:.2g}" if noise.times < 10 else f"{noise.times:,.0f}",
    }
    if noise.buries:
        return "client_privacy.told_buried", told
    return ("client_privacy.told_much" if noise.times > 1 else "client_privacy.told"), told


def shared_values(modules: Mapping[str, tuple[int, int]], shared: Collection[Factor], rank: int) -> int:
    """Number of values in the shared factors of modules name -> (d, k)."""
    found = 0
    for d, k in modules.values():
        found += min(rank, d, k) * sum({"A": k, "B": d}[factor] for factor in shared)
    return found


def misfit(
    settings: ClientPrivacy | None,
    method: Method,
    combine: Combining,
    histogram: HistogramOf,
    *,
    screens: bool,
    masks: bool,
) -> str | None:
    """Error code if the promise would not hold in such a federation, else None."""
    if settings is None:
        return None
    if method.name in REFUSED:  # what is released is no sum of one bounded difference from each site
        return "client_privacy.no_plain_sum"
    if method.name == "fed_medlora_plus":
        return "client_privacy.weighs_by_loss"
    if combine != "factors":
        return "client_privacy.no_plain_sum"
    if screens:
        return "client_privacy.screening"
    if histogram != "none":
        return "client_privacy.histogram"
    return "client_privacy.masked" if masks else None
