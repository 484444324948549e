# SPDX-License-Identifier: Apache-2.0
"""Screening of a round's updates before they are combined: unusual norms, outlying directions, Krum's choice.

It reads the updates once, module by module, for the inner products of their changes in product space (lora.geometry);
everything else follows from that matrix of n x n numbers. So it sees what an update does to the model, whatever basis
its factors are in: an attacker gains nothing by moving between B and A. Memory holds one module of each site.

- Norm: |u_i| against `norm_ratio` times a median, of the last updates that counted or of the round's own. (inferred)
- Cosine: of u_i with the mean of the others' directions, by their weights. Directions, since one huge update would
  otherwise decide what is usual and make outliers of all the rest. (inferred)
- Clipping: u_i c / |u_i|, c being that bound. Where factors are averaged, they go back towards the start until the
  change that they make has this norm. (inferred)
- Krum (Blanchard et al. 2017): the score of an update is the sum of its squared distances to its n - f - 2 nearest
  others. It is proven for n >= 2f + 3 and for sites whose notes are alike; sites with unusual notes lose by it.
  Multi-Krum takes the m = n - f - 2 with the smallest scores.

Nothing is left out in silence: each site's part is in `Screening`, which the record keeps. None of this protects
against a site that lies a little in each round, or that claims more notes than it has.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Final

from ..arrays import np, one_thread
from ..bounds import within
from ..lora.algebra import CutSource, module_cut
from ..lora.geometry import PartWay, path_products, products_of_changes
from ..lora.module import rank_in
from ..standing import Finding
from .actions import Combine
from .combine import Sources, Term
from .screened import Check, Screening, ScreeningSettings, SiteScreening
from .spec import FederationSpec

if TYPE_CHECKING:
    from ..lora.algebra import Float64

# Fewer norms than these have no median worth the name, and of two sites neither is the outlier. Inferred.
_LEAST: Final = 3


def screen(due: Combine, spec: FederationSpec, sources: Sources) -> Screening | None:
    """Looks at all updates; None where the specification wants no screening."""
    settings = spec.screening
    if not settings.is_on:
        return None
    # By hash, like the combination: which site is called what, or came first, decides nothing.
    order = sorted(due.updates, key=lambda site: (due.updates[site].sha256, site))
    with one_thread():  # these figures go into the ledger, so their bits must not vary
        updates = [(due.by_module[site], sources.updates[site]) for site in order]
        products = products_of_changes(sources.start, updates, spec.cut)
        found = judged(order, products, due.weights, due.recent_norms, settings)
        if spec.combine != "factors":
            return found
        # Factors that go a share of their way change the model by another share.
        shares = {
            site: _share(sources, site, found.limit, due, spec)
            for site, one in found.sites.items()
            if one.share < 1 and found.limit is not None
        }
    sites = {site: one.model_copy(update={"share": shares.get(site, 1.0)}) for site, one in found.sites.items()}
    return found.model_copy(update={"sites": sites})


def terms_of(
    weights: Mapping[str, float], due: Combine, spec: FederationSpec, sources: Sources, screening: Screening | None
) -> list[Term]:
    """The updates as they are to be combined with these weights: without those not chosen, clipped ones shortened."""
    terms = []
    for site, update in due.updates.items():
        found, source = screening.sites[site] if screening else None, sources.updates[site]
        if found is not None and not found.counts:
            continue
        term = Term(update.sha256, weights[site], source)
        if found is None or found.share == 1:
            terms.append(term)
        elif spec.combine == "factors":
            terms.append(replace(term, source=PartWay(source, sources.start, found.share, spec.cut)))
        else:
            began = CutSource(sources.start, due.by_module[site], spec.cut)
            terms.append(replace(term, weight=term.weight * found.share))
            terms.append(Term(due.start, term.weight * (1 - found.share), began))
    return terms


def judged(
    order: Sequence[str],
    products: Float64,
    weights: Mapping[str, float],
    recent: Sequence[float],
    settings: ScreeningSettings,
) -> Screening:
    """The verdict from the inner products of the sites' changes, whose rows are in this order."""
    norms = np.sqrt(np.diagonal(products))
    too_few: list[Check] = []
    limit = norm_limit(norms.tolist(), recent, settings) if settings.looks_at_norms else None
    if settings.looks_at_norms and limit is None:
        too_few.append("norm")
    above = norms > (math.inf if limit is None else limit)
    shares = np.ones(len(order))
    if limit is not None and settings.clips:
        np.divide(limit, norms, out=shares, where=above)

    cosines: list[float | None] = [None] * len(order)
    if settings.cosine > -1 and len(order) >= _LEAST:
        cosines = cosines_to_others(products, [weights[site] for site in order])
    elif settings.cosine > -1:
        too_few.append("cosine")

    scores: list[float | None] = [None] * len(order)
    chosen = set(range(len(order)))
    if settings.robust in ("krum", "multi_krum"):
        if len(order) >= 2 * settings.faulty + 3:
            found = krum_scores(products * np.outer(shares, shares), settings.faulty)
            many = 1 if settings.robust == "krum" else len(order) - settings.faulty - 2
            chosen = set(sorted(range(len(order)), key=lambda i: (found[i], i))[:many])
            scores = list(found)
        else:
            too_few.append("krum")
    if settings.robust == "trimmed_mean" and not trimmed_each_end(len(order), settings.trim):
        too_few.append("trimmed_mean")

    used = _used([weights[site] for site in order], chosen, settings, too_few)
    sites = {}
    for i, site in enumerate(order):
        cosine, score = cosines[i], scores[i]
        findings: list[Finding] = []
        if above[i]:
            findings.append("clipped" if settings.clips else "norm")
        if cosine is not None and cosine < settings.cosine:
            findings.append("cosine")
        if i not in chosen:
            findings.append("not_chosen")
        sites[site] = SiteScreening(
            norm=within(float(norms[i])),
            cosine=cosine,
            score=None if score is None else within(score),
            share=float(shares[i]),
            weight=used[i],
            findings=tuple(findings),
        )
    bound = None if limit is None else within(limit)
    return Screening(sites=dict(sorted(sites.items())), limit=bound, too_few=tuple(too_few))


