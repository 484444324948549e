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
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import Field, model_validator

from ..bounds import PositiveFloat
from ..errors import UserFacingError
from ..lora.module import Factor
from .accounting import Steps, epsilon, gaussian_epsilon, gaussian_noise, noise_for
from .combine import Combining
from .methods.method import HistogramOf, Method, Opening
from .plan import Masking
from .secure_aggregation.fitting import REFUSED
from .secure_aggregation.values import LEAST_SITES, bits_of, room_for, threshold_of
from .values import Frozen

if TYPE_CHECKING:
    from .spec import FederationSpec

MOST_TIMES: Final = 5.0
"""A federation is refused where one round's noise would be expected to be longer than so many times the longest mean
update there can be. Inferred from one measurement: with the bundled model, noise five times as long as a round's update
took away all that the round had learned (packaging/benchmarks/privacy_of_a_round.py). A rule of thumb: with a clip far
below the updates' usual length less is learned, and the noise harms less."""


# By who adds the noise: where it is shorter than the mean update, where it is longer, and where it buries it.
_NOTICES: Final = {
    "coordinator": (
        "client_privacy.coordinator_little",
        "client_privacy.coordinator_much",
        "client_privacy.coordinator_buried",
    ),
    "sites": ("client_privacy.sites_little", "client_privacy.sites_much", "client_privacy.sites_buried"),
}


class ClientPrivacy(Frozen):
    """The table `[client_privacy]`: what whole sites are promised. Exactly one of `epsilon` and `noise_multiplier`.

    At most `epsilon` at `delta` is spent by all rounds together; with `noise_multiplier`, what that many rounds of it
    spend. `clip_norm`: the longest update of a site that counts in full (Euclidean norm over all shared values of the
    factors); 1 is inferred. `added_by` "coordinator", which sees each update; "sites", each of which adds its share
    beneath its mask, so that nobody does. `accept_noise`: founded even where the noise would bury the update.
    """

    epsilon: float | None = Field(None, gt=0, le=100, strict=True)
    noise_multiplier: float | None = Field(None, ge=0.1, le=100, strict=True)
    delta: float = Field(1e-3, gt=0, lt=0.1, strict=True)
    clip_norm: PositiveFloat = 1.0
    added_by: Literal["coordinator", "sites"] = "coordinator"
    accept_noise: bool = False

    @model_validator(mode="after")
    def _one_measure(self) -> ClientPrivacy:
        if (self.epsilon is None) == (self.noise_multiplier is None):
            raise ValueError("give either epsilon or noise_multiplier")
        return self


@dataclass(frozen=True)
class ExpectedNoise:
    """Noise of a round, told before anybody takes part.

    `times`: expected length of the noise on the mean update, by the longest that the mean can be, z s sqrt(d) / K, for
    d `values` and K `sites`; `spare` s is above 1 where sites add it in shares, which must be enough without some of
    them. Updates are usually shorter than the clip, and then it is more.
    """

    multiplier: float
    sites: int
    values: int
    spare: float = 1.0

    @property
    def times(self) -> float:
        return self.multiplier * self.spare * math.sqrt(self.values) / self.sites

    @property
    def buries(self) -> bool:
        """Tells whether nothing would be left of what is learned."""
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
        # Rounded, since sites and coordinator must come to the very same number.
        multiplier = math.ceil(1001 * gaussian_noise(settings.epsilon, settings.delta, spec.rounds)) / 1000
    asked: dict[str, Any] = {"start": spec.base.initial, "rank": spec.lora.rank, "training": spec.training}
    values = []
    for number in (1, 2):  # one method shares its factors in turns
        opening = Opening(round=number, rounds=max(2, spec.rounds), seeds={"": 0}, **asked)
        plan = spec.method.plan(opening)[""]
        values.append(shared_values(spec.base.modules, plan.shared, plan.rank))
    sites, spare = min(spec.round.sites, spec.round.clients or spec.round.sites), 1.0
    if settings.added_by == "sites":
        least = max(LEAST_SITES, threshold_of(spec.secure_aggregation.threshold, sites))
        spare = math.sqrt(sites / (least - 1))
    return ExpectedNoise(multiplier, sites, max(values), spare)


def with_noise(masking: Masking, spec: FederationSpec) -> Masking:
    """The masking with each site's share of the noise. The clip is that of whole updates, and all weigh the same."""
    settings, noise = spec.client_privacy, expected_noise(spec)
    assert settings is not None and noise is not None
    changes = {"clip": settings.clip_norm, "noise_multiplier": noise.multiplier}
    found = masking.model_copy(update=changes)
    room = room_for(found, max(LEAST_SITES, noise.sites), LEAST_SITES)
    return found.model_copy(update={"bits": bits_of(found.clip, room, 1.0)})


def noise_of_round(spec: FederationSpec, number: int, spent: Sequence[Steps]) -> float:
    """The noise multiplier of round `number`, given all sums that were made public; the later rounds get as much.

    Loads SciPy. Raises UserFacingError("client_privacy.no_room") where the budget has no room for the rest. Sites that
    add the noise themselves cannot add more than was agreed, so there it is refused sooner.
    """
    settings, left = spec.client_privacy, spec.rounds - number + 1
    assert settings is not None
    by_sites = settings.added_by == "sites"
    noise = expected_noise(spec) if by_sites else None
    wanted = noise.multiplier if noise else settings.noise_multiplier
    budget = settings.epsilon
    if budget is None:
        assert wanted is not None
        budget = epsilon([Steps(1.0, wanted, spec.rounds)], settings.delta)
    try:
        found = noise_for(budget, settings.delta, spent, 1.0, left, wanted)
    except UserFacingError as error:
        if error.code != "privacy.no_room":
            raise
        found = math.inf
    if math.isinf(found) or (by_sites and found != wanted):
        spends = epsilon(spent, settings.delta)
        raise UserFacingError("client_privacy.no_room", epsilon=round(budget, 2), spent=spends, rounds=left)
    return found


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
    size = 2 if noise.buries else 1 if noise.times > 1 else 0
    return _NOTICES[settings.added_by][size], told


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
    if settings.added_by == "coordinator":
        return "client_privacy.masked" if masks else None
    return None if masks else "client_privacy.unmasked"
