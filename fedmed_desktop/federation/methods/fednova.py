# SPDX-License-Identifier: Apache-2.0
"""FedNova (Wang et al. 2020, arXiv 2007.07481, section 4) on LoRA factors: more local steps give no more influence.

With start x, site i's factors y_i after t_i steps and its share p_i of the notes:

    x' = x + t_eff sum_i p_i (y_i - x) / t_i,        t_eff = sum_i p_i t_i

This is an average of the y_i with weights t_eff p_i / t_i, and of x with the rest, sum_i p_i (1 - t_eff / t_i) <= 0.
For a site of smaller rank, x is the start cut back to that rank (inferred); otherwise directions that it never had
would count as unlearned and grow from round to round. t_i is the number of local optimiser steps: exact for SGD, common
practice for AdamW, which has no closed form (inferred). With equal steps it is FedAvg, so set `training.epochs` rather
than `training.steps`. Whatever the schedule of the learning rate, a site's rates of a round add up in proportion to its
steps, so t_i stands for that sum. A site's reported steps count up to the plan's number if it has one, and in full
otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from ..update import Report
from .method import Method, normalised


class FedNova(Method):
    name: Literal["fednova"] = "fednova"

    @property
    def needs(self) -> frozenset[str]:
        return super().needs | {"steps"}

    def weigh(self, reports: Mapping[str, Report]) -> dict[str, float]:
        steps = _steps(reports)
        longest = max(steps.values())
        return normalised({site: report.notes * (longest / steps[site]) for site, report in reports.items()})

    def start_weights(self, reports: Mapping[str, Report]) -> Mapping[str, float]:
        steps = _steps(reports)
        if len(set(steps.values())) == 1 or not any(report.notes for report in reports.values()):
            return {}
        shares = normalised({site: float(report.notes) for site, report in reports.items()})
        effective = sum(shares[site] * steps[site] for site in sorted(shares))
        return {site: shares[site] * (1 - effective / steps[site]) for site in sorted(shares)}


def _steps(reports: Mapping[str, Report]) -> dict[str, int]:
    return {site: max(1, report.steps) for site, report in reports.items()}