def norm_limit(norms: Sequence[float], recent: Sequence[float], settings: ScreeningSettings) -> float | None:
    """`norm_ratio` times the median of the last norms that counted, else of the round's own; None with too few."""
    known = list(recent)[-settings.window :]
    usual = known if len(known) >= _LEAST else norms
    return settings.norm_ratio * median(usual) if len(usual) >= _LEAST else None


def cosines_to_others(products: Float64, weights: Sequence[float]) -> list[float | None]:
    """Cosine of each change with the weighted mean of the others' directions; None where one of the two is zero."""
    norms = np.sqrt(np.diagonal(products))
    unit = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
    directions = products * np.outer(unit, unit)
    found: list[float | None] = []
    for i in range(len(weights)):
        others = np.array([0.0 if j == i else weight for j, weight in enumerate(weights)])
        size = math.sqrt(max(0.0, float(others @ directions @ others)))
        along = float(directions[i] @ others)
        found.append(max(-1.0, min(1.0, along / size)) if size > 0 and norms[i] > 0 else None)
    return found


def krum_scores(products: Float64, faulty: int) -> list[float]:
    """Sum of the squared distances of each change to its n - f - 2 nearest others."""
    squares = np.diagonal(products)
    distances = np.maximum(squares[:, None] + squares[None, :] - 2 * products, 0.0)
    nearest = len(squares) - faulty - 2
    return [float(np.sort(np.delete(distances[i], i))[:nearest].sum()) for i in range(len(squares))]


def trimmed_each_end(updates: int, trim: float) -> int:
    """Number of values that are left out at each end of a coordinate; 0 where so few updates allow for none."""
    return int(trim * updates + 1e-9)  # 0.2 of 5 is 1, whatever its last bit says


def _used(
    weights: Sequence[float], chosen: set[int], settings: ScreeningSettings, too_few: Sequence[Check]
) -> list[float]:
    """Weights of those that are combined, which sum to 1: the method's own, but all alike in a trimmed mean."""
    if settings.robust == "trimmed_mean" and "trimmed_mean" not in too_few:
        return [1 / len(weights)] * len(weights)
    if len(chosen) == len(weights):
        return list(weights)
    whole = math.fsum(weights[i] for i in sorted(chosen))
    return [
        (weight / whole if whole > 0 else 1 / len(chosen)) if i in chosen else 0.0 for i, weight in enumerate(weights)
    ]


def _share(sources: Sources, site: str, limit: float | None, due: Combine, spec: FederationSpec) -> float:
    """Share t of the way from the start at which factors change the model by `limit`: |t P + t^2 Q| = limit."""
    assert limit is not None
    straight = mixed = curved = 0.0
    for name in sorted(sources.start.names):
        start = module_cut(sources.start.module(name), rank_in(due.by_module[site], name), spec.cut)
        p, m, q = path_products(start, sources.updates[site].module(name))
        straight, mixed, curved = straight + p, mixed + m, curved + q
    low, high = 0.0, 1.0
    for _ in range(60):  # to the last bit of a share
        middle = (low + high) / 2
        size = middle**2 * straight + 2 * middle**3 * mixed + middle**4 * curved
        low, high = (middle, high) if size <= limit**2 else (low, middle)
    return low
