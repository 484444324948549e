# SPDX-License-Identifier: Apache-2.0
"""Settings and findings of screening, as values for the specification, the record and the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal

from pydantic import Field

from ..bounds import Number, Scalar, within
from ..standing import Finding
from .values import Frozen

Robust = Literal["mean", "trimmed_mean", "krum", "multi_krum"]
Check = Literal["norm", "cosine", "trimmed_mean", "krum"]


class ScreeningSettings(Frozen):
    """Screening of a round's updates before they are combined. All of it is off by default; guide/screening.md.

    `norm_ratio`: an update is unusual whose norm is more than this many times the median of the last `window` that
    counted, or of the round's own while fewer than three have; 0: no bound. `cosine`: an outlier is an update whose
    cosine to the weighted mean direction of the others is below this; -1: none is. `action`: "tell" shows what is
    unusual and combines it as it is; "clip" also shortens an update beyond the norm's bound to the bound.

    `robust`: "mean" is the method's own weighting. "krum" takes the one update that is nearest to its neighbours,
    "multi_krum" the mean of the n - f - 2 such ones, where `faulty`, f, is the number of sites that may be wrong.
    "trimmed_mean" leaves out the share `trim` of the largest and of the smallest values of each coordinate.
    """

    norm_ratio: Scalar = 0.0
    window: int = Field(20, ge=1, le=10_000)
    cosine: float = Field(-1.0, ge=-1, le=1)
    action: Literal["tell", "clip"] = "tell"
    robust: Robust = "mean"
    faulty: int = Field(1, ge=1, le=1000)
    trim: float = Field(0.2, gt=0, lt=0.5)

    @property
    def looks_at_norms(self) -> bool:
        return self.norm_ratio > 0

    @property
    def is_on(self) -> bool:
        return self.looks_at_norms or self.cosine > -1 or self.robust != "mean"

    @property
    def clips(self) -> bool:
        return self.looks_at_norms and self.action == "clip"


def misfit(settings: ScreeningSettings, method: str) -> str | None:
    """Error code if updates of this method cannot be screened so, else None."""
    if not settings.is_on:
        return None
    if method in _OWN_FACTORS:
        return "screening.own_factors"
    if method in _CONTROLS and (settings.clips or settings.robust != "mean"):
        return "screening.control_variates"
    if settings.robust == "trimmed_mean" and method not in _ONE_FACTOR:
        return "screening.trimmed_needs_one_factor"
    return None


_OWN_FACTORS: Final = ("fedsa",)  # half of each model stays at its site, so no update has a size or a direction
_CONTROLS: Final = ("scaffold",)  # a variate that came with an update left out would no longer be the site's own
_ONE_FACTOR: Final = ("ffa", "rolora")  # in each round the other factor is the same everywhere


class SiteScreening(Frozen):
    """One update as it was screened.

    `norm` is that of its change in product space, `cosine` None where it was not looked at, `score` Krum's (the smaller
    the nearer), `trimmed` the share of its values that the trimmed mean left out. `share`: of its change that was
    combined, below 1 where it was clipped. `weight`: with which it was combined, 0 where it was not chosen.
    """

    norm: Scalar
    cosine: Number | None = None
    score: Scalar | None = None
    trimmed: Scalar | None = None
    share: Scalar = 1.0
    weight: Scalar
    findings: tuple[Finding, ...] = ()

    @property
    def counts(self) -> bool:
        return "not_chosen" not in self.findings


class Screening(Frozen):
    """Findings of screening in a round. `limit`: bound of norms, if one was in force.

    `too_few`: checks that the specification asks for and that a round with so few updates cannot make; then the
    updates are combined without.
    """

    sites: dict[str, SiteScreening]
    limit: Scalar | None = None
    too_few: tuple[Check, ...] = ()

    @property
    def weights(self) -> dict[str, float]:
        return {site: one.weight for site, one in self.sites.items()}

    @property
    def counted_norms(self) -> list[float]:
        """Norms of the changes that were combined, as they were."""
        counted = [one for one in self.sites.values() if one.counts]
        return [self.limit if self.limit is not None and "clipped" in one.findings else one.norm for one in counted]


def recent_norms(screenings: Iterable[Screening | None], window: int) -> tuple[float, ...]:
    """The last norms that counted, from the screenings of the rounds so far, the latest last."""
    found = [norm for each in screenings if each for norm in each.counted_norms]
    return tuple(within(norm) for norm in found)[-window:]


def weights_of(screening: Screening | None, planned: Mapping[str, float]) -> dict[str, float]:
    """The weights with which updates were combined."""
    return screening.weights if screening else dict(planned)
