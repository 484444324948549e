# SPDX-License-Identifier: Apache-2.0
"""Number of optimiser steps of a site in a round: the round's request, at the site's speed, within its token budget."""

from __future__ import annotations

from ..federation import TrainingSettings
from .engines import Size


def steps_of(size: Size, training: TrainingSettings, speed: float = 1.0, most_tokens: int | None = None) -> int:
    """At least one. A step takes `batch_size` examples of mean length; `most_tokens` are kept to on average.

    The number that `training` asks for alone is that of the training loop.
    """
    per_epoch = -(-size.examples // training.batch_size)
    asked = float(training.steps or (training.epochs or 0) * per_epoch) * speed
    if most_tokens is not None and size.tokens:
        asked = min(asked, most_tokens * per_epoch // size.tokens)
    return max(1, round(asked))
