# SPDX-License-Identifier: Apache-2.0
"""Means, pairs and intervals of an experiment agree with what is worked out by hand."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fedmed_desktop.scores import Counts
from fedmed_desktop.storage.results import ResultRow, SiteRow, read_results
from tests.parts.results import METHODS, ROUNDS, write_experiment

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    from fedmed_desktop.lab.compare import Line, Setting, compare, labels_of, settings_of
    from fedmed_desktop.lab.curves import curves_of
    from fedmed_desktop.lab.differences import RESAMPLES, bootstrap, is_beyond_chance


def row(label: str, seed: int, loss: float, **more: object) -> ResultRow:
    values: dict[str, object] = {"sites_count": 2, "round": 1, "worst_loss": loss + 0.5}
    return ResultRow(cell=f"{label}-{seed}", label=label, method="fedavg", seed=seed, loss=loss, **(values | more))


def site(name: str, loss: float, **more: object) -> SiteRow:
    return SiteRow(site=name, notes=10, loss=loss, **more)  # type: ignore[arg-type]


def lines(*rows: ResultRow) -> dict[str, Line]:
    (found,) = compare(rows)
    return {line.label: line for line in found.lines}


# -- means


def test_that_means_and_deviations_are_those_of_the_last_round_over_seeds() -> None:
    rows = [
        row("a", 0, 9.0, round=0, bytes=0),
        row("a", 0, 1.0, round=2, bytes=100, f1=0.5, worst_f1=0.1),
        row("a", 1, 2.0, round=2, bytes=300, f1=0.7, worst_f1=0.3),
        row("a", 2, 6.0, round=2, bytes=200, f1=0.6, worst_f1=0.2),
    ]
    line = lines(*rows)["a"]
    assert (line.loss.mean, line.loss.sd, line.loss.seeds) == (3.0, pytest.approx(7**0.5), 3)
    assert line.worst_loss.mean == 3.5
    assert line.f1 is not None and line.f1.mean == pytest.approx(0.6) and line.f1.sd == pytest.approx(0.1)
    assert line.worst_f1 is not None and line.worst_f1.mean == pytest.approx(0.2)
    assert (line.bytes.mean, line.bytes.sd) == (200.0, 100.0)
    assert line.loss_difference is None and line.drift is None and line.rank is None


def test_that_a_single_seed_has_no_deviation_and_no_interval() -> None:
    parts = (site("x", 1.0), site("y", 2.0))
    line = lines(row("a", 0, 1.5, sites=parts), row("b", 0, 3.0, sites=parts))["a"]
    assert line.loss.sd is None
    found = line.loss_difference
    assert found is not None and found.baseline == "b"
    assert found.absolute == -1.5 and found.relative == -0.5
    assert found.interval is None and found.relative_interval is None and found.is_better is None


def test_that_f1_that_some_seed_lacks_is_told_as_not_measured() -> None:
    line = lines(row("a", 0, 1.0, f1=0.5), row("a", 1, 1.0))["a"]
    assert line.f1 is None


def test_that_drift_and_rank_are_means_over_sites_and_rounds() -> None:
    first = (site("x", 1.0, model_drift=0.2, performance_drift=0.4, rank=8), site("y", 1.0, model_drift=0.4, rank=16))
    second = (site("x", 1.0, model_drift=0.1, performance_drift=0.3, semantic_drift=0.5, rank=32), site("y", 1.0))
    rows = [row("a", 0, 1.0, round=0), row("a", 0, 1.0, round=1, sites=first), row("a", 0, 1.0, round=2, sites=second)]
    rows.append(rows[-1].model_copy(update={"split": "test"}))
    line = lines(*rows)["a"]
    assert line.drift is not None and line.drift.mean == pytest.approx((0.35 + 0.3) / 2)
    assert line.rank is not None and line.rank.mean == pytest.approx((12 + 32) / 2)
    assert line.last_rank is not None and line.last_rank.mean == 32


# -- the best baseline


def test_that_the_best_of_the_others_is_the_baseline_and_of_the_best_the_second() -> None:
    found = lines(*(row(label, seed, loss) for label, loss in (("a", 3.0), ("b", 1.0), ("c", 2.0)) for seed in (0, 1)))
    assert {label: line.loss_difference.baseline for label, line in found.items() if line.loss_difference} == {
        "a": "b",
        "b": "c",
        "c": "b",
    }


def test_that_of_f1_the_greatest_is_the_best() -> None:
    found = lines(*(row(label, 0, 1.0, f1=f1) for label, f1 in (("a", 0.3), ("b", 0.1), ("c", 0.2))))
    difference = found["a"].f1_difference
    assert difference is not None and difference.baseline == "c" and difference.absolute == pytest.approx(0.1)


def test_that_only_federated_methods_are_baselines() -> None:
    found = lines(row("a", 0, 3.0), row("b", 0, 2.0), row("all", 0, 1.0, kind="centralised"))
    assert found["a"].loss_difference is not None and found["a"].loss_difference.baseline == "b"
    assert found["all"].loss_difference is not None and found["all"].loss_difference.baseline == "b"
    assert found["all"].loss_difference.relative == -0.5


def test_that_the_baseline_is_chosen_on_the_seeds_that_both_have() -> None:
    """b is worse on the seeds of a; that it did well on another one is nothing to compare with."""
    rows = [row("a", 0, 1.0), row("a", 1, 1.0), row("b", 0, 2.0), row("b", 1, 2.0), row("b", 2, 0.1)]
    rows += [row("c", 0, 1.5), row("c", 1, 1.7)]
    assert (found := lines(*rows)["a"].loss_difference) is not None and found.baseline == "c"


def test_that_a_baseline_with_a_seed_less_comes_after_the_others() -> None:
    rows = [row("a", 0, 1.0), row("a", 1, 1.0), row("b", 0, 0.1), row("c", 0, 2.0), row("c", 1, 2.0)]
    assert (found := lines(*rows)["a"].loss_difference) is not None and found.baseline == "c"


# -- pairs and intervals


def test_that_few_seeds_are_paired_by_seed_and_site() -> None:
    def sites(*losses: float) -> tuple[SiteRow, ...]:
        return tuple(site(name, loss) for name, loss in zip("xy", losses, strict=True))

    rows = [
        row("a", 0, 1.0, sites=sites(1.0, 2.0)), row("a", 1, 1.0, sites=sites(3.0, 1.0)),
        row("b", 0, 2.0, sites=sites(2.0, 3.0)), row("b", 1, 2.0, sites=sites(4.0, 1.0)),
    ]  # fmt: skip
    found = lines(*rows)["a"].loss_difference
    assert found is not None and (found.paired_by, found.pairs) == ("seed and site", 4)
    assert found.absolute == -0.75 and found.relative == -0.3
    # of 4 ** 4 resamples one has the difference 0: the 2.5 % quantile is -1, the 97.5 % one -0.25
    assert found.interval == (-1.0, -0.25)
    other = lines(*rows)["b"].loss_difference
    assert other is not None and other.interval == (0.25, 1.0)
    assert found.is_better is other.is_better is None, "by seed it is -1 and -0.5, which chance may give"


def test_that_sites_of_other_names_are_not_paired() -> None:
    rows = [
        row(label, seed, loss, sites=(site(name, loss),))
        for label, name, loss in (("a", "x", 1.0), ("b", "y", 2.0))
        for seed in (0, 1)
    ]
    found = lines(*rows)["a"].loss_difference
    assert found is not None and (found.paired_by, found.pairs, found.interval) == ("seed", 2, (-1.0, -1.0))


def test_that_many_seeds_are_paired_by_seed() -> None:
    parts = (site("x", 1.0), site("y", 1.0))
    rows = [row(label, seed, 1.0 + seed, sites=parts) for label in "ab" for seed in range(5)]
    found = lines(*rows)["a"].loss_difference
    assert found is not None and (found.paired_by, found.pairs) == ("seed", 5)
    assert found.interval == (0.0, 0.0) and found.is_better is None


def test_that_few_seeds_which_disagree_on_how_much_decide_nothing_though_the_interval_leaves_out_zero() -> None:
    rows = [row("a", 0, 1.0), row("a", 1, 1.0), row("b", 0, 1.1), row("b", 1, 2.0)]
    found = lines(*rows)["a"].loss_difference
    assert found is not None and found.interval == (-1.0, pytest.approx(-0.1)) and found.is_better is None


@pytest.mark.parametrize("changes", [[0.5], [0.1, 1.0], [1.0, 1.2, 0.2], [-1.0, 1.0] * 20])
def test_that_changes_which_chance_may_give_are_not_beyond_it(changes: list[float]) -> None:
    assert not is_beyond_chance(np.array(changes))


@pytest.mark.parametrize("changes", [[1.0, 1.1], [-1.0, -1.2, -0.8], [0.2, 0.1] * 10])
def test_that_changes_which_chance_hardly_gives_are_beyond_it(changes: list[float]) -> None:
    assert is_beyond_chance(np.array(changes))


@pytest.mark.slow
def test_that_methods_which_are_alike_are_called_different_in_one_of_twenty() -> None:
    """Three seeds of three sites; half of what differs is common to the sites of a seed."""
    rng, wrong, bare = np.random.default_rng(1), 0, 0
    for _ in range(300):
        losses = 0.25 + 0.005 * (rng.normal(size=(2, 3, 1)) + rng.normal(size=(2, 3, 3)))
        rows = [
            row(label, seed, float(own.mean()), sites=tuple(map(site, "xyz", own.tolist())))
            for label, seeds in zip("ab", losses, strict=True)
            for seed, own in enumerate(seeds)
        ]  # fmt: skip
        found = lines(*rows)["a"].loss_difference
        assert found is not None and found.interval is not None
        wrong += found.is_better is not None
        bare += not found.interval[0] <= 0 <= found.interval[1]
    assert wrong <= 25 and bare > 3 * wrong, (wrong, bare)


def test_that_what_is_tested_is_what_is_told_where_sites_are_of_other_sizes() -> None:
    """x has nearly all notes. Over notes a is worse in every seed, over sites it is better."""
    rows = []
    for seed, shift in ((0, 0.0), (1, 0.001)):
        rows.append(row("a", seed, 0.95, sites=(site("x", 0.95), site("y", 0.1 + shift), site("z", 0.1))))
        rows.append(row("b", seed, 0.9, sites=(site("x", 0.9), site("y", 0.9), site("z", 0.9))))
    found = lines(*rows)["a"].loss_difference
    assert found is not None and found.absolute < 0 and found.is_better is True


def test_that_rows_of_one_split_alone_are_nothing_to_compare_with() -> None:
    rows = [row("a", 0, 1.0), row("a", 0, 1.0, split="test"), row("b", 0, 2.0, split="test"), row("c", 0, 2.0)]
    rows.append(row("c", 1, 2.0, split="test"))
    (found,) = compare(rows, "test")
    assert {line.label: line.loss_difference for line in found.lines if line.label != "c"} == {"a": None, "b": None}


def test_that_on_test_notes_the_baseline_is_the_one_that_was_best_on_validation_notes() -> None:
    rows = [row("a", 0, 3.0), row("b", 0, 1.0), row("c", 0, 2.0)]
    rows += [row(label, 0, loss, split="test") for label, loss in (("a", 3.0), ("b", 2.0), ("c", 1.0))]
    (found,) = compare(rows, "test")
    assert [line.loss_difference.baseline for line in found.lines if line.loss_difference] == ["b", "c", "b"]


def test_that_an_interval_that_holds_zero_decides_nothing() -> None:
    rows = [row("a", seed, loss) for seed, loss in enumerate((1.0, 2.0, 1.0))]
    rows += [row("b", seed, loss) for seed, loss in enumerate((2.0, 1.0, 1.5))]
    found = lines(*rows)["a"].loss_difference
    assert found is not None and found.interval == (-1.0, 1.0) and found.is_better is None


def test_that_more_f1_is_better() -> None:
    rows = [row(label, seed, 1.0, f1=f1) for label, f1 in (("a", 0.6), ("b", 0.4)) for seed in (0, 1)]
    found = lines(*rows)
    assert found["a"].f1_difference is not None and found["a"].f1_difference.is_better is True
    assert found["b"].f1_difference is not None and found["b"].f1_difference.is_better is False


@pytest.mark.parametrize("values", [[-3.0, 1.0], [0.5, -1.0, 4.0], [1.0, 2.0, 4.0, -8.0], [0.1, 0.7, 0.2, 0.4, 1.3]])
def test_that_intervals_are_those_of_all_resamples(values: list[float]) -> None:
    """All of them can be counted; with 10,000 draws the quantiles are between those of neighbouring levels."""
    baseline = np.array([10.0 + 3 * n for n in range(len(values))])
    pairs = np.stack([baseline + values, baseline], axis=1)
    every = np.array(list(itertools.product(range(len(values)), repeat=len(values))))
    change, base = np.array(values)[every].mean(axis=1), baseline[every].mean(axis=1)
    absolute, relative = bootstrap(pairs)
    assert relative is not None
    slack = 4 * np.sqrt(0.025 * 0.975 / RESAMPLES)
    for found, exact in ((absolute, change), (relative, change / base)):
        for end, level in zip(found, (0.025, 0.975), strict=True):
            levels = (max(0.0, level - slack), min(1.0, level + slack))
            low, high = np.quantile(exact, levels, method="inverted_cdf")
            assert low - 1e-12 <= end <= high + 1e-12


def test_that_two_pairs_give_their_own_values_as_ends() -> None:
    """Three resamples of two pairs: each with itself has a quarter, far more than 2.5 %."""
    absolute, relative = bootstrap(np.array([[9.0, 10.0], [11.0, 8.0]]))
    assert absolute == (-1.0, 3.0)
    assert relative == (pytest.approx(-0.1), pytest.approx(0.375))


def test_that_a_baseline_of_nothing_has_no_relative_interval() -> None:
    absolute, relative = bootstrap(np.array([[0.5, 0.0], [0.25, 0.5]]))
    assert absolute == (-0.25, 0.5) and relative is None


def test_that_the_same_rows_give_the_same_intervals(tmp_path: Path) -> None:
    rows = read_results(write_experiment(tmp_path, sites=(3,))).rows
    assert compare(rows) == compare(rows)


# -- settings, order, curves


def test_that_settings_are_told_apart_and_references_belong_to_all_of_them() -> None:
    rows = [row("a", 0, 1.0, sites_count=5, clients=3), row("a", 0, 1.0, sites_count=5), row("a", 0, 1.0)]
    rows += [row("base", 0, 9.0, kind="base", sites_count=5), row("base", 0, 9.0, kind="base", sites_count=10)]
    settings = settings_of(rows)
    assert settings == [Setting(2), Setting(5, 3), Setting(5), Setting(10)]
    assert [[line.label for line in found.lines] for found in compare(rows)] == [
        ["a"],
        ["a", "base"],
        ["a", "base"],
        ["base"],
    ]


def test_that_methods_keep_the_experiments_order_and_references_end_it(tmp_path: Path) -> None:
    rows = read_results(write_experiment(tmp_path, sites=(2,), seeds=1)).rows
    assert labels_of(rows) == (*METHODS, "centralised", "alone", "base")


def test_that_test_notes_are_compared_by_themselves(tmp_path: Path) -> None:
    rows = read_results(write_experiment(tmp_path, sites=(2,))).rows
    (validation,), (test,) = compare(rows), compare(rows, "test")
    assert {line.label for line in test.lines} == set(METHODS)
    by_label = {line.label: line.loss.mean for line in validation.lines}
    assert all(line.loss.mean == pytest.approx(by_label[line.label] + 0.04) for line in test.lines)


def test_that_what_a_site_moves_in_a_round_is_told_beside_the_whole_model() -> None:
    moved = {"bytes": 60, "model_bytes": 1000}
    one = lines(row("a", 1, 1.0, round=3, **moved), row("b", 1, 1.0, round=3, clients=None, bytes=60))
    assert one["a"].share is not None and one["a"].share.mean == pytest.approx(60 / 2 / 3 / 1000)
    assert one["b"].share is None, "of an older folder"
    asked = lines(row("a", 1, 1.0, round=3, sites_count=5, clients=2, **moved))["a"]
    assert asked.share is not None and asked.share.mean == pytest.approx(60 / 2 / 3 / 1000)


def test_that_curves_are_means_over_seeds_round_by_round() -> None:
    rows = [row("a", seed, loss, round=n) for seed, n, loss in ((0, 0, 4.0), (1, 0, 6.0), (0, 1, 1.0), (1, 1, 3.0))]
    rows.append(row("a", 0, 99.0, round=1, split="test"))
    (curve,) = curves_of(rows, Setting(2), "loss")
    assert curve.rounds.tolist() == [0, 1] and curve.mean.tolist() == [5, 2]
    assert curve.sd.tolist() == pytest.approx([2**0.5, 2**0.5]) and curve.last == 2
    (alone,) = curves_of(rows[:1], Setting(2), "loss")
    assert np.isnan(alone.sd).all()


def test_that_what_was_never_measured_has_no_curve(tmp_path: Path) -> None:
    rows = read_results(write_experiment(tmp_path, sites=(2,), seeds=2, scored=False)).rows
    assert curves_of(rows, Setting(2), "f1") == []
    drift = curves_of(rows, Setting(2), "drift")
    assert {curve.label for curve in drift} == set(METHODS)
    assert drift[0].rounds.tolist() == list(range(1, ROUNDS + 1))


def test_that_counts_make_the_f1_of_a_site() -> None:
    assert site("x", 1.0, counts=Counts(tp=1, fp=1, fn=0)).f1 == pytest.approx(2 / 3)


def test_that_comparing_loads_no_torch_and_no_matplotlib() -> None:
    code = (
        "import sys, fedmed_desktop.lab.compare, fedmed_desktop.lab.curves;"
        "print('torch' in sys.modules, 'matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == ["False", "False"]
