# SPDX-License-Identifier: Apache-2.0
"""SCAFFOLD: the coordinator's c against a plain loop, what sites are asked, and that it mends what it is there for."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation import Report
from fedmed_desktop.federation.combine import Combination
from fedmed_desktop.federation.methods import Scaffold
from fedmed_desktop.federation.objectives import ControlVariate
from fedmed_desktop.federation.plan import TrainingSettings
from fedmed_desktop.federation.spec import checked_spec
from fedmed_desktop.lora import Adapter, Module
from fedmed_desktop.wording import told
from tests.parts.federation import INITIAL, LORA
from tests.parts.method import START, adapter, closed, near, opening, spec_of

ALL = "ABCDE"


def vector(one: Adapter) -> np.ndarray:
    """All numbers of both factors."""
    return np.concatenate([x.astype(np.float64).ravel() for m in one.values() for x in (m.B, m.A)])


def as_adapter(numbers: np.ndarray) -> Adapter:
    modules, at = {}, 0
    for name, like in INITIAL.items():
        b, a = like.B.size, like.A.size
        modules[name] = Module(
            numbers[at : at + b].reshape(like.B.shape).astype(np.float32),
            numbers[at + b : at + b + a].reshape(like.A.shape).astype(np.float32),
            like.scale,
        )
        at += b + a
    return Adapter(modules)


@settings(max_examples=20)
@given(st.lists(st.sets(st.sampled_from(ALL), min_size=1), min_size=1, max_size=5), st.data())
def test_that_c_is_a_plain_loops_over_rounds_in_which_few_of_all_sites_answer(
    answering: list[set[str]], data: st.DataObject
) -> None:
    spec, expected, control = spec_of("scaffold"), np.zeros(vector(INITIAL).shape), None
    for number, sites in enumerate(answering, start=1):
        changes = {site: adapter(1000 * number + ord(site), LORA.rank) for site in sites}
        expected = expected + sum(vector(change) for change in changes.values()) / len(ALL)
        given = {site: adapter(number + ord(site), LORA.rank) for site in data.draw(st.permutations(sorted(sites)))}
        notes = {site: ord(site) for site in sites}
        outcome = closed(
            spec,
            given,
            {site: Report(notes=n) for site, n in notes.items()},
            control=control,
            controls={site: changes[site] for site in data.draw(st.permutations(sorted(sites)))},
            sites=ALL,
            number=number,
        )
        control = outcome.control
        assert control is not None and near(vector(control), expected)
        mean = sum(notes[site] * vector(given[site]) for site in sites) / sum(notes.values())
        assert near(vector(outcome.adapter), np.asarray(mean))
        assert control.ranks == outcome.adapter.ranks and control.shapes == outcome.adapter.shapes


def test_that_c_stays_the_mean_of_all_c_k_when_a_site_joins_late() -> None:
    """Each site's c_k is the sum of its changes; D and E join after the second round, and have given nothing before."""
    spec, kept = spec_of("scaffold"), {site: np.zeros(vector(INITIAL).shape) for site in ALL}
    control, state = None, {}
    for number, joined in enumerate(("ABC", "ABC", ALL, ALL), start=1):
        changes = {site: adapter(100 * number + ord(site), LORA.rank) for site in joined}
        kept |= {site: kept[site] + vector(change) for site, change in changes.items()}
        given = {site: adapter(number + ord(site), LORA.rank) for site in joined}
        outcome = closed(
            spec, given, control=control, controls=changes, sites=joined, number=number, method_state=state,
            reports=dict.fromkeys(joined, Report(notes=1)),
        )  # fmt: skip
        control, state = outcome.control, outcome.state
        assert control is not None
        assert near(vector(control), np.asarray(sum(kept[site] for site in joined) / len(joined)))


def test_that_no_order_of_arrival_changes_a_bit_of_c() -> None:
    given = {site: adapter(ord(site), LORA.rank) for site in "ABC"}
    changes = {site: adapter(10 * ord(site), LORA.rank) for site in "ABC"}
    results = {
        closed(spec_of("scaffold"), dict(order), control=START, controls={s: changes[s] for s, _ in order}).control
        for order in itertools.permutations(given.items())
    }
    assert len(results) == 1


