# SPDX-License-Identifier: Apache-2.0
"""A step of the server that is longer or shorter than the mean of the updates, against the dense formula."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation import Report
from fedmed_desktop.federation.combine import Combining
from fedmed_desktop.federation.spec import checked_spec
from fedmed_desktop.lora import Adapter
from fedmed_desktop.wording import told
from tests.parts.federation import LORA, SHAPES
from tests.parts.method import NOTES, SHARES, SITES, START, adapter, closed, cut, full, near, spec_of, trained

STEPPING = ["fedavg", "fedprox", "fed_medlora", "fed_medlora_plus"]
REPORTS = {site: Report(notes=NOTES[site], supervised_tokens=NOTES[site], shared_loss=0.3) for site in SITES}


def parameters(method: str, step: float) -> dict[str, object]:
    described = {"preset": "described", "measured_by": "coordinator"} if method == "fed_medlora_plus" else {}
    return described | {"server_step": step}


@settings(max_examples=10)
@given(st.floats(0.1, 4))
@pytest.mark.parametrize("method", STEPPING)
def test_that_the_step_goes_so_many_times_as_far_as_the_mean(method: str, step: float) -> None:
    adapters = trained()
    factors = closed(spec_of(method, parameters(method, step), combine="factors"), adapters, REPORTS)
    product = closed(spec_of(method, parameters(method, step), combine="product"), adapters, REPORTS)
    for name in SHAPES:
        for factor in "AB":
            begun = getattr(START[name], factor).astype(np.float64)
            mean = sum(SHARES[site] * getattr(adapters[site][name], factor).astype(np.float64) for site in SITES)
            assert near(getattr(factors.adapter[name], factor), begun + step * (mean - begun))
        x = full(START[name])
        way = np.asarray(sum(SHARES[site] * (full(adapters[site][name]) - x) for site in SITES))
        assert near(full(product.adapter[name]), cut(x + step * way, LORA.rank))


@pytest.mark.parametrize("method", STEPPING)
@pytest.mark.parametrize("combine", ["factors", "product"])
def test_that_a_step_of_one_is_the_mean_to_the_bit(method: str, combine: Combining) -> None:
    usual = {key: value for key, value in parameters(method, 1.0).items() if key != "server_step"}
    mean = closed(spec_of(method, usual, combine=combine), trained(), REPORTS)
    assert closed(spec_of(method, parameters(method, 1.0), combine=combine), trained(), REPORTS) == mean


def test_that_each_site_s_way_counts_from_what_it_began_with() -> None:
    """A site of smaller rank has lost nothing that it never had."""
    ranks = {"A": LORA.rank, "B": 1, "C": 2}
    adapters = {site: adapter(ord(site), rank) for site, rank in ranks.items()}
    spec = spec_of("fedavg", {"server_step": 2.0}, combine="product")
    outcome = closed(spec, adapters, REPORTS, ranks=ranks)
    for name in SHAPES:
        expected = sum(
            SHARES[site] * (2 * full(adapters[site][name]) - cut(full(START[name]), ranks[site])) for site in SITES
        )
        assert near(full(outcome.adapter[name]), cut(np.asarray(expected), LORA.rank))


def test_that_sites_which_learn_nothing_are_not_moved() -> None:
    same: dict[str, Adapter] = dict.fromkeys(SITES, START)
    outcome = closed(spec_of("fedavg", {"server_step": 3.0}), same, REPORTS)
    for name in SHAPES:
        assert near(full(outcome.adapter[name]), full(START[name]))


@pytest.mark.parametrize("method", STEPPING)
def test_that_it_is_refused_where_updates_are_stacked(method: str) -> None:
    spec = spec_of(method, parameters(method, 1.0), combine="stack").model_dump()
    assert checked_spec(spec, "federation.toml")
    with pytest.raises(UserFacingError) as caught:
        checked_spec(spec | {"method": {"name": method} | parameters(method, 1.5)}, "federation.toml")
    assert "server_step" in told(caught.value) and "stack starts afresh" in told(caught.value)


@pytest.mark.parametrize("step", [0, -1, 4.5, float("nan"), float("inf")])
def test_that_a_step_out_of_bounds_is_refused(step: float) -> None:
    with pytest.raises(ValueError, match="server_step"):
        spec_of("fedavg", {"server_step": step})
