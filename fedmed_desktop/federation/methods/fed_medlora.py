# SPDX-License-Identifier: Apache-2.0
"""Fed-MedLoRA (arXiv 2601.22124) as its authors' released code does it: weights by supervised tokens, factors averaged.

The code counts shifted labels that are not masked over one pass of the training loader (methods 2.1), and averages
the full A and B of every site separately.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from ..update import Report
from .method import Method, normalised


class FedMedLora(Method):
    name: Literal["fed_medlora"] = "fed_medlora"

    def weigh(self, reports: Mapping[str, Report]) -> dict[str, float]:
        return normalised({site: float(r.supervised_tokens) for site, r in reports.items()})
