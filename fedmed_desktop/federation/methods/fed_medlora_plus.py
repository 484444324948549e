# SPDX-License-Identifier: Apache-2.0
"""Fed-MedLoRA+ (arXiv 2601.22124): sites whose model does better on shared notes weigh more, w ~ n^a exp(-L / tau).

n counts supervised tokens, as in Fed-MedLoRA (which is a = 1 with tau infinite). L is the loss of the base with this
site's own adapter on notes that the federation shares for this purpose, in nats per supervised token. The released code
(src/algorithm/loss_avg_algorithm.py) takes exp(1 - L), so a = 0 and tau = 1: the amount of data does not count. The
paper describes weights by both, which is a = 1 here (inferred).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, Literal

from pydantic import Field

from ...bounds import PositiveFloat
from ..update import Report
from .method import ServerStep, Setting, normalised

PRESETS: Final[dict[str, tuple[float, float]]] = {"released": (0.0, 1.0), "described": (1.0, 1.0)}


class FedMedLoraPlus(ServerStep):
    """Settings. `a` and `tau`, where given, replace those of the preset.

    measured_by "sites": each site measures its own model on the specification's `shared_notes` and reports the loss.
    "coordinator": the coordinator measures every update, on notes that it alone has, with `--score-with`.
    """

    name: Literal["fed_medlora_plus"] = "fed_medlora_plus"
    preset: Literal["released", "described"] = "released"
    a: float | None = Field(None, ge=0, le=4)
    tau: PositiveFloat | None = None
    measured_by: Literal["sites", "coordinator"] = "sites"

    @property
    def scored_by(self) -> Literal["sites", "coordinator"]:
        return self.measured_by

    @property
    def needs(self) -> frozenset[str]:
        measured = {"shared_loss"} if self.measured_by == "sites" else set[str]()
        return frozenset({"supervised_tokens", "update_norm", *measured})

    def misfit(self, setting: Setting) -> str | None:
        # Shared notes are texts with entities: by other tasks nothing could be measured on them.
        if self.measured_by == "sites" and not {"entities", "text"} & set(setting.tasks):
            return "methods.shared_notes_lack_labels"
        if self.measured_by == "sites" and not setting.shared_notes:
            return "methods.no_shared_notes"
        return super().misfit(setting)

    def refusal(self, report: Report) -> str | None:
        return "methods.no_shared_loss" if report.shared_loss is None else None

    def weigh(self, reports: Mapping[str, Report]) -> dict[str, float]:
        sizes = {site: float(report.supervised_tokens) for site, report in reports.items()}
        losses = {site: report.shared_loss or 0.0 for site, report in reports.items()}
        return weights(sizes, losses, *self._exponents)

    def own_weight(self, report: Report, largest: int) -> float:
        a, tau = self._exponents
        size = (report.supervised_tokens / largest) ** a
        return size * math.exp(-(report.shared_loss or 0.0) / tau) if size else 0.0

    @property
    def _exponents(self) -> tuple[float, float]:
        a, tau = PRESETS[self.preset]
        return a if self.a is None else self.a, tau if self.tau is None else self.tau


def weights(sizes: Mapping[str, float], losses: Mapping[str, float], a: float, tau: float) -> dict[str, float]:
    """n^a exp(-L / tau) by site, normalised. Losses count from the lowest with n > 0, so that no sum underflows."""
    scaled = {site: size**a for site, size in sizes.items()}
    least = min((losses[site] for site, size in scaled.items() if size), default=0.0)
    return normalised(
        {site: size * math.exp(-(losses[site] - least) / tau) if size else 0.0 for site, size in scaled.items()}
    )
