# SPDX-License-Identifier: Apache-2.0
"""FedOPAL: two adapters are asked for, one is offered. Its average is FedAvg's, which test_methods checks."""

from __future__ import annotations

import pytest

from fedmed_desktop.federation.methods import FedOpal
from fedmed_desktop.federation.objectives import Orthogonal
from tests.parts.method import MIXED, closed, opening, spec_of


def test_that_a_personal_adapter_is_trained_beside_and_no_part_of_an_update_is_for_it() -> None:
    for number in (1, 3):
        plan = FedOpal().plan(opening(number))["A"]
        assert plan.objective == (Orthogonal(weight=0.5, on="weights", rank=8),)
        assert plan.parts == {"adapter"} and plan.shared == ("A", "B") and not plan.own
    term = FedOpal(weight=0, on="outputs", personal_rank=3).plan(opening())["A"].orthogonal
    assert term == Orthogonal(weight=0, on="outputs", rank=3)


def test_that_neither_adapter_is_larger_than_a_site_bears() -> None:
    plans = FedOpal().plan(opening(rank=16, caps={"A": 4, "B": 12}))
    ranks = {site: (plan.rank, plan.orthogonal.rank) for site, plan in plans.items() if plan.orthogonal}
    assert ranks == {"A": (4, 4), "B": (12, 8)}


def test_that_the_common_adapter_is_fedavgs_in_each_way_of_combining() -> None:
    for combine in ("factors", "product", "stack"):
        common = closed(spec_of("fedopal", combine=combine), MIXED)
        plain = closed(spec_of("fedavg", combine=combine), MIXED)
        assert (common.adapter, common.frozen) == (plain.adapter, plain.frozen)
        assert common.control is None and not common.state and not common.measures


@pytest.mark.parametrize("wrong", [{"weight": -0.1}, {"on": "factors"}, {"personal_rank": 0}, {"lambda": 1}])
def test_that_wrong_settings_are_named(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        FedOpal.model_validate(wrong)
