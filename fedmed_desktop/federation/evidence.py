# SPDX-License-Identifier: Apache-2.0
"""Evidence on which a person at a site decides about an update. It never leaves the site."""

from __future__ import annotations

from pydantic import Field

from ..bounds import PositiveInt, Scalar
from ..scores import Scores
from .probes import Probes
from .values import Frozen


class MaskedAmong(Frozen):
    """Record of how an update was masked: together with which sites, and the six words that all of these see.

    The words are of the keys of all sites that began together. `clipped` of `values` numbers were too large and were
    cut to the specification's clip.
    """

    sites: tuple[str, ...]
    phrase: str
    clipped: int
    values: int


class ModuleChange(Frozen):
    """Change of one module in a training: Frobenius norm of what was added to delta W, and the module's rank."""

    norm: Scalar
    rank: PositiveInt


class Evidence(Frozen):
    """Evidence for the site's operator, which never leaves: how this update differs from earlier rounds.

    A value is None with nothing to compare yet. `validation_notes` are those scored; None in older records.
    `training_notes`: those trained on, and `epsilon_spent` of the privacy budget, also where the report may not say so.
    `masked`: None where nothing is. `probes`: what the update may reveal; None where no probe has looked.
    `modules`: how much each module changed, by its name; empty in older records, and where nothing was trained.
    """

    model_drift: float | None = None
    performance_drift: float | None = None
    semantic_drift: float | None = None
    rank: int
    scores_before: Scores = Scores()
    scores_after: Scores = Scores()
    validation_notes: int | None = None
    training_notes: int | None = None
    epsilon_spent: float | None = None
    masked: MaskedAmong | None = None
    probes: Probes | None = None
    modules: dict[str, ModuleChange] = Field({})
