# SPDX-License-Identifier: Apache-2.0
"""Events about the findings of screening, for the host: nothing is shortened, trimmed or left out in silence."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from .. import events
from ..standing import Finding
from .screened import Check, Screening, ScreeningSettings, SiteScreening

_FOUND: Final[dict[Finding, str]] = {
    "norm": "screening.norm",
    "clipped": "screening.clipped",
    "cosine": "screening.cosine",
    "not_chosen": "screening.not_chosen",
}
_TOO_FEW: Final[dict[Check, str]] = {
    "norm": "screening.too_few_for_norm",
    "cosine": "screening.too_few_for_cosine",
    "krum": "screening.too_few_for_krum",
    "trimmed_mean": "screening.too_few_to_trim",
}


def screened(
    settings: ScreeningSettings, round_number: int, found: Screening | None, now: datetime
) -> list[events.UpdateScreened]:
    """Every finding in each site's update, and the checks that so few updates did not allow."""
    if found is None:
        return []
    updates = len(found.sites)
    told = [
        (site, code, {**figures, "updates": updates})
        for site, one in found.sites.items()
        for code, figures in _findings(settings, found, one)
    ]
    told += [("", _TOO_FEW[check], {"updates": updates}) for check in found.too_few]
    return [
        events.UpdateScreened(time=now, site=site, round=round_number, code=code, params=params)
        for site, code, params in told
    ]


def _findings(
    settings: ScreeningSettings, found: Screening, one: SiteScreening
) -> list[tuple[str, dict[str, str | int | float]]]:
    """Codes with their figures as they are written."""
    figures = {"norm": one.norm, "limit": found.limit, "cosine": one.cosine, "least": settings.cosine}
    written: dict[str, str | int | float] = {
        name: f"{value:.4g}" for name, value in figures.items() if value is not None
    }
    told = [(_FOUND[finding], written) for finding in one.findings]
    return told + ([("screening.trimmed", {"share": f"{100 * one.trimmed:.0f}"})] if one.trimmed else [])
