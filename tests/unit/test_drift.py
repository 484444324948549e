# SPDX-License-Identifier: Apache-2.0
"""Drift, worked by hand from methods 1.2 (a) and (b)."""

from __future__ import annotations

import pytest

from fedmed_desktop.federation import Report
from fedmed_desktop.federation.drift import measure_drift, model_drift, performance_drift
from fedmed_desktop.federation.plan import References


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
