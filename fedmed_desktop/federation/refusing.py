# SPDX-License-Identifier: Apache-2.0
"""Refusal of an update that does not count now, before anything of it is combined. Pure."""

from __future__ import annotations

from . import masked
from .foreign_names import has_foreign_names
from .record import RoundsState
from .spec import FederationSpec
from .update import Update


def refusal(
    spec: FederationSpec, state: RoundsState, site: str, update: Update, shared_loss: float | None = None
) -> str | None:
    """Error code if this update would not count now; None if it would, or does already.

    `shared_loss` is given if the coordinator has measured it, which it does last.
    """
    counted = state.receipt_for(site, update.round)
    if counted is not None:
        return None if counted == update.sha256 else "update.second"
    # A paused round lacks updates: a late one may let it continue once the host resumes it.
    if update.round != state.round or state.phase not in ("open", "evaluating", "paused"):
        return "update.round_closed"
    if site not in state.plans:
        return "update.not_asked"
    plan = state.plans[site]
    if update.report.kind != plan.kind or update.parts.keys() != plan.parts:
        return "update.wrong_parts"
    if has_foreign_names(update.report, spec):
        return "update.foreign_type"
    if update.report.histogram and spec.share.histogram == "none":
        return "update.unshared_histogram"
    if update.report.importance.keys() != (spec.base.modules.keys() if plan.importance else set()):
        return "update.wrong_importance"
    if plan.kind == "evaluate":
        return None
    if masked.refuses(state, site):
        return "update.not_asked"
    report = update.report if shared_loss is None else update.report.model_copy(update={"shared_loss": shared_loss})
    return spec.method.refusal(report)
