# SPDX-License-Identifier: Apache-2.0
"""Models fitted to each site after the last round (federation.fitted), as the lab measures them."""

from __future__ import annotations

from collections.abc import Sequence

from ..federation import Given
from ..federation.fitted import FittedSettings, best_share, between
from ..storage.results import ResultRow
from .cells import Cell
from .engines import Engine, SiteJob
from .partition import LabSite
from .rows import row_of
from .simulate import Simulation, Snapshot, site_row
from .trained_on import scoring_job, trained_on


def fitted_row(
    cell: Cell, model: Simulation, engine: Engine, sites: Sequence[LabSite], settings: FittedSettings, scored: bool
) -> ResultRow | None:
    """Each site's fitted model on its own test notes, with the shares; None where no site has test notes.

    Raises UserFacingError.
    """
    tested = [site for site in sites if site.notes.test]
    found = {site.name: _fitted(model, engine, site.name, settings) for site in tested}
    if not found:
        return None
    jobs = [job for _, job in found.values()]
    measured = dict(zip(found, engine.measure(jobs, "test"), strict=True))
    rows = tuple(site_row(site, measured[site.name], None, scored) for site in tested)
    row = row_of(cell, Snapshot(model.spec.rounds, "test", measured, None, None, 0, rows), scored)
    shares = {f"share.{name}": share for name, (share, _) in found.items()}
    return row.model_copy(update={"split": "fitted", "measures": row.measures | shares})


def _fitted(model: Simulation, engine: Engine, site: str, settings: FittedSettings) -> tuple[float, SiteJob]:
    """The share that the site's validation notes ask for, and the job that scores it."""
    plan, common, frozen = model.last()
    given = Given(common, frozen)
    own = trained_on(engine, site, plan, given, settings.steps, settings.epochs)
    jobs = [scoring_job(site, plan, given, between(common, own, share)) for share in settings.shares]
    losses = [found.loss for found in engine.measure(jobs, "validation")]
    share = best_share(dict(zip(settings.shares, losses, strict=True)))
    return share, jobs[settings.shares.index(share)]
