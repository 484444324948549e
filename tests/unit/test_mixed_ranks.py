# SPDX-License-Identifier: Apache-2.0
"""Sites of different ranks in one average of factors: all of them work in the global adapter's own basis."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation import Plan, Report, Rounds
from fedmed_desktop.federation.check import check_norm
from fedmed_desktop.federation.inputs import SiteJoined
from fedmed_desktop.federation.work import Given
from fedmed_desktop.lora import Adapter, algebra
from tests.parts.federation import LORA, SHAPES, moved, result_of
from tests.parts.method import closed, spec_of
from tests.parts.told import told_as

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    from fedmed_desktop.training.starting import for_training


NOW = datetime(2026, 1, 1, tzinfo=UTC)
RANK = 4
FIRST = Adapter.initial(SHAPES, RANK, LORA.scale, seed=7)


def plans(combine: str) -> dict[str, Plan]:
    """Of the first round of three sites, one of which bears half the rank."""
    spec = spec_of("fedavg", combine=combine, lora=LORA.model_copy(update={"rank": RANK, "alpha": RANK * LORA.scale}))
    rounds = Rounds(spec)
    for site, cap in (("A", None), ("B", RANK // 2), ("C", None)):
        rounds.handle(SiteJoined(site=site, rank_cap=cap), NOW)
    return rounds.state.plans


def begun(plan: Plan, start: Adapter) -> Adapter:
    return for_training(plan, Given(start)).shared


@pytest.mark.parametrize("start", [FIRST, moved(FIRST, 3)], ids=["the first one", "a trained one"])
def test_that_an_average_of_factors_in_which_nobody_trained_is_the_start_where_all_have_it(start: Adapter) -> None:
    given = {site: begun(plan, start) for site, plan in plans("factors").items()}
    assert {max(one.ranks.values()) for one in given.values()} == {RANK, RANK // 2}
    outcome = closed(spec_of("fedavg", combine="factors"), given, start=start)
    for name, module in outcome.adapter.items():
        assert np.allclose(module.A[: RANK // 2], start[name].A[: RANK // 2], rtol=0, atol=1e-7)
        assert np.allclose(module.B[:, : RANK // 2], start[name].B[:, : RANK // 2], rtol=0, atol=1e-7)


def test_that_a_product_begins_from_the_best_approximation() -> None:
    start = moved(FIRST, 3)
    there = begun(plans("product")["B"], start)
    for name, module in there.items():
        best, dropped = algebra.module_truncate(start[name], RANK // 2)
        assert algebra.module_distance(module, best) < 1e-6
        assert algebra.module_distance(module, start[name]) == pytest.approx(dropped**0.5)


@pytest.mark.parametrize("combine", ["factors", "product"])
def test_that_the_coordinator_measures_from_where_a_smaller_site_began(combine: str) -> None:
    plan, start = plans(combine)["B"], moved(FIRST, 3)
    after = moved(begun(plan, start), 5)
    report = result_of(plan, begun(plan, start), after).update.report
    check_norm(start, after.items(), report, plan.cut)
    with told_as("norm"):
        check_norm(start, after.items(), Report(notes=1, update_norm=report.update_norm * 1.01), plan.cut)


@pytest.mark.parametrize("how", ["best", "first"])
def test_that_a_cut_to_no_smaller_rank_changes_nothing(how: algebra.Cut) -> None:
    module = next(iter(FIRST.values()))
    assert algebra.module_cut(module, RANK, how) is module
    assert algebra.module_cut(module, 99, how) is module
    with pytest.raises(UserFacingError):
        algebra.module_cut(module, 0, how)
