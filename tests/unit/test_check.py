# SPDX-License-Identifier: Apache-2.0
"""What has passed the coordinator's checks can be combined, whatever the method weighs by."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from fedmed_desktop.federation import Plan, Report
from fedmed_desktop.federation.check import check_adapter
from fedmed_desktop.federation.methods import METHODS, usual
from fedmed_desktop.lora import Adapter, Module
from tests.parts.federation import INITIAL, LORA
from tests.parts.method import SITES, closed, spec_of
from tests.parts.told import told_as

PLAN = Plan.model_validate(
    {"round": 1, "start": INITIAL.sha256, "rank": LORA.rank, "training": {"steps": 9}, "seed": 1}
)


def wild(b: float, a: float) -> Adapter:
    return INITIAL.map(lambda m: Module(np.full_like(m.B, b), np.full_like(m.A, a), m.scale))


@pytest.mark.parametrize(("b", "a"), [(3e38, 1e-38), (1e-38, -3e38), (1.1e9, 0.0)])
def test_that_values_which_could_not_be_combined_are_refused_in_words(b: float, a: float) -> None:
    with told_as(r"values larger than 1e\+09 in .*smaller learning rate"):
        check_adapter(wild(b, a), spec_of("fedavg"), PLAN)


@pytest.mark.parametrize("method", METHODS)
def test_that_the_wildest_update_that_is_taken_can_be_combined(method: str) -> None:
    """Of two sites, that pull apart with all their might, one in a single step."""
    spec = spec_of(method, combine=usual(method))
    given = {"A": wild(1e9, -1e9), "B": wild(-1e9, -1e9), "C": INITIAL}
    for one in given.values():
        check_adapter(one, spec, PLAN)
    reports = {
        site: Report(notes=notes, supervised_tokens=notes, steps=steps, shared_loss=loss, histogram={"heart": notes})
        for site, (notes, steps, loss) in zip(SITES, ((2**53, 1, 0.0), (1, 9, 1e30), (1, 9, 1.0)), strict=True)
    }
    controls = given if method == "scaffold" else None
    outcome = closed(spec, given, reports, start=INITIAL, controls=controls)
    for (_, module), factor in product(outcome.adapter.items(), "AB"):
        assert np.isfinite(getattr(module, factor)).all()


@pytest.mark.parametrize("tau", [0.0014, 1e-6, 1e6])
def test_that_weights_next_to_nothing_are_weights_too(tau: float) -> None:
    spec = spec_of("adaptive_fedlora", {"tau": tau})
    words = ({"heart": 2**53}, {"lung": 1}, {"skin": 9})
    reports = {site: Report(notes=1, histogram=one) for site, one in zip(SITES, words, strict=True)}
    ranks = dict(zip(SITES, (1, 2, 2), strict=True))
    given = {site: Adapter.initial(INITIAL.shapes, rank, LORA.scale, seed=rank) for site, rank in ranks.items()}
    outcome = closed(spec, given, reports, start=INITIAL, ranks=ranks)
    assert outcome.adapter.ranks
