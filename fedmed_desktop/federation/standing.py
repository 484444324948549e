# SPDX-License-Identifier: Apache-2.0
"""Standing of the federation for one site, derived from the rounds' state and what sites have said. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import datetime

from ..bounds import within
from ..events import Phase
from ..scores import Scores, pool
from ..standing import ClosedRound, FederationStanding, SiteWord
from .deadlines import joins_until
from .record import RoundRecord, RoundsState
from .spec import FederationSpec

# Meaning of the phases that sites report. Outcomes ("sent", "kept", "missed") are left out: the rounds say what counts,
# and an outcome reported in an earlier attempt no longer holds.
_WORDS: Mapping[Phase, SiteWord] = {
    "scoring_before": "training",
    "training": "training",
    "scoring_after": "training",
    "measuring": "training",
    "evaluating": "training",
    "paused": "paused",
    "approval": "approval",
    "uploading": "sending",
}


def standing(
    spec: FederationSpec,
    state: RoundsState,
    told: Mapping[str, tuple[int, Phase]],
    connected: Collection[str],
    quiet: Collection[datetime] = (),
) -> FederationStanding:
    """The standing now, the same for every site: without closed rounds. `told`: latest round and phase of each site.

    `quiet`: the last signs of progress of the sites that show none.
    """
    words = Counter(site_word(site, state, told.get(site), site in connected) for site in state.sites)
    return FederationStanding(
        round=min(state.round, spec.rounds),
        rounds=spec.rounds,
        attempt=state.attempt,
        phase=state.phase,
        opened=state.opened,
        closes=state.closes if state.phase in ("open", "evaluating") else None,
        sites=dict(sorted(words.items())),
        connected=sum(site in connected for site in state.sites),
        history=(),
        joins_until=joins_until(spec, state),
        paused_by_host=state.held is not None,
        quiet=len(quiet),
        quiet_since=max(quiet, default=None),
    )


def site_word(site: str, state: RoundsState, told: tuple[int, Phase] | None, connected: bool) -> SiteWord:
    """Progress of a joined site in one word. `told` counts only for the open round."""
    if site in state.updates:
        return "sent"
    if site in state.declined:
        return "kept" if state.declined[site] == "kept" else "missing"
    asked = site in state.plans
    over = state.phase in ("combining", "finished") or (state.phase == "paused" and not state.hears_answers)
    if asked and over:
        return "missing"
    if not connected:
        return "offline"
    if not asked:
        return "waiting" if state.phase in ("gathering", "finished") else "not_asked"
    if told is not None and told[0] == state.round:
        return _WORDS.get(told[1], "waiting")
    return "approval" if site in state.awaiting else "waiting"


Pooled = tuple[Scores, Scores]


def pooled_scores(record: RoundRecord) -> Pooled:
    """Validation counts before and after, over all sites that sent; the same for every site, so worth caching."""
    reports = [site.update.report for site in record.sites.values()]
    return pool(report.scores_before for report in reports), pool(report.scores_after for report in reports)


def ranks(record: RoundRecord) -> list[int]:
    """Ranks of all sites in a round, ascending; worth caching as well."""
    return sorted(one.rank for one in record.sites.values())


def closed_round(
    record: RoundRecord, site: str, pooled: Pooled | None, all_ranks: list[int] | None = None
) -> ClosedRound:
    """A closed round as this site may see it; `pooled` is None if the specification does not share scores."""
    others = list(ranks(record) if all_ranks is None else all_ranks)
    if site in record.sites:
        others.remove(record.sites[site].rank)
    own, combined = record.sites.get(site), record.measures.get(f"drift.{site}")
    screened = record.screening.sites.get(site) if record.screening else None
    return ClosedRound(
        round=record.round,
        closed=record.closed,
        sent=len(record.sites),
        scores_before=pooled[0] if pooled else None,
        scores_after=pooled[1] if pooled else None,
        residual=None if record.residual is None else within(record.residual),
        weight=own.weight if own else None,
        model_drift=within(own.drift.model) if own else None,
        performance_drift=within(own.drift.performance) if own else None,
        semantic_drift=own.drift.semantic if own else None,
        combined_drift=within(combined) if own and combined is not None else None,
        rank=own.rank if own else None,
        other_ranks=tuple(others),
        findings=screened.findings if screened else (),
        trimmed=screened.trimmed if screened else None,
    )
