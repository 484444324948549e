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

from ..bounds import PositiveInt
from ..lora import Adapter, algebra
from .plan import Plan, TrainingSettings
from .values import Frozen
from .work import Given

# None of its schedule, its moments or its privacy budget.
_FOR_ITSELF = {"privacy": None, "schedule": "round", "keep_moments": False}


class FittedSettings(Frozen):
    """Fitting of a federation's last model to a site, by `steps` more on the site's own notes.

    Of `shares` of the way there, the site takes the one with the lowest loss on its own validation notes. `steps` None:
    as many as in all rounds together (inferred: with a fifth of them some sites' models found less than their own).
    """

    steps: PositiveInt | None = None
    shares: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field((0.0, 0.25, 0.5, 0.75, 1.0), min_length=1)


def lasting(training: TrainingSettings, rounds: int, steps: int | None = None) -> TrainingSettings:
    """The federation's settings for one training of `steps` or, without a number, as long as all rounds together."""
    epochs = training.epochs * rounds if training.epochs and not steps else None
    many = None if epochs else steps or (training.steps or 1) * rounds
    return training.model_copy(update=_FOR_ITSELF | {"epochs": epochs, "steps": many})


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
