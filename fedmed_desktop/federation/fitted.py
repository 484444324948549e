# SPDX-License-Identifier: Apache-2.0
"""A model fitted to one site: the common adapter, trained on with the site's own notes, as far as its validation notes
ask for it. Strangers get the common adapter as it is.

The way between the two is in weights: (1 - share) of the common adapter and `share` of the one that trained on, as in
interpolated fine-tuning (WiSE-FT, arXiv 2109.01903); that each site chooses its share is inferred. Pure: who trains and
measures is the caller's matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from ..bounds import PositiveFloat, PositiveInt
from ..lora import Adapter, algebra
from .plan import Plan, TrainingSettings
from .values import Frozen
from .work import Given

# None of its schedule, its moments or its privacy budget.
_FOR_ITSELF = {"privacy": None, "schedule": "round", "keep_moments": False}


class FittedSettings(Frozen):
    """Fitting of a federation's last model to a site, by `epochs` more over the site's own notes, or `steps`.

    Of `shares` of the way there, the site takes the one with the lowest loss on its own validation notes. Three epochs
    are inferred: half of one, one and two gave 22, 30 and 36 % less loss than the common model (one site, measured).
    """

    epochs: PositiveFloat = 3.0
    steps: PositiveInt | None = None
    shares: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field((0.0, 0.25, 0.5, 0.75, 1.0), min_length=1)


def lasting(training: TrainingSettings, epochs: float, steps: int | None = None) -> TrainingSettings:
    """The federation's settings for one training of so many epochs or, where they are given, steps."""
    return training.model_copy(update=_FOR_ITSELF | {"epochs": None if steps else epochs, "steps": steps})


def further(training: TrainingSettings, given: Given, seed: int) -> Plan:
    """The plan of one training from `given`, of no federation's round."""
    return Plan(
        round=1,
        start=given.start.sha256,
        frozen=given.frozen.sha256 if given.frozen else None,
        rank=max(given.start.ranks.values()),
        training=training,
        seed=seed,
    )


def between(common: Adapter, own: Adapter, share: float) -> Adapter:
    """(1 - share) common + share own, as products; of both ranks together where both take part."""
    if share in (0, 1):
        return own if share else common
    return algebra.weighted_sum([(1 - share, common), (share, own)])


def best_share(losses: Mapping[float, float]) -> float:
    """The share with the lowest loss; of equal ones the smallest. Not by score: on some dozens of notes the one that
    scores best does so by chance, and did worse on others (measured).
    """
    return min(losses, key=lambda share: (losses[share], share))


class Outcome(Frozen):
    """Outcome of a fitting on a site's `notes` validation notes: the share of the way that was taken, and why.

    `losses`: of each share. `before`, `after`: scores of the common adapter and of the fitted one; None where the
    federation measures losses alone.
    """

    share: float = Field(ge=0, le=1)
    losses: tuple[tuple[float, float], ...] = Field(min_length=1)
    before: float | None = Field(None, ge=0, le=1)
    after: float | None = Field(None, ge=0, le=1)
    notes: PositiveInt

    @property
    def has_gained(self) -> bool:
        """Tells whether the fitted adapter is another one than the common adapter."""
        return self.share > 0
