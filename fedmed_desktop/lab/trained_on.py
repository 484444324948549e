# SPDX-License-Identifier: Apache-2.0
"""Training after a federation, by one site for itself alone, and the scoring of what comes of it."""

from __future__ import annotations

from dataclasses import replace

from ..federation import Given, Plan
from ..lora import Adapter
from .engines import Engine, SiteJob

_FOR_ITSELF = {"epochs": None, "privacy": None, "schedule": "round", "keep_moments": False}


def trained_on(engine: Engine, site: str, plan: Plan, given: Given, steps: int) -> Adapter:
    """The adapter after `steps` steps from `given` with the site's training notes, otherwise as `plan` trains.

    Raises UserFacingError.
    """
    training = plan.training.model_copy(update=_FOR_ITSELF | {"steps": steps})
    (result,) = engine.train([SiteJob(site, _asked(plan, given).model_copy(update={"training": training}), given)])
    return Adapter.from_blob(result.blobs["adapter"])


def scoring_job(site: str, plan: Plan, given: Given, adapter: Adapter) -> SiteJob:
    """The job that scores `adapter` in the place of the one that was given."""
    scored = replace(given, start=adapter)
    return SiteJob(site, _asked(plan, scored).evaluation(), scored)


def _asked(plan: Plan, given: Given) -> Plan:
    return Plan(
        round=plan.round,
        start=given.start.sha256,
        frozen=given.frozen.sha256 if given.frozen else None,
        rank=max(given.start.ranks.values()),
        training=plan.training.model_copy(update={"schedule": "round"}),  # no round of a federation, none of its rate
        seed=plan.seed,
    )
