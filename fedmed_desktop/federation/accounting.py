# SPDX-License-Identifier: Apache-2.0
"""One accountant of a site's privacy budget, over all rounds and restarts: what DP-SGD steps have spent, what is left.

A step takes each unit (a note, or a patient) with probability `rate` and adds Gaussian noise of `noise` times the
longest gradient of one. Steps are composed by their privacy loss distribution (Koskela et al. 2020; Google's
dp-accounting, which rounds losses up), for neighbours with one unit more or less.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from ..errors import UserFacingError
from .plan import PrivacySettings

LEAST_NOISE: Final = 0.3
"""Below it the guarantee is worth nothing (methods with epsilons of hundreds); inferred."""

MOST_NOISE: Final = 100.0
"""Above it an update would be noise alone; inferred."""

_LOSS_STEP: Final = 1e-3
"""Losses are rounded up to multiples of this. Ten times finer changes epsilon by 5e-4 at most in the settings that
tests look at, and takes ten times as long."""


@dataclass(frozen=True)
class Steps:
    """Steps that were alike: so many, of one rate and one noise."""

    rate: float
    noise: float
    count: int = 1


class SpendingLedger(Protocol):
    """Ledger in which a site writes down what it spends, for good."""

    def spent(self) -> Sequence[Steps]:
        """Everything so far, in order. Raises UserFacingError where the record is damaged."""

    def write(self, round_number: int, step: Steps) -> None:
        """Durable on return. Raises UserFacingError."""


@dataclass
class SpendingInMemory:
    """Ledger for simulations, which begin anew where they end early."""

    steps: list[Steps] = field(default_factory=list)

    def spent(self) -> Sequence[Steps]:
        return tuple(self.steps)

    def write(self, round_number: int, step: Steps) -> None:
        self.steps.append(step)


def epsilon(steps: Iterable[Steps], delta: float) -> float:
    """Epsilon that all these steps together spend at `delta`, rounded up to four digits; 0 without any.

    Takes a tenth of a second or more for each different (rate, noise).
    """
    counts: Counter[tuple[float, float]] = Counter()
    for one in steps:
        counts[one.rate, one.noise] += one.count
    return _composed(tuple(sorted((*how, count) for how, count in counts.items() if count)), delta)


def gaussian_noise(budget: float, delta: float, releases: int) -> float:
    """The least noise multiplier (to 0.1 %) with which so many Gaussian mechanisms together keep epsilon `budget`.

    The closed form (Balle and Wang 2018, arXiv 1805.06530, theorem 8; n mechanisms of noise z are one of z / sqrt(n)).
    It is for telling in advance, where there is no SciPy; what is spent is counted by `epsilon`.
    """
    low, high = 1e-3, 1.0
    while _gaussian_delta(budget, high, releases) > delta:
        low, high = high, 2 * high
    while high / low > 1.001:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if _gaussian_delta(budget, middle, releases) > delta else (low, middle)
    return high


def gaussian_epsilon(noise: float, delta: float, releases: int) -> float:
    """Epsilon of so many Gaussian mechanisms, rounded up to 0.001, by the closed form; infinite above 500."""
    low, high = 0.0, 500.0
    if _gaussian_delta(high, noise, releases) > delta:
        return math.inf
    while high - low > 1e-3:
        middle = (low + high) / 2
        low, high = (middle, high) if _gaussian_delta(middle, noise, releases) > delta else (low, middle)
    return high


def _gaussian_delta(budget: float, noise: float, releases: int) -> float:
    mean = math.sqrt(releases) / noise
    return _normal_below(mean / 2 - budget / mean) - math.exp(budget) * _normal_below(-mean / 2 - budget / mean)


def _normal_below(value: float) -> float:
    """Probability that a standard normal number is below this."""
    return math.erfc(-value / math.sqrt(2)) / 2


@functools.lru_cache(maxsize=256)
def _composed(steps: tuple[tuple[float, float, int], ...], delta: float) -> float:
    if not steps:
        return 0.0
    # Loads SciPy, which a coordinator has no need of unless whole sites are protected.
    try:
        from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent
        from dp_accounting.pld import PLDAccountant
    except ImportError as error:
        raise UserFacingError("privacy.no_accountant", reason=str(error)) from error

    accountant = PLDAccountant(value_discretization_interval=_LOSS_STEP)
    for rate, noise, count in steps:
        accountant.compose(PoissonSampledDpEvent(rate, GaussianDpEvent(noise)), count)
    found = float(accountant.get_epsilon(delta))
    return math.ceil(found * 1e4) / 1e4 if math.isfinite(found) else math.inf


def noise_for(
    budget: float, delta: float, spent: Sequence[Steps], rate: float, steps: int, wanted: float | None = None
) -> float:
    """The least noise (to 0.001 more) with which so many further steps keep all within epsilon `budget`.

    Noise that was used before at this rate stays, where it is enough: so it is the same in all rounds, unless steps
    were repeated. `wanted`: a noise to begin with, where it is enough. Raises UserFacingError("privacy.no_room") where
    it would have to exceed MOST_NOISE.
    """

    def fits(noise: float) -> bool:
        return epsilon((*spent, Steps(rate, noise, steps)), delta) <= budget

    before = [one.noise for one in spent if one.rate == rate] or ([] if wanted is None else [wanted])
    if before and fits(before[-1]):
        return before[-1]
    high = max([1.0, *before[-1:]])
    while not fits(high):
        if high >= MOST_NOISE:
            used = epsilon(spent, delta)
            raise UserFacingError("privacy.no_room", epsilon=budget, spent=used, steps=steps)
        high = min(2 * high, MOST_NOISE)
    low = LEAST_NOISE
    while high - low > 1e-3:
        middle = (low + high) / 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return math.ceil(high * 1e3) / 1e3


class Budget:
    """A site's budget while it trains in one round: asked for noise first, then told of each step before it is taken.

    `later`: rounds after this one, which are to get as much. `most`: what the site's own policy allows at most, which
    can only lower the specification's epsilon. One thread.
    """

    def __init__(
        self, settings: PrivacySettings, ledger: SpendingLedger, later: int = 0, most: float | None = None
    ) -> None:
        self.epsilon = settings.epsilon if most is None else min(settings.epsilon, most)
        self.delta = settings.delta
        self.ledger = ledger
        self._later = later
        self._granted = Steps(0.0, 0.0, 0)

    def grant(self, rate: float, steps: int, of: int) -> float:
        """The noise for `steps` steps of this round, where a round has `of`; only so many can be taken then.

        Raises UserFacingError("privacy.no_room").
        """
        asked = steps + self._later * of
        # A training that was stopped after its last step takes none.
        noise = noise_for(self.epsilon, self.delta, self.ledger.spent(), rate, asked) if steps else MOST_NOISE
        self._granted = Steps(rate, noise, steps)
        return noise

    def spend(self, round_number: int) -> None:
        """Writes a step down, before it is taken: a crash can only make it count twice.

        Raises UserFacingError("privacy.spent") for a step beyond those that were granted.
        """
        granted = self._granted
        if granted.count < 1:
            raise UserFacingError("privacy.spent", epsilon=self.epsilon)
        self._granted = Steps(granted.rate, granted.noise, granted.count - 1)
        self.ledger.write(round_number, Steps(granted.rate, granted.noise))

    def told(self) -> dict[str, float]:
        """Numbers for a report: epsilon spent so far, rounded up, and what is left."""
        spent = epsilon(self.ledger.spent(), self.delta)
        return {"epsilon_spent": spent, "epsilon_left": max(0.0, round(self.epsilon - spent, 4))}
