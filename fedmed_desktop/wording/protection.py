# SPDX-License-Identifier: Apache-2.0
"""Words on what differential privacy promises about one update, read before it is approved."""

from __future__ import annotations

from typing import Final

from ..federation import Plan, Report
from ..federation.evidence import Evidence
from .figures import written
from .translation import later, together, tr

STRONG: Final = 1.0
SOME: Final = 10.0
"""Epsilons up to which the promise is called strong, or a promise at all (Ponomareva et al. 2023, tiers 1 and 2)."""

_DEGREES: Final = (
    (STRONG, later("Strongly protected by differential privacy.")),
    (SOME, later("Protected to some degree by differential privacy.")),
)
_HARDLY: Final = later("Hardly protected by differential privacy: its epsilon is too large.")
_COUNTED: Final = {
    "note": later(
        "Counted by note, epsilon {spent} of {total} is spent with this update, {left} is left (delta {delta})."
    ),
    "patient": later(
        "Counted by patient, epsilon {spent} of {total} is spent with this update, {left} is left (delta {delta})."
    ),
}


def protection(plan: Plan, report: Report, evidence: Evidence) -> str:
    """Promise of differential privacy about an update, in words before numbers; "" where there is none."""
    privacy, spent = plan.training.privacy, evidence.epsilon_spent
    if privacy is None or spent is None:
        return ""
    left = max(0.0, privacy.epsilon - spent) if report.epsilon_left is None else report.epsilon_left
    degree = next((words for most, words in _DEGREES if spent <= most), _HARDLY)
    numbers = {
        "spent": written(spent, ".2f"),
        "total": written(spent + left, ".2f"),
        "left": written(left, ".2f"),
        "delta": written(privacy.delta, ".12f").rstrip("0"),
    }
    counted = tr(_COUNTED[privacy.unit]).format(**numbers)
    return together(tr(degree), counted, tr("This covers the adapter alone: the numbers beside it are exact."))
