# SPDX-License-Identifier: Apache-2.0
"""Training after a federation, by one site for itself alone, and the scoring of what comes of it."""

from __future__ import annotations

from dataclasses import replace

from ..federation import Given, Plan
from ..federation.fitted import further, lasting
from ..lora import Adapter
from .engines import Engine, SiteJob


def trained_on(engine: Engine, site: str, plan: Plan, given: Given, steps: int | None, epochs: float = 1.0) -> Adapter:
    """The adapter after `steps` steps from `given` with the site's training notes or, without them, so many epochs, and
    otherwise as `plan` trains. Raises UserFacingError.
    """
    training = lasting(plan.training, epochs, steps)
    (result,) = engine.train([SiteJob(site, further(training, given, plan.seed), given)])
    return Adapter.from_blob(result.blobs["adapter"])


def scoring_job(site: str, plan: Plan, given: Given, adapter: Adapter) -> SiteJob:
    """The job that scores `adapter` in the place of the one that was given."""
    scored = replace(given, start=adapter)
    return SiteJob(site, further(lasting(plan.training, 1), scored, plan.seed).evaluation(), scored)
