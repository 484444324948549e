# SPDX-License-Identifier: Apache-2.0
"""Drift, worked by hand from the formulas in guide/method-adaptive_fedlora.md."""

from __future__ import annotations

import pytest

from fedmed_desktop.bounds import LARGEST_SCALAR
from fedmed_desktop.federation import Report
from fedmed_desktop.federation.drift import Drift, divergence, measure_drift, model_drift, performance_drift
from fedmed_desktop.federation.methods.method import normalised
from fedmed_desktop.federation.plan import References
from fedmed_desktop.federation.rank import Steps, continuous_rank, drift_number, quantile_share, smoothed, snapped


def report(update_norm: float, start_norm: float, loss: float | None) -> Report:
    return Report(notes=1, update_norm=update_norm, start_norm=start_norm, loss_before=loss)


def test_that_model_drift_is_the_update_against_global_norm_and_median_update() -> None:
    assert model_drift(3.0, 4.0, 2.0) == pytest.approx(0.5)
    assert model_drift(0.0, 4.0, 2.0) == 0.0
    assert model_drift(5.0, 0.0, 5.0) == pytest.approx(1.0)
    assert model_drift(0.0, 0.0, 0.0) == 0.0  # a federation that has not moved


def test_that_performance_drift_is_the_relative_gap_and_never_negative() -> None:
    assert performance_drift(1.5, 1.0) == pytest.approx(0.5)
    assert performance_drift(0.5, 1.0) == 0.0
    assert performance_drift(0.0, 0.0) == 0.0


def test_that_a_first_round_is_measured_against_its_own_median_and_mean_loss() -> None:
    reports = {"A": report(1.0, 3.0, 1.0), "B": report(2.0, 3.0, 2.0), "C": report(6.0, 3.0, 4.0)}
    drifts, references = measure_drift(reports, {"A": 0.5, "B": 0.25, "C": 0.25}, None)
    assert references == References(median_update_norm=2.0, loss=2.0)
    assert drifts["A"].model == pytest.approx(1 / 5)
    assert drifts["C"].model == pytest.approx(6 / 5)
    assert [drifts[site].performance for site in "ABC"] == [0.0, 0.0, pytest.approx(1.0)]


def test_that_the_largest_losses_there_can_be_do_not_stop_the_round() -> None:
    reports = {f"{number}": report(1.0, 1.0, LARGEST_SCALAR) for number in range(13)}
    weights = normalised({site: 5.0 + 3 * at for at, site in enumerate(reports)})
    assert sum(weights[site] * LARGEST_SCALAR for site in sorted(weights)) > LARGEST_SCALAR
    _, references = measure_drift(reports, weights, None)
    assert references.loss == LARGEST_SCALAR


def test_that_the_reference_loss_remembers_earlier_rounds_and_the_median_does_not() -> None:
    reports = {"A": report(1.0, 1.0, 1.0), "B": report(3.0, 1.0, 3.0)}
    before = References(median_update_norm=100.0, loss=4.0)
    drifts, references = measure_drift(reports, {"A": 0.5, "B": 0.5}, before)
    assert references.loss == pytest.approx(0.7 * 4.0 + 0.3 * 2.0)
    assert references.median_update_norm == 2.0
    assert drifts["B"].model == pytest.approx(3 / 3)
    assert drifts["B"].performance == 0.0


def test_that_a_site_without_a_loss_counts_as_zero_loss() -> None:
    drifts, references = measure_drift({"A": report(1.0, 1.0, None)}, {"A": 1.0}, None)
    assert references.loss == 0.0 and drifts["A"].performance == 0.0


# -- one number of three, and its rank ------------------------------------------------------------------------------


def test_that_the_divergence_is_jensen_and_shannons_to_base_two() -> None:
    assert divergence({"a": 1.0}, {"b": 1.0}) == 1.0
    assert divergence({"a": 0.3, "b": 0.7}, {"a": 0.3, "b": 0.7}) == 0.0
    # M = (3/4, 1/4): half of (log2(2/3) + log2(2)) / 2 = 0.2075, and half of log2(4/3) = 0.4150
    half = {"a": 0.5, "b": 0.5}
    assert divergence(half, {"a": 1.0}) == pytest.approx(0.1038 + 0.2075, abs=1e-4)
    assert divergence({"a": 1.0}, half) == divergence(half, {"a": 1.0})


