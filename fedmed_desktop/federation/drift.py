# SPDX-License-Identifier: Apache-2.0
"""Model, performance and semantic drift of sites, from their reports (all inferred; guide/method-adaptive_fedlora.md).

The same formulas are used twice: at a site before approval, against earlier rounds' references; and at the coordinator
when a round closes, against that round's own values. The record keeps the latter.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING

from ..arrays import np
from ..bounds import within
from .plan import References
from .update import Report
from .values import Frozen

if TYPE_CHECKING:
    from ..lora.algebra import Float64

# Keeps quotients finite while nothing has been learned yet; far below any norm or loss that occurs.
_EPS = 1e-12
# Smoothing of the reference loss over rounds; inferred.
_LOSS_MEMORY = 0.7


class Drift(Frozen):
    """Drift of one site in one round.

    `model`: size of its update relative to the global adapter and the median update; usually below 1.
    `performance`: how much worse the global model does here than in the federation, relative; 0 if it does better.
    `semantic`: distance of its notes from the federation's by specialty (or entity type), in [0, 1]; None if the
    federation does not share histograms.
    """

    model: float
    performance: float
    semantic: float | None = None


def model_drift(update_norm: float, start_norm: float, median_update_norm: float) -> float:
    """|u_k| / (|dW_g| + median_j |u_j| + eps)."""
    return update_norm / (start_norm + median_update_norm + _EPS)


def excess_drift(update_norm: float, median_update_norm: float) -> float:
    """max(0, |u_k| / median_j |u_j| - 1): how much further a site went than the middle one of its round.

    Not the quotient itself, which is about 1 at every site and so tells none from another.
    """
    return max(0.0, update_norm / (median_update_norm + _EPS) - 1)


def direction_drift(products: Float64, weights: Sequence[float]) -> list[float]:
    """1 - cos(u_k, sum_j w_j u_j) of each change, in [0, 2], from their inner products; 0 where one of both is zero.

    0 for sites that all go the same way, however far; 1 for one that goes at right angles to all.
    """
    shares = np.asarray(weights, dtype=np.float64)
    along = products @ shares
    whole = float(shares @ along)
    return [_apart(float(dot), float(own), whole) for dot, own in zip(along, np.diagonal(products), strict=True)]


def _apart(dot: float, own: float, other: float) -> float:
    size = math.sqrt(max(0.0, own)) * math.sqrt(max(0.0, other))
    return 1.0 - max(-1.0, min(1.0, dot / size)) if size > 0 else 0.0


def performance_drift(loss: float, reference_loss: float) -> float:
    """max(0, L_k(w_g) - Lref) / (Lref + eps)."""
    return max(0.0, loss - reference_loss) / (reference_loss + _EPS)


def shares(histogram: Mapping[str, float], over: Collection[str]) -> dict[str, float]:
    """A distribution over these keys with Laplace smoothing: every count is raised by one, so none is zero."""
    total = sum(histogram.get(key, 0) for key in over) + len(over)
    return {key: (histogram.get(key, 0) + 1) / total for key in over}


def divergence(p: Mapping[str, float], q: Mapping[str, float]) -> float:
    """Jensen-Shannon divergence of two distributions to base 2, in [0, 1]; symmetric."""
    total = 0.0
    for key in sorted(p.keys() | q.keys()):
        x, y = p.get(key, 0.0), q.get(key, 0.0)
        middle = (x + y) / 2
        total += sum(one * math.log2(one / middle) for one in (x, y) if one > 0) / 2
    return min(1.0, max(0.0, total))


def semantic_drift(histogram: Mapping[str, float], federation: Mapping[str, float]) -> float | None:
    """Divergence of a site's counts from the federation's distribution; None if either is empty."""
    if not histogram or not federation:
        return None
    keys = histogram.keys() | federation.keys()
    return divergence(shares(histogram, keys), {key: federation.get(key, 0.0) for key in keys})


def pooled_histogram(histograms: Mapping[str, Mapping[str, float]], weights: Mapping[str, float]) -> dict[str, float]:
    """The federation's distribution: the weighted mean of the sites', each smoothed over all keys; empty if all are."""
    keys = sorted({key for histogram in histograms.values() for key in histogram})
    given = [site for site in sorted(histograms) if histograms[site]]
    total = sum(weights[site] for site in given)
    if not keys or total <= 0:
        return {}
    smoothed = {site: shares(histograms[site], keys) for site in given}
    return {key: sum(weights[site] * smoothed[site][key] for site in given) / total for key in keys}


def measure_drift(
    reports: Mapping[str, Report], weights: Mapping[str, float], previous: References | None
) -> tuple[dict[str, Drift], References]:
    """Each site's drift in a closed round, and the references for the next one."""
    norm = median(report.update_norm for report in reports.values())
    losses = {site: report.loss_before or 0.0 for site, report in reports.items()}
    current = sum(weights[site] * losses[site] for site in sorted(losses))
    loss = current if previous is None else _LOSS_MEMORY * previous.loss + (1 - _LOSS_MEMORY) * current
    histograms = {site: report.histogram for site, report in reports.items()}
    histogram = pooled_histogram(histograms, weights)
    drifts = {
        site: Drift(
            model=model_drift(report.update_norm, report.start_norm, norm),
            performance=performance_drift(losses[site], loss),
            semantic=semantic_drift(report.histogram, histogram),
        )
        for site, report in reports.items()
    }
    return drifts, References(median_update_norm=norm, loss=within(loss), histogram=histogram)
