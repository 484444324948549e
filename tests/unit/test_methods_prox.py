# SPDX-License-Identifier: Apache-2.0
"""FedProx: what sites are asked to add to their loss. Its average is FedAvg's, which test_methods checks."""

from __future__ import annotations

import pytest

from fedmed_desktop.federation.methods import FedProx
from fedmed_desktop.federation.objectives import Proximal
from tests.parts.method import MIXED, closed, opening, spec_of


def test_that_every_site_is_held_near_the_start_in_every_round_by_the_strength_that_is_set() -> None:
    for number in (1, 2, 3):
        plans = FedProx().plan(opening(number, caps={"B": 1}))
        assert {plan.objective for plan in plans.values()} == {(Proximal(mu=0.01, on="factors"),)}
        assert {site: plan.rank for site, plan in plans.items()} == {"A": 2, "B": 1}
    plan = FedProx(mu=0.5, on="product").plan(opening())["A"]
    assert plan.proximal == Proximal(mu=0.5, on="product")
    assert plan.parts == {"adapter"} and plan.shared == ("A", "B")


def test_that_the_average_does_not_know_of_the_term() -> None:
    for combine in ("factors", "product", "stack"):
        held = closed(spec_of("fedprox", {"mu": 3.0, "on": "product"}, combine=combine), MIXED)
        free = closed(spec_of("fedavg", combine=combine), MIXED)
        assert (held.adapter, held.frozen) == (free.adapter, free.frozen)


@pytest.mark.parametrize("wrong", [{"mu": 0}, {"mu": -1}, {"mu": float("nan")}, {"on": "weights"}, {"tau": 1}])
def test_that_wrong_settings_are_named(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        FedProx.model_validate(wrong)
