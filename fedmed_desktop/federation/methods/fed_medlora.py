# SPDX-License-Identifier: Apache-2.0
"""Fed-MedLoRA (arXiv 2601.22124), as in its authors' released code: factors averaged, weighted by supervised tokens.

The code's `get_aggregation_weight` counts the unmasked shifted labels of one pass over the training loader; A and B are
averaged separately.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from ..update import Report
from .method import ServerStep, normalised


class FedMedLora(ServerStep):
    name: Literal["fed_medlora"] = "fed_medlora"

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"supervised_tokens", "update_norm"})

    def weigh(self, reports: Mapping[str, Report]) -> dict[str, float]:
        return normalised({site: float(r.supervised_tokens) for site, r in reports.items()})

    def own_weight(self, report: Report, largest: int) -> float:
        return report.supervised_tokens / largest
