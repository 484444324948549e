# SPDX-License-Identifier: Apache-2.0
"""Check, at a site, that a plan asks for no more than the specification under which the site joined.

Otherwise a dishonest coordinator could ask for a factor that should stay at the site (FedSA-LoRA's B), or for a
gradient that the method does not use.
"""

from __future__ import annotations

from ..errors import UserFacingError
from .allotment import values_of
from .methods import Opening
from .objectives import ControlVariate, Objective, Orthogonal
from .plan import Plan
from .spec import FederationSpec


def check_plan(plan: Plan, spec: FederationSpec, rank_cap: int | None = None) -> None:
    """Raises UserFacingError if the plan differs from the method's own in what is trained, kept, shared or corrected.

    The coordinator may choose adapters, seeds, references and, up to the site's `rank_cap`, ranks; those of single
    modules take no more bytes than the one rank.
    """
    if rank_cap is not None and plan.largest_rank > rank_cap:
        raise UserFacingError("plan.rank_over_cap", round=plan.round, rank=plan.largest_rank, cap=rank_cap)
    expected = _usual(plan, spec)
    if _asked(plan) != _asked(expected) or not _ranks_fit(plan, spec):
        raise UserFacingError("plan.not_of_spec", round=plan.round, method=spec.method.name)


def _ranks_fit(plan: Plan, spec: FederationSpec) -> bool:
    """Tells whether ranks by module are of this federation's modules, where it has such, and take no more bytes."""
    if not plan.ranks:
        return True
    modules = spec.base.modules
    named = plan.importance and plan.ranks.keys() == modules.keys()
    return named and values_of(modules, plan.ranks) <= values_of(modules, plan.rank)


def _usual(plan: Plan, spec: FederationSpec) -> Plan:
    """The method's plan for any site in this round."""
    opening = Opening(
        round=plan.round,
        rounds=spec.rounds,
        start=plan.start,
        rank=spec.lora.rank,
        training=spec.training,
        seeds={"": plan.seed},
        transfer=spec.transfer,
        masking=spec.masking,
    )
    usual = spec.method.plan(opening)[""]
    return usual.evaluation() if plan.round > spec.rounds else usual


def _asked(plan: Plan) -> Plan:
    """The plan without everything that may differ between sites or rounds."""
    terms: list[Objective] = []
    for term in plan.objective:
        if isinstance(term, ControlVariate):
            terms.append(term.model_copy(update={"control": None}))
        else:
            terms.append(term.model_copy(update={"rank": 1}) if isinstance(term, Orthogonal) else term)
    free: dict[str, object] = {"frozen": None, "rank": 1, "cut": "best", "references": None, "objective": tuple(terms)}
    free["ranks"] = {}
    if plan.transfer.down:  # whatever they are, what is rebuilt from them is the start or is not used
        free["differences"] = ()
    return plan.model_copy(update=free)