def test_that_a_drift_is_divided_by_its_past_quantile() -> None:
    # 95 % of 4 intervals lie at 3.8, between 4 and 5
    assert quantile_share(2.4, [5, 1, 4, 2, 3], 0.95) == pytest.approx(2.4 / 4.8)
    assert quantile_share(4.9, [5, 1, 4, 2, 3], 0.95) == 1.0
    assert quantile_share(0.0, [0.0, 0.0], 0.95) == 0.0
    assert quantile_share(0.1, [0.0] * 99 + [0.1], 0.95) == 1.0  # the first that moves at all


def test_that_the_number_is_the_weighted_mean_of_what_is_known() -> None:
    past = [[1, 2, 3, 4, 5], [0, 0, 0.5], [1.0]]
    weights = (0.4, 0.3, 0.3)
    # 2.4 / 4.8 = 0.5; 95 % of 2 intervals lie at 1.9: 0.45, and 0.09 / 0.45 = 0.2; 0.8 / 1
    drift = Drift(model=2.4, performance=0.09, semantic=0.8)
    assert drift_number(drift, past, weights, 0.95) == pytest.approx(0.4 * 0.5 + 0.3 * 0.2 + 0.3 * 0.8)
    unknown = Drift(model=2.4, performance=0.09)
    assert drift_number(unknown, [*past[:2], []], weights, 0.95) == pytest.approx((0.4 * 0.5 + 0.3 * 0.2) / 0.7)
    assert drift_number(unknown, [*past[:2], []], (0, 0, 1), 0.95) is None


def test_that_smoothing_begins_with_the_first_value() -> None:
    values, smooth = [0.5, 1.0, 0.0], None
    worked = [0.5, 0.7 * 0.5 + 0.3 * 1.0, 0.7 * 0.65]  # 0.5, 0.65, 0.455
    for value, expected in zip(values, worked, strict=True):
        smooth = smoothed(smooth, value, 0.7)
        assert smooth == pytest.approx(expected)


GRID = (4, 8, 16, 32)


@pytest.mark.parametrize(
    ("rank", "cap", "expected"),
    [(16, None, 16), (12, None, 16), (1, None, 4), (64, None, 32), (32, 16, 16), (32, 12, 8), (4, 3, 3), (16, 64, 16)],
)
def test_that_a_rank_lies_on_the_grid_and_within_the_cap(rank: int, cap: int | None, expected: int) -> None:
    assert snapped(rank, GRID, cap) == expected


def test_that_a_step_needs_a_drift_beyond_either_threshold() -> None:
    steps = Steps(GRID, raise_above=0.6, lower_below=0.3)
    assert [steps.next_rank(8, drift) for drift in (0.61, 0.6, 0.3, 0.29)] == [16, 8, 8, 4]
    assert (steps.next_rank(32, 1.0), steps.next_rank(4, 0.0)) == (32, 4)
    assert (steps.next_rank(16, 1.0, cap=16), steps.next_rank(3, 1.0, cap=3), steps.next_rank(32, 0.5, cap=8)) == (
        16,
        3,
        8,
    )
    less = Steps(GRID, 0.6, 0.3, "less")
    assert [less.next_rank(8, drift) for drift in (0.61, 0.5, 0.29)] == [4, 8, 16]


def test_that_the_continuous_rule_snaps_up() -> None:
    # 4 + 28 D: 4, 4.28, 18, 32; with gamma 2 a half is 4 + 28 / 4 = 11
    assert [continuous_rank(drift, GRID, 1.0) for drift in (0.0, 0.01, 0.5, 1.0)] == [4, 8, 32, 32]
    assert continuous_rank(0.5, GRID, 2.0) == 16
    assert continuous_rank(0.9, GRID, 1.0, "less") == 8 and continuous_rank(1.0, GRID, 1.0, cap=20) == 16
