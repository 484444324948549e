# SPDX-License-Identifier: Apache-2.0
"""Momentum and Adam at the server, against numpy on plain vectors over several rounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest

from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation.combine import Combination, Combining
from fedmed_desktop.federation.consent import check_plan
from fedmed_desktop.federation.spec import checked_spec
from fedmed_desktop.lora import Adapter, Module
from fedmed_desktop.wording import told
from tests.parts.federation import LORA, SHAPES
from tests.parts.method import SHARES, SITES, START, adapter, closed, opening, spec_of

Vector = np.ndarray
METHODS = ("fedavgm", "fedadam")


def momentum(deltas: Sequence[Vector], beta: float = 0.9, step: float = 1.0) -> list[Vector]:
    """Changes of x by Hsu et al. 2019: each round's is the sum of all deltas, faded."""
    return [step * sum(beta ** (t - s) * deltas[s] for s in range(t + 1)) for t in range(len(deltas))]


def adam(
    deltas: Sequence[Vector], step: float = 1e-3, beta1: float = 0.9, beta2: float = 0.99, tau: float = 1e-3
) -> list[Vector]:
    """Changes of x by Reddi et al. 2021, with both means written out as sums."""
    changes = []
    for t in range(len(deltas)):
        m = sum((1 - beta1) * beta1 ** (t - s) * deltas[s] for s in range(t + 1))
        v = beta2 ** (t + 1) * tau**2 + sum((1 - beta2) * beta2 ** (t - s) * deltas[s] ** 2 for s in range(t + 1))
        changes.append(np.asarray(step * m / (np.sqrt(v) + tau)))
    return changes


def vector(one: Adapter) -> Vector:
    """All numbers of the factors, in float64."""
    values = [getattr(one[name], factor).astype(np.float64).ravel() for name in SHAPES for factor in "AB"]
    return np.concatenate(values)


def rounds(method: str, parameters: Mapping[str, object], count: int) -> list[tuple[Vector, Combination]]:
    """Of each round: the mean change of the sites, and its end. Each begins with the one before, and its state."""
    start, control, found = START, None, list[tuple[Vector, Combination]]()
    for number in range(1, count + 1):
        updates = {site: adapter(10 * number + at, LORA.rank) for at, site in enumerate(SITES)}
        outcome = closed(spec_of(method, parameters), updates, start=start, control=control, number=number)
        mean = sum(SHARES[site] * vector(updates[site]) for site in SITES)
        found.append((mean - vector(start), outcome))
        start, control = outcome.adapter, outcome.control
    return found


@pytest.mark.parametrize(
    ("method", "parameters", "oracle"),
    [
        ("fedavgm", {}, momentum),
        ("fedavgm", {"momentum": 0.5, "server_step": 0.3}, lambda deltas: momentum(deltas, 0.5, 0.3)),
        ("fedadam", {}, adam),
        (
            "fedadam",
            {"server_step": 0.02, "beta1": 0.5, "beta2": 0.8, "tau": 0.1},
            lambda deltas: adam(deltas, 0.02, 0.5, 0.8, 0.1),
        ),
    ],
)
def test_that_each_round_steps_as_the_papers_say(
    method: str, parameters: dict[str, object], oracle: Callable[[list[Vector]], list[Vector]]
) -> None:
    found = rounds(method, parameters, 4)
    before = vector(START)
    expected = oracle([delta for delta, _ in found])
    for (delta, outcome), change in zip(found, expected, strict=True):
        after = vector(outcome.adapter)
        assert np.abs(after - before - change).max() <= 1e-5 * np.abs(delta).max()
        stretch = np.linalg.norm(after - before) / np.linalg.norm(delta)
        assert outcome.measures["server_stretch"] == pytest.approx(stretch, rel=1e-4)
        before = after


def test_that_without_momentum_it_is_fedavg_and_a_whole_federation_ends_up_further_with_it() -> None:
    (_, outcome), *_ = rounds("fedavgm", {"momentum": 0.0}, 1)
    updates = {site: adapter(10 + at, LORA.rank) for at, site in enumerate(SITES)}
    mean = closed(spec_of("fedavg"), updates)
    assert np.allclose(vector(outcome.adapter), vector(mean.adapter), atol=1e-6)
    assert outcome.residual == mean.residual


def test_that_the_state_is_an_adapter_as_large_as_the_optimiser_s_and_no_plan_names_it() -> None:
    for method, parts in (("fedavgm", 1), ("fedadam", 2)):
        (_, outcome), *_ = rounds(method, {}, 1)
        assert outcome.control is not None and set(outcome.control.ranks.values()) == {parts * LORA.rank}
        spec = spec_of(method)
        asked = spec.method.plan(opening(2, control=outcome.control.sha256, training=spec.training))
        for plan in asked.values():
            check_plan(plan, spec)
            assert plan.parts == {"adapter"} and outcome.control.sha256 not in plan.model_dump_json()


@pytest.mark.parametrize("method", METHODS)
def test_that_sites_which_learn_nothing_move_nothing_at_first(method: str) -> None:
    outcome = closed(spec_of(method), dict.fromkeys(SITES, START))
    assert outcome.adapter == START and "server_stretch" not in outcome.measures


@pytest.mark.parametrize("method", METHODS)
def test_that_no_site_s_absurd_numbers_stop_the_federation(method: str) -> None:
    huge = START.map(lambda m: Module(np.full_like(m.B, 3e38), np.full_like(m.A, -3e38), m.scale))
    first = closed(spec_of(method), dict.fromkeys(SITES, huge))
    second = closed(spec_of(method), dict.fromkeys(SITES, START), start=first.adapter, control=first.control, number=2)
    assert second.control is not None and np.isfinite(vector(second.adapter)).all()


@pytest.mark.parametrize("method", METHODS)
def test_that_a_start_or_a_state_of_another_rank_begins_anew(method: str) -> None:
    """As after a federation that began with an adapter of another rank."""
    updates = {site: adapter(at, LORA.rank) for at, site in enumerate(SITES)}
    other = adapter(9, LORA.rank + 1)
    assert closed(spec_of(method), updates, start=other).adapter == closed(spec_of("fedavg"), updates).adapter
    fresh = closed(spec_of(method), updates)
    assert closed(spec_of(method), updates, control=other, number=2).adapter == fresh.adapter


@pytest.mark.parametrize("combine", ["product", "stack"])
@pytest.mark.parametrize("method", METHODS)
def test_that_a_product_or_a_stack_is_refused_in_words(method: str, combine: Combining) -> None:
    with pytest.raises(UserFacingError) as caught:
        checked_spec(spec_of(method).model_dump() | {"combine": combine}, "federation.toml")
    assert "keep means of how A and B have changed" in told(caught.value)


@pytest.mark.parametrize(
    ("method", "wrong"),
    [
        ("fedavgm", {"momentum": 1.0}),
        ("fedavgm", {"server_step": 0}),
        ("fedadam", {"tau": 0}),
        ("fedadam", {"beta2": 1.0}),
        ("fedadam", {"server_step": float("nan")}),
    ],
)
def test_that_parameters_out_of_bounds_are_refused(method: str, wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        spec_of(method, wrong)
