# SPDX-License-Identifier: Apache-2.0
"""What a site demands of a plan: that it asks for what the specification says which the site has joined under.

The specification is what a site's operators know of a federation before it begins. A coordinator that is not honest
could else have a factor offered that is a site's own (FedSA-LoRA's B), or a gradient that the method has no use for.
"""

from __future__ import annotations

from ..errors import UserFacingError
from .methods import Opening
from .plan import ControlVariate, Objective, Orthogonal, Plan
from .spec import FederationSpec


def check_plan(plan: Plan, spec: FederationSpec, rank_cap: int | None = None) -> None:
    """Raises UserFacingError where the plan trains, keeps, shares or corrects otherwise than the method does.

    Adapters, ranks, seeds and references are the coordinator's to choose, within the site's own `rank_cap`.
    """
    if rank_cap is not None and plan.rank > rank_cap:
        raise UserFacingError("plan.rank_over_cap", round=plan.round, rank=plan.rank, cap=rank_cap)
    expected = _usual(plan, spec)
    if _asked(plan) != _asked(expected):
        raise UserFacingError("plan.not_of_spec", round=plan.round, method=spec.method.name)


def _usual(plan: Plan, spec: FederationSpec) -> Plan:
    """The method's plan for any site in this round."""
    opening = Opening(
        round=plan.round,
        rounds=spec.rounds,
        start=plan.start,
        rank=spec.lora.rank,
        training=spec.training,
        seeds={"": plan.seed},
    )
    usual = spec.method.plan(opening)[""]
    return usual.evaluation() if plan.round > spec.rounds else usual


def _asked(plan: Plan) -> Plan:
    """The plan without what differs between sites, and between rounds that the method does not tell apart."""
    terms: list[Objective] = []
    for term in plan.objective:
        if isinstance(term, ControlVariate):
            terms.append(term.model_copy(update={"control": None}))
        else:
            terms.append(term.model_copy(update={"rank": 1}) if isinstance(term, Orthogonal) else term)
    free = {"frozen": None, "rank": 1, "cut": "best", "references": None, "objective": tuple(terms)}
    return plan.model_copy(update=free)
