# SPDX-License-Identifier: Apache-2.0
"""The privacy budget of a site for one plan: its ledger on disk, within what the site's own policy allows."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..federation import FederationSpec, Plan
from ..federation.accounting import Budget
from ..federation.policy import InForce
from ..federation.work import Entry
from ..storage.spending import FILE, SpendingFile


def open_spending(folder: Path, plan: Plan, entries: Iterable[Entry]) -> SpendingFile | None:
    """The site's ledger where the plan spends anything; to be closed. Raises UserFacingError (lost, damaged)."""
    if plan.kind != "train" or plan.training.privacy is None:
        return None
    private = (entry.update.report for entry in entries if entry.plan.training.privacy)
    return SpendingFile(folder / FILE, least=sum(report.steps for report in private))


def budget_of(ledger: SpendingFile | None, plan: Plan, spec: FederationSpec, policy: InForce) -> Budget | None:
    """None for a plan that spends nothing."""
    if ledger is None or plan.training.privacy is None:
        return None
    return Budget(plan.training.privacy, ledger, later=spec.rounds - plan.round, most=policy.most_epsilon)
