# SPDX-License-Identifier: Apache-2.0
"""Evidence shown to the operator before anything leaves: an update against the rounds before it."""

from __future__ import annotations

from collections.abc import Mapping

from ..federation.drift import model_drift, performance_drift, semantic_drift
from ..federation.evidence import Evidence, ModuleChange
from ..federation.plan import Plan
from ..federation.probes import Probes
from ..federation.update import Report
from ..lora import Adapter


def evidence(
    plan: Plan,
    after: Adapter,
    report: Report,
    validation_notes: int,
    moved: Mapping[str, float],
    probes: Probes | None,
) -> Evidence:
    """Differences of an update from earlier rounds, and its scores; for the operator, never sent.

    `moved`: Frobenius norm of each module's change; `probes`: what they have found.
    """
    references = plan.references
    model = performance = semantic = None
    if references is not None:
        model = model_drift(report.update_norm, report.start_norm, references.median_update_norm)
        performance = performance_drift(report.loss_before or 0.0, references.loss)
        semantic = semantic_drift(report.histogram, references.histogram)
    return Evidence(
        model_drift=model,
        performance_drift=performance,
        semantic_drift=semantic,
        rank=plan.rank if plan.ranks else max(after.ranks.values()),
        scores_before=report.scores_before,
        scores_after=report.scores_after,
        validation_notes=validation_notes,
        epsilon_spent=report.epsilon_spent,
        probes=probes,
        modules={name: ModuleChange(norm=norm, rank=after[name].rank) for name, norm in moved.items()},
    )
