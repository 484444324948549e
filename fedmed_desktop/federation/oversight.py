# SPDX-License-Identifier: Apache-2.0
"""Rows of the overview that a person who hosts sees, derived from the rounds' state. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from ..bounds import within
from ..overview import RoundRow, SiteResult
from ..scores import Scores
from .record import RoundRecord, RoundsState, SiteRecord
from .update import Report


def round_row(record: RoundRecord) -> RoundRow:
    """A closed round, with every site whose update counted."""
    return RoundRow(
        round=record.round,
        attempt=record.attempt,
        opened=record.opened,
        closed=record.closed,
        reason=record.reason,
        adapter=record.adapter,
        residual=None if record.residual is None else within(record.residual),
        norm=within(record.norm),
        sites={site: _result(record, site, one) for site, one in record.sites.items()},
        declined=record.declined,
        missing=record.missing,
        measures={name: within(value) for name, value in record.measures.items()},
    )


def newest_result(state: RoundsState, reports: Mapping[str, Report], site: str) -> tuple[int, SiteResult | None]:
    """The newest numbers of a site that count, and their round; (0, None) where there are none in what is kept.

    `reports`: RoundsState.reports(), of the open round.
    """
    if site in reports and site in state.plans:
        return state.round, _of_report(reports[site], state.plans[site].rank)
    for record in reversed(state.history):
        if site in record.sites:
            return record.round, _result(record, site, record.sites[site])
    return 0, None


def _result(record: RoundRecord, site: str, one: SiteRecord) -> SiteResult:
    combined = record.measures.get(f"drift.{site}")
    screened = record.screening.sites.get(site) if record.screening else None
    return _of_report(one.update.report, one.rank).model_copy(
        update={
            "weight": one.weight,
            "model_drift": within(one.drift.model),
            "performance_drift": within(one.drift.performance),
            "semantic_drift": one.drift.semantic,
            "combined_drift": None if combined is None else within(combined),
            "findings": screened.findings if screened else (),
        }
    )


def _of_report(report: Report, rank: int) -> SiteResult:
    return SiteResult(
        rank=rank,
        notes=report.notes,
        loss_before=report.loss_before,
        loss_after=report.loss_after,
        score_before=_score(report.scores_before),
        score_after=_score(report.scores_after),
        update_norm=report.update_norm,
    )


def _score(scores: Scores) -> float | None:
    return scores.headline if scores else None
