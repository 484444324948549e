# SPDX-License-Identifier: Apache-2.0
"""Model and performance drift of sites, from the scalars of their reports (methods 1.2 a, b; all inferred).

The same formulas serve twice: at a site before approval, against earlier rounds' references; at the coordinator when a
round closes, against that round's own values, which is what the record keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

from .plan import Frozen, References
from .update import Report

# Keeps quotients finite in a federation that has not moved yet; far below any norm or loss that occurs.
_EPS = 1e-12
# Smoothing of the reference loss over rounds; inferred.
_LOSS_MEMORY = 0.7


class Drift(Frozen):
    """`model`: size of the site's update against the global adapter and the median update, in [0, 1) or a little above.

    `performance`: how much worse the global model is here than for the federation, relative; 0 where it is better.
    """

    model: float
    performance: float


def model_drift(update_norm: float, start_norm: float, median_update_norm: float) -> float:
    """|u_k| / (|dW_g| + median_j |u_j| + eps)."""
    return update_norm / (start_norm + median_update_norm + _EPS)


def performance_drift(loss: float, reference_loss: float) -> float:
    """max(0, L_k(w_g) - Lref) / (Lref + eps)."""
    return max(0.0, loss - reference_loss) / (reference_loss + _EPS)


def measure_drift(
    reports: Mapping[str, Report], weights: Mapping[str, float], previous: References | None
) -> tuple[dict[str, Drift], References]:
    """Each site's drift in a closed round, and the references for the next one."""
    norm = median(report.update_norm for report in reports.values())
    losses = {site: report.loss_before or 0.0 for site, report in reports.items()}
    current = sum(weights[site] * losses[site] for site in sorted(losses))
    loss = current if previous is None else _LOSS_MEMORY * previous.loss + (1 - _LOSS_MEMORY) * current
    drifts = {
        site: Drift(
            model=model_drift(report.update_norm, report.start_norm, norm),
            performance=performance_drift(losses[site], loss),
        )
        for site, report in reports.items()
    }
    return drifts, References(median_update_norm=norm, loss=loss)
