# SPDX-License-Identifier: Apache-2.0
"""A site answers plans of the method that it has joined under, and no others."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fedmed_desktop.federation import Plan, Rounds, TrainingSettings
from fedmed_desktop.federation.consent import check_plan
from fedmed_desktop.federation.inputs import RoundCombined, SiteJoined, UpdateArrived
from fedmed_desktop.federation.methods import METHODS
from fedmed_desktop.federation.objectives import ControlVariate
from fedmed_desktop.federation.spec import FederationSpec
from fedmed_desktop.federation.update import Part, Report, Update
from tests.parts.method import spec_of
from tests.parts.told import told_as

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HASH = "a" * 64


def all_plans(spec: FederationSpec) -> list[Plan]:
    """Of every round, the evaluation too, of two sites, one of which bears rank 2 at most."""
    rounds, found = Rounds(spec), []
    for site, cap in (("A", 2), ("B", None), ("C", None)):
        rounds.handle(SiteJoined(site=site, rank_cap=cap), NOW)
    while True:
        plans = dict(rounds.state.plans)
        found += plans.values()
        if rounds.state.phase == "evaluating":
            return found
        for site, plan in plans.items():
            parts = {name: Part(sha256=HASH, size=1) for name in plan.parts}
            report = Report(notes=3, shared_loss=1.0, histogram={"Cardiology": 3}, update_norm=1.0)
            rounds.handle(UpdateArrived(site=site, update=Update(round=plan.round, parts=parts, report=report)), NOW)
        rounds.handle(
            RoundCombined(
                round=rounds.state.round,
                adapter=HASH,
                frozen=HASH if spec.method.name in ("fedex", "flora") else None,
                control=HASH if spec.method.name == "scaffold" else None,
                residual=0.0,
                norm=1.0,
                effective_rank=1.0,
            ),
            NOW,
        )


def test_that_no_more_rank_is_borne_than_the_site_has_named() -> None:
    spec = spec_of("fedavg")
    plan = all_plans(spec)[0].model_copy(update={"rank": 8})
    check_plan(plan, spec, 8)
    with told_as("In round 1 the coordinator asks for rank 8, but this site's limit is 4"):
        check_plan(plan, spec, 4)


@pytest.mark.parametrize("method", METHODS)
def test_that_every_plan_of_the_method_itself_is_answered(method: str) -> None:
    spec = spec_of(method, rounds=4)
    plans = all_plans(spec)
    assert {plan.round for plan in plans} == {1, 2, 3, 4, 5}
    for plan in plans:
        check_plan(plan, spec)
        check_plan(Plan.model_validate_json(plan.model_dump_json()), spec)


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        ("fedsa", {"own": ()}),
        ("fedopal", {"objective": ()}),
        ("ffa", {"freeze": ()}),
        ("fedavg", {"objective": (ControlVariate(form="gradient"),)}),
        ("fedavg", {"training": TrainingSettings(steps=999)}),
        ("fedrot", {"rotation": None}),
        ("fedavg", {"round": 99}),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_that_a_plan_that_asks_for_something_else_is_refused(method: str, changes: dict[str, object]) -> None:
    spec = spec_of(method)
    plan = all_plans(spec)[0]
    check_plan(plan, spec)
    with told_as("specification"):
        check_plan(plan.model_copy(update=changes), spec)
