# SPDX-License-Identifier: Apache-2.0
"""Fitting of a federation's adapter to one site, by the site itself, on its own notes. Nothing of it is sent."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..events import Event, TrainingStep
from ..federation.fitted import FittedSettings, Outcome, best_share, between, further, lasting
from ..federation.plan import Plan
from ..federation.spec import FederationSpec
from ..federation.work import Control, Given
from ..lora import Adapter
from .evaluation import Evaluation
from .trainer import SiteTrainer


@dataclass(frozen=True)
class Fitting:
    """Progress of a fitting: steps of its training, then what is scored: shares of the way, and the models."""

    part: Literal["training", "scoring"]
    done: int
    total: int


@dataclass(frozen=True)
class Fitted:
    """`adapter` is the common one where `share` is 0. `losses` of each share, and what the common adapter and this one
    are worth, on the site's validation notes.
    """

    adapter: Adapter
    share: float
    losses: dict[float, float]
    before: Evaluation
    after: Evaluation

    def outcome(self, notes: int) -> Outcome:
        """All but the adapter, as it is told and kept; `notes`: how many validation notes there were."""
        before, after = (one.scores.headline if one.scores else None for one in (self.before, self.after))
        return Outcome(share=self.share, losses=tuple(self.losses.items()), before=before, after=after, notes=notes)


def fit(
    trainer: SiteTrainer,
    federation: FederationSpec,
    common: Adapter,
    settings: FittedSettings,
    tell: Callable[[Fitting], None] = lambda fitting: None,
    control: Control | None = None,
) -> Fitted:
    """Trains `common` on with the site's notes and takes the share of that which is best on its validation notes.

    The federation's settings of training hold, but for its schedule and its length. On the calling thread, minutes.
    What was done is lost where it is stopped. Raises Stopped, UserFacingError.
    """
    control, shares = control or Control(), settings.shares
    training = lasting(federation.training, settings.epochs, settings.steps)

    def measured(adapter: Adapter, *, answers: bool) -> Evaluation:
        given = Given(adapter)
        asked = further(training, given, federation.seed).evaluation()
        return trainer.measure(asked, given, "validation", control, answers=answers)

    own, before = _trained(trainer, further(training, Given(common), federation.seed), common, tell, control)
    losses = {}
    for number, share in enumerate(shares):
        tell(Fitting("scoring", number, len(shares) + 1))
        losses[share] = measured(between(common, own, share), answers=False).loss if share else before.loss
    share = best_share(losses)
    adapter = between(common, own, share)
    tell(Fitting("scoring", len(shares), len(shares) + 1))
    return Fitted(adapter, share, losses, before, measured(adapter, answers=True) if share else before)


def _trained(
    trainer: SiteTrainer, plan: Plan, common: Adapter, tell: Callable[[Fitting], None], control: Control
) -> tuple[Adapter, Evaluation]:
    """The adapter that trained on, and what the common one is worth, which is measured before it trains."""

    def hear(event: Event) -> None:
        if isinstance(event, TrainingStep):
            tell(Fitting("training", event.step, event.steps))

    scored, trainer.scores_update = trainer.scores_update, False  # shares of it are what is measured
    try:
        with tempfile.TemporaryDirectory(prefix="fedmed-fit-") as folder:
            result = trainer.train_round(plan, Given(common), Path(folder), hear, control)
    finally:
        trainer.scores_update = scored
    before = Evaluation(result.update.report.loss_before or 0.0, result.evidence.scores_before)
    return Adapter.from_blob(result.blobs["adapter"]), before
