# SPDX-License-Identifier: Apache-2.0
"""Fitting of a federation's adapter to one site, by the site itself, on its own notes. Nothing of it is sent."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..events import Event, TrainingStep
from ..federation.fitted import FittedSettings, Judged, best_share, between, further, lasting
from ..federation.spec import FederationSpec
from ..federation.work import Control, Given
from ..lora import Adapter
from .evaluation import Evaluation
from .trainer import SiteTrainer


@dataclass(frozen=True)
class Fitting:
    """Progress of a fitting: steps of its training, then shares of the way that are scored."""

    part: Literal["training", "scoring"]
    done: int
    total: int


@dataclass(frozen=True)
class Fitted:
    """`adapter` is the common one where `share` is 0. `measured`: each share's evaluation on the validation notes."""

    adapter: Adapter
    share: float
    measured: dict[float, Evaluation]


def fit(
    trainer: SiteTrainer,
    federation: FederationSpec,
    common: Adapter,
    settings: FittedSettings,
    tell: Callable[[Fitting], None] = lambda fitting: None,
    control: Control | None = None,
) -> Fitted:
    """Trains `common` on with the site's notes and takes the share of that which scores best on its validation notes.

    The federation's settings of training hold, but for its schedule and its length. On the calling thread, minutes.
    What was done is lost where it is stopped. Raises Stopped, UserFacingError.
    """
    control, given = control or Control(), Given(common)
    training = lasting(federation.training, federation.rounds, settings.steps)
    plan = further(training, given, federation.seed)

    def hear(event: Event) -> None:
        if isinstance(event, TrainingStep):
            tell(Fitting("training", event.step, event.steps))

    trainer.scores_update = False  # it is scored below, beside the others
    with tempfile.TemporaryDirectory(prefix="fedmed-fit-") as folder:
        result = trainer.train_round(plan, given, Path(folder), hear, control)
    own = Adapter.from_blob(result.blobs["adapter"])
    measured = {}
    for number, share in enumerate(settings.shares):
        tell(Fitting("scoring", number, len(settings.shares)))
        taken = Given(between(common, own, share))
        measured[share] = trainer.measure(
            further(training, taken, federation.seed).evaluation(), taken, "validation", control
        )
    tell(Fitting("scoring", len(settings.shares), len(settings.shares)))
    share = best_share({share: Judged(one.loss, one.scores) for share, one in measured.items()})
    return Fitted(between(common, own, share), share, measured)
