# SPDX-License-Identifier: Apache-2.0
"""Whatever comes in, each reader refuses it in words or reads it soundly. Longer: packaging/benchmarks/fuzz.py."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.parts.fuzz_inputs import made
from tests.parts.fuzz_targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_that_honest_inputs_are_read(name: str) -> None:
    for seed in TARGETS[name].seeds:
        TARGETS[name].read(seed)


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_that_nothing_but_a_refusal_comes_of_any_input(name: str, data: st.DataObject) -> None:
    TARGETS[name].read(data.draw(made(TARGETS[name].seeds)))