def test_that_absurd_changes_do_not_stop_the_federation() -> None:
    huge = INITIAL.map(lambda m: Module(np.full_like(m.B, 3e38), np.full_like(m.A, -3e38), m.scale))
    given = {site: adapter(ord(site), LORA.rank) for site in "AB"}
    outcome = closed(spec_of("scaffold"), given, control=huge, controls={"A": huge, "B": huge}, sites="AB")
    assert outcome.control is not None and np.isfinite(vector(outcome.control)).all()


# -- sites in numpy: loss_i = sum of h_i (x - m_i)^2 / 2, each with another curvature and another optimum -------------

CURVATURES = {"A": 1.0, "B": 4.0, "C": 9.0}
RATE, STEPS = 0.05, 20


def optimum(site: str) -> np.ndarray:
    return np.random.default_rng(ord(site)).normal(size=vector(INITIAL).shape)


def local(site: str, x: np.ndarray, correction: np.ndarray) -> np.ndarray:
    y = x
    for _ in range(STEPS):
        y = y - RATE * (CURVATURES[site] * (y - optimum(site)) + correction)
    return y


def federated(method: str, form: str, rounds: int) -> np.ndarray:
    parameters = {"form": form} if method == "scaffold" else {}
    training = TrainingSettings(steps=STEPS, optimizer="sgd")
    spec = spec_of(method, parameters, training=training)
    kept = {site: np.zeros(vector(INITIAL).shape) for site in CURVATURES}
    outcome = Combination(INITIAL, 0.0)
    for number in range(1, rounds + 1):
        x = vector(outcome.adapter)
        c = vector(outcome.control) if outcome.control is not None else 0 * x
        after: dict[str, Adapter] = {}
        changes: dict[str, Adapter] = {}
        for site in CURVATURES:
            y = local(site, x, c - kept[site] if method == "scaffold" else 0 * x)
            mean_gradient = CURVATURES[site] * (x - optimum(site))
            new = mean_gradient if form == "gradient" else kept[site] - c + (x - y) / (STEPS * RATE)
            after[site], changes[site], kept[site] = as_adapter(y), as_adapter(new - kept[site]), new
        outcome = closed(
            spec, after, dict.fromkeys(after, Report(notes=1)), outcome.adapter, control=outcome.control,
            controls=changes if method == "scaffold" else None, number=number,
        )  # fmt: skip
    return vector(outcome.adapter)


@pytest.mark.parametrize("form", ["gradient", "sgd"])
def test_that_it_reaches_the_common_optimum_that_fedavg_misses_where_sites_differ(form: str) -> None:
    common = sum(h * optimum(site) for site, h in CURVATURES.items()) / sum(CURVATURES.values())
    missed = np.abs(federated("fedavg", form, 40) - common).max()
    assert missed > 0.1
    assert np.abs(federated("scaffold", form, 40) - common).max() < 1e-3 * missed


# -- what sites are asked, and what is refused ------------------------------------------------------------------------


def test_that_a_change_is_asked_for_and_c_travels_from_the_second_round_on() -> None:
    first = Scaffold().plan(opening(1))["A"]
    assert first.objective == (ControlVariate(form="gradient", control=None),)
    assert first.parts == {"adapter", "control"} and first.blobs == (INITIAL.sha256,)
    later = Scaffold(form="sgd").plan(opening(2, control=START.sha256))["A"]
    assert later.variate == ControlVariate(form="sgd", control=START.sha256)
    assert set(later.blobs) == {INITIAL.sha256, START.sha256}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"method": {"name": "scaffold", "form": "sgd"}}, "methods.scaffold_needs_sgd"),
        ({"combine": "product"}, "methods.scaffold_needs_factors"),
        ({"combine": "stack"}, "methods.scaffold_needs_factors"),
    ],
)
def test_that_what_does_not_fit_is_refused_with_its_reason(changes: Mapping[str, object], code: str) -> None:
    data = spec_of("scaffold").model_dump(mode="json")
    with pytest.raises(UserFacingError) as caught:
        checked_spec(data | changes, "federation.toml")
    assert caught.value.code == code and "scaffold" in told(caught.value)


def test_that_each_form_runs_with_the_optimiser_that_it_is_right_for() -> None:
    sgd = TrainingSettings(steps=1, optimizer="sgd")
    assert spec_of("scaffold", {"form": "sgd"}, training=sgd).method == Scaffold(form="sgd")
    for training in (sgd, TrainingSettings(steps=1)):
        assert spec_of("scaffold", training=training).method == Scaffold()
