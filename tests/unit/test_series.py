# SPDX-License-Identifier: Apache-2.0
"""The numbers behind the Monitor, against plain references."""

from __future__ import annotations

import csv
import math
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmed_desktop import events
from fedmed_desktop.desktop.charts.columns import Columns
from fedmed_desktop.desktop.charts.scales import (
    linear_ticks,
    log_ticks,
    mapped,
    nearest,
    number,
    padded,
    robust_range,
    tick_words,
    time_ticks,
    time_words,
)
from fedmed_desktop.desktop.monitor.figures import FIELDS, table_of
from fedmed_desktop.desktop.monitor.files import write_csv
from fedmed_desktop.desktop.monitor.series import Series
from fedmed_desktop.desktop.work.curves import Curves
from fedmed_desktop.scores import Counts, Scores, TaskScores
from tests.parts.federation import small_spec
from tests.parts.monitor import entry, moment, record, run, scored, standing, step
from tests.parts.told import told_as

NAN = float("nan")


def folded(*told: object) -> Curves:
    curves = Curves()
    for event in told:
        curves.fold(event)  # type: ignore[arg-type]
    return curves


def plain_ema(values: list[float], weight: float) -> list[float]:
    """Bias-corrected average as its definition has it: weights w^0, w^1, .. back from each value, normed to one."""
    shown = []
    for end in range(len(values)):
        seen = [v for v in values[: end + 1] if not math.isnan(v)]
        shares = [weight**back for back in range(len(seen))]
        mean = sum(s * v for s, v in zip(shares, reversed(seen), strict=True)) / sum(shares) if seen else NAN
        shown.append(NAN if math.isnan(values[end]) else mean)
    return shown


# -- columns -----------------------------------------------------------------------------------------------------------


def test_that_columns_keep_every_value_over_many_doublings() -> None:
    columns = Columns("a", "b")
    for value in range(1000):
        columns.append(a=value)
    assert columns["a"].tolist() == list(range(1000))
    assert np.isnan(columns["b"]).all()


def test_that_a_row_can_be_put_before_others_and_has_no_value_of_its_neighbours() -> None:
    columns = Columns("a", "b")
    columns.append(a=1, b=10)
    columns.append(a=3, b=30)
    columns.insert(1, a=2)
    assert columns["a"].tolist() == [1, 2, 3]
    assert math.isnan(columns["b"][1])


def test_that_forgotten_rows_leave_nothing_behind() -> None:
    columns = Columns("a", "b")
    columns.append(a=1, b=1)
    columns.truncate(0)
    columns.append(a=2)
    assert math.isnan(columns["b"][0])


def test_that_rows_at_the_end_and_in_between_leave_nothing_behind() -> None:
    columns = Columns("a", "b")
    columns.append(a=0, b=0)
    columns.extend(a=np.arange(1.0, 200.0))
    assert columns["a"].tolist() == list(range(200)) and np.isnan(columns["b"][1:]).all()
    columns.keep(100, np.arange(100) % 2 == 0)
    assert columns["a"].tolist() == [*range(100), *range(100, 200, 2)]
    columns.append(b=1)
    assert math.isnan(columns["a"][-1])


# -- many at once ------------------------------------------------------------------------------------------------------

TOLD = st.lists(
    st.one_of(
        st.builds(
            lambda number, at, loss: step(at, number, loss=loss),
            st.integers(1, 3),
            st.integers(1, 12),
            st.one_of(st.floats(0, 10), st.just(NAN)),
        ),
        st.builds(scored, st.integers(1, 3), st.sampled_from(["before", "after"])),
    ),
    max_size=60,
)


@given(TOLD, st.integers(0, 60))
def test_that_many_at_once_are_as_one_after_the_other(told: list[events.Event], cut: int) -> None:
    one, many = folded(*told), folded(*told[:cut])
    many.fold_many(told[cut:])
    assert one.current == many.current and len(one) == len(many)
    np.testing.assert_array_equal(table_of(one).moments, table_of(many).moments)
    np.testing.assert_array_equal(table_of(one).values, table_of(many).values)
    for weight in ("0", "0.6", "0.9"):
        for axis in ("step", "time"):
            np.testing.assert_allclose(
                Series(one).training(axis, weight), Series(many).training(axis, weight), rtol=1e-12
            )


def long_round(number: int, steps: int) -> list[events.Event]:
    first = step(1, number, steps)
    return [first.model_copy(update={"step": at, "loss": 1 / at, "time": moment(number, at, steps)})
            for at in range(1, steps + 1)]  # fmt: skip


def test_that_long_averages_at_once_are_those_of_their_definition() -> None:
    told = [step(at, loss=NAN if at % 7 == 0 else None) for at in range(1, 301)]
    many = Curves()
    many.fold_many(told)
    for weight in ("0.6", "0.9"):
        np.testing.assert_allclose(
            Series(many).training("step", weight)[1], plain_ema([e.loss for e in told], float(weight))
        )


@pytest.mark.parametrize("way", ["live", "restarted"])
def test_that_of_closed_rounds_an_even_selection_is_kept_without_gaps(way: str) -> None:
    told = [*long_round(1, 2000), *long_round(2, 2000), *long_round(3, 700)]
    curves = folded(*told) if way == "live" else Curves()
    if way == "restarted":
        curves.fold_many(told)
    kept = [1, *range(4, 2001, 4)]
    x, loss = Series(curves).training("step")
    expected = [*kept, *(2000 + at for at in kept), *range(4001, 4701)]
    assert x.tolist() == expected
    assert np.isfinite(loss).all(), "what was left out is no gap"
    assert curves.round_starts().tolist() == [0, 2000, 4000] and curves.current == (3, 700, 700)


def test_that_what_a_journal_has_left_of_a_round_is_no_gap_and_what_is_missing_is() -> None:
    told = [e for e in long_round(1, 2000) if e.step == 1 or (e.step % 4 == 0 and not 800 < e.step < 900)]  # type: ignore[union-attr]
    curves = Curves()
    curves.fold_many([*told, *long_round(2, 3)])
    x, loss = Series(curves).training("step")
    assert x[np.isnan(loss)].tolist() == [899.0]


def test_that_a_long_past_is_taken_in_at_once() -> None:
    told = [event for number in range(1, 101) for event in long_round(number, 1000)]
    began = time.process_time()
    Curves().fold_many(told)
    # 0.1 s on a quiet machine (measured: see its docstring); one by one they take 1.6 s
    assert time.process_time() - began < 0.5


# -- steps -------------------------------------------------------------------------------------------------------------


def test_that_nothing_is_there_before_the_first_step() -> None:
    curves = Curves()
    assert curves.is_empty and len(curves) == 0
    assert math.isnan(Series(curves).latest("loss"))
    assert Series(curves).boundaries("time") == [] and len(table_of(curves)) == 0


def test_that_steps_are_counted_through_all_rounds() -> None:
    curves = folded(*run(rounds=3, steps=5))
    x, loss = Series(curves).training("step")
    assert x.tolist() == list(range(1, 16))
    assert np.isfinite(loss).all()
    assert Series(curves).boundaries("step") == [(1, 0.0), (2, 5.0), (3, 10.0)]
    assert curves.current == (3, 5, 5)


def test_that_time_is_counted_from_the_first_measurement() -> None:
    curves = folded(scored(1, "before", 5), step(1, steps=5), step(2, steps=5))
    assert Series(curves).training("time")[0].tolist() == [1.0, 2.0]
    assert Series(curves).validation("time")[0].tolist() == [0.0]


def test_that_a_clock_that_was_set_back_does_not_fold_the_line_over() -> None:
    curves = folded(step(1, time=moment(1, 60, 9)), step(2, time=moment(1, 2, 9)), step(3, time=moment(1, 90, 9)))
    assert (np.diff(Series(curves).training("time")[0]) >= 0).all()


def test_that_a_resumed_training_replaces_the_steps_that_it_repeats() -> None:
    curves = folded(*(step(n, loss=1.0) for n in range(1, 81)), *(step(n, loss=2.0) for n in range(51, 61)))
    x, loss = Series(curves).training("step")
    assert x.tolist() == list(range(1, 61))
    assert loss.tolist() == [1.0] * 50 + [2.0] * 10
    straight = folded(*(step(n, loss=1.0) for n in range(1, 51)), *(step(n, loss=2.0) for n in range(51, 61)))
    for weight in ("0.6", "0.9"):
        assert Series(curves).training("step", weight)[1] == pytest.approx(Series(straight).training("step", weight)[1])


def test_that_a_federation_that_begins_anew_from_an_earlier_round_replaces_the_later_ones() -> None:
    curves = folded(*run(rounds=3, steps=5), step(1, 2, 5), step(2, 2, 5))
    assert Series(curves).training("step")[0].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert Series(curves).boundaries("step") == [(1, 0.0), (2, 5.0)]


def test_that_steps_that_never_arrived_are_a_gap() -> None:
    curves = folded(step(1, loss=1.0), step(2, loss=1.0), step(6, loss=3.0))
    x, loss = Series(curves).training("step")
    assert x.tolist() == [1, 2, 5, 6]
    assert math.isnan(loss[2]) and loss[3] == 3.0
    assert math.isnan(Series(curves).training("step", "0.9")[1][2])
    assert [row[1] for row in table_of(curves).as_rows()] == ["1", "2", "6"]


def test_that_a_loss_that_is_no_number_is_a_gap_and_spoils_no_average() -> None:
    losses = [2.0, NAN, 1.0, 0.5]
    curves = folded(*(step(n + 1, loss=loss) for n, loss in enumerate(losses)))
    assert Series(curves).training("step", "0.6")[1] == pytest.approx(plain_ema(losses, 0.6), nan_ok=True)


@settings(max_examples=40)
@given(st.lists(st.one_of(st.floats(0, 100), st.just(NAN)), min_size=1, max_size=60), st.sampled_from(["0.6", "0.9"]))
def test_that_smoothing_is_the_bias_corrected_average(losses: list[float], weight: str) -> None:
    curves = folded(*(step(n + 1, loss=loss) for n, loss in enumerate(losses)))
    assert Series(curves).training("step", weight)[1] == pytest.approx(plain_ema(losses, float(weight)), nan_ok=True)  # type: ignore[arg-type]
    assert Series(curves).training("step", "0")[1] == pytest.approx(losses, nan_ok=True)


# -- rounds ------------------------------------------------------------------------------------------------------------


def test_that_validation_lies_where_a_round_begins_and_ends() -> None:
    curves = folded(*run(rounds=2, steps=5))
    x, loss = Series(curves).validation("step")
    assert x.tolist() == [0, 5, 5, 10]
    assert loss.tolist() == [scored(r, w, 5).loss for r in (1, 2) for w in ("before", "after")]


def test_that_drift_is_the_sites_own_until_the_coordinator_has_recorded_it() -> None:
    curves = folded(*run(rounds=2, steps=5))
    curves.fold_record(record(entry(1, model=None, steps=5), entry(2, model=0.3, steps=5)))
    x, drift = Series(curves).drift("model", "step")
    assert (x.tolist(), drift.tolist()) == ([10.0], [0.3])
    curves.fold_standing(standing(rounds=2))
    x, drift = Series(curves).drift("model", "step")
    assert (x.tolist(), drift.tolist()) == ([5, 10], pytest.approx([0.42, 0.37]))


def test_that_semantic_drift_is_the_site_s_own() -> None:
    curves = folded(*run(rounds=2, steps=5))
    curves.fold_record(record(entry(1, model=None, steps=5), entry(2, steps=5, semantic=0.14)))
    curves.fold_standing(standing(rounds=2))
    x, drift = Series(curves).drift("semantic", "step")
    assert (x.tolist(), drift.tolist()) == ([10.0], [0.14])


def test_that_what_the_coordinator_recorded_of_meaning_and_of_all_three_drifts_is_drawn() -> None:
    curves = folded(*run(rounds=1, steps=5))
    told = standing(rounds=1)
    closed = told.history[0].model_copy(update={"semantic_drift": 0.2, "combined_drift": 0.5})
    curves.fold_standing(told.model_copy(update={"history": (closed,)}))
    assert Series(curves).drift("semantic", "step")[1].tolist() == [0.2]
    assert Series(curves).drift("combined", "step")[1].tolist() == [0.5]


def test_that_what_no_method_measures_has_no_points() -> None:
    curves = folded(*run(rounds=2, steps=5))
    curves.fold_standing(standing())
    for name in ("semantic", "combined"):
        assert Series(curves).drift(name, "step")[0].size == 0


def test_that_the_rank_is_a_step_line_over_its_rounds() -> None:
    curves = folded(*run(rounds=2, steps=5))
    curves.fold_standing(standing(ranks=(8, 16)))
    x, rank = Series(curves).rank("step")
    assert (x.tolist(), rank.tolist()) == ([0, 5, 5, 10], [8, 8, 16, 16])
    assert [change[:3] for change in Series(curves).rank_changes()] == [(2, 8, 16)]
    assert Series(curves).ranks() == [4, 8, 16]


def test_that_other_sites_are_lines_without_a_name_and_with_a_gap_between() -> None:
    curves = folded(*run(rounds=2, steps=5))
    curves.fold_standing(standing(others=(4, 8)))
    x, rank = Series(curves).other_ranks("step")
    assert np.isnan(rank).sum() == 2
    assert rank[np.isfinite(rank)].tolist() == [4] * 4 + [8] * 4
    assert x[:4].tolist() == [0, 5, 5, 10]


def test_that_a_record_that_comes_late_moves_later_rounds_along() -> None:
    curves = folded(*(step(n, 2, 5) for n in range(1, 4)))
    assert Series(curves).training("step")[0].tolist() == [1, 2, 3]
    curves.fold_record(record(entry(1, steps=5)))
    assert Series(curves).training("step")[0].tolist() == [6, 7, 8]
    assert Series(curves).boundaries("step") == [(1, 0.0), (2, 5.0)]


def test_that_a_record_alone_is_something_to_draw() -> None:
    curves = Curves()
    curves.fold_record(record(entry(1, steps=5)))
    assert not curves.is_empty
    assert Series(curves).validation("step")[1].tolist() == [scored(1, "before").loss, scored(1, "after").loss]


def test_that_scores_of_the_last_scored_round_are_told_by_type() -> None:
    curves = folded(*run(rounds=2, steps=5), scored(3, "before", 5))
    number, told, is_f1 = Series(curves).last_scores()
    assert number == 3 and is_f1 and [name for name, *_ in told] == ["Drug", "Problem", "Test"]
    _, before, after = told[0]
    assert before == scored(3, "before", 5).scores["entities"].strict["drug"].f1 and math.isnan(after)


def test_that_bytes_are_counted_once_however_often_they_are_told() -> None:
    curves = folded(*run(rounds=2, steps=2), *run(rounds=2, steps=2))
    assert Series(curves).bytes_moved() == (0, 2 * 20_214_000)
    for _ in range(2):
        curves.fold_record(record(entry(1), entry(2, state="pending")))
    assert Series(curves).bytes_moved() == (16_830_000, 2 * 20_214_000)


def test_that_the_version_rises_with_what_is_drawn_and_with_nothing_else() -> None:
    curves = folded(step(1))
    before = curves.version
    curves.fold(standing())  # told by fold_standing
    assert curves.version == before
    curves.fold(step(2))
    assert curves.version > before


# -- table and file ----------------------------------------------------------------------------------------------------


def test_that_the_table_holds_every_step_and_what_was_measured_round_about_it() -> None:
    curves = folded(*run(rounds=2, steps=3))
    curves.fold_standing(standing(rounds=1))
    table = table_of(curves)
    rows = list(table.as_rows())
    assert [(row[0], row[1], row[2]) for row in rows] == [
        ("1", "0", "before training"), ("1", "1", "training"), ("1", "2", "training"), ("1", "3", "training"),
        ("1", "3", "after training"), ("2", "0", "before training"), ("2", "1", "training"), ("2", "2", "training"),
        ("2", "3", "training"), ("2", "3", "after training"),
    ]  # fmt: skip
    trained = table.values[table.moments == 1]
    assert trained[:, FIELDS.index("training_loss")].tolist() == Series(curves).training("step")[1].tolist()
    after = dict(zip(table.heading(), rows[4], strict=True))
    assert (after["drift_model"], after["rank"], after["training_loss"]) == ("0.42", "8", "")


CODES = TaskScores(strict={"code": Counts(tp=1, fp=3)})


def test_that_a_file_has_a_score_for_each_task_by_its_name() -> None:
    told = scored(1, "after", 4)
    both = Scores(tasks={**told.scores.tasks, "codes": CODES})
    curves = folded(*run(rounds=1, steps=4), told.model_copy(update={"scores": both}))
    table = table_of(curves)
    last = dict(zip(table.heading(), list(table.as_rows())[-1], strict=True))
    assert float(last["score_entities"]) == both["entities"].headline and float(last["score_codes"]) == CODES.headline
    assert [name for name in last if "score" in name or "f1" in name] == ["score_entities", "score_codes"]
    first = dict(zip(table.heading(), next(table.as_rows()), strict=True))
    assert float(first["score_entities"]) and first["score_codes"] == "", "nothing was scored before"


def test_that_the_score_of_one_task_has_its_name_only_where_the_federation_has_others() -> None:
    curves = folded(*run(rounds=1, steps=4))
    alone = table_of(curves)
    score = scored(1, "after", 4).scores.headline
    assert dict(zip(alone.heading(), list(alone.as_rows())[-1], strict=True))["f1_strict"] == repr(score)
    assert not any(name.startswith("score_") for name in alone.heading())
    curves.fold_record(record(spec=small_spec(tasks=("entities", "codes"))))
    named = table_of(curves)
    assert "f1_strict" not in named.heading() and "score_codes" not in named.heading()
    assert dict(zip(named.heading(), list(named.as_rows())[-1], strict=True))["score_entities"] == repr(score)


def test_that_a_csv_file_reads_back_to_the_same_numbers(tmp_path: Path) -> None:
    curves = folded(*run(rounds=1, steps=4))
    write_csv(table_of(curves), tmp_path / "run.csv")
    with (tmp_path / "run.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    losses = [float(row["training_loss"]) for row in rows if row["moment"] == "training"]
    assert losses == Series(curves).training("step")[1].tolist()
    assert rows[0]["validation_loss"] == repr(scored(1, "before", 4).loss)
    assert rows[1]["time"] == moment(1, 1, 4).isoformat(timespec="milliseconds")


def test_that_a_csv_file_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    with told_as("could not be saved"):
        write_csv(table_of(Curves()), tmp_path / "missing" / "run.csv")


# -- axes --------------------------------------------------------------------------------------------------------------


def test_that_the_nearest_known_value_is_read() -> None:
    x, y = np.array([0.0, 1.0, 2.0, 5.0]), np.array([10.0, NAN, 12.0, 15.0])
    assert [nearest(x, y, at) for at in (-9, 0.9, 1.1, 3.5, 3.6, 99)] == [10, 10, 12, 12, 15, 15]
    assert math.isnan(nearest(x[:0], y[:0], 1)) and math.isnan(nearest(x, y * NAN, 1))


def test_that_a_far_outlier_does_not_flatten_the_rest() -> None:
    values = np.append(np.linspace(1, 2, 400), 1000.0)
    ends = robust_range([values])
    assert ends is not None and ends[1] < 3
    assert robust_range([np.linspace(1, 2, 400)]) == pytest.approx((1, 2))


def test_that_there_is_no_range_where_nothing_is_known() -> None:
    assert robust_range([np.array([NAN, math.inf])]) is None
    assert robust_range([np.array([0.0, -1.0])], positive=True) is None


def test_that_zero_has_no_place_on_a_logarithmic_axis_and_is_a_gap() -> None:
    with np.errstate(all="raise"):
        shown = mapped(np.array([0.0, -1.0, NAN, 10.0]), "log")
    assert np.isnan(shown[:3]).all() and shown[3] == 1.0


@given(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6), st.sampled_from(["linear", "log", "rank"]))
def test_that_a_padded_range_holds_what_it_was_made_for(one: float, other: float, scale: str) -> None:
    ends = (min(one, other), max(one, other))
    low, high = padded(ends, scale, head=0.1)  # type: ignore[arg-type]
    inside = mapped(np.array(ends), scale)  # type: ignore[arg-type]
    assert low <= inside[0] and inside[1] <= high and high > low


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(2, 8))
def test_that_ticks_are_few_and_inside(low: float, height: float, most: int) -> None:
    ticks = linear_ticks(low, low + height, most)
    assert len(ticks) <= most + 1
    slack = 1e-6 * height + 2 * np.spacing(abs(low) + height)  # a tick is a float64 too
    assert all(low - slack <= tick <= low + height + slack for tick in ticks)
    for made in (time_ticks(0, height, most), log_ticks(-3, -3 + min(height, 12), most)):
        assert len(made) <= most + 1


def test_that_ticks_are_written_with_as_many_digits_as_they_need() -> None:
    assert tick_words([0, 0.5, 1]) == ["0.0", "0.5", "1.0"]
    assert tick_words([0, 50, 100]) == ["0", "50", "100"]
    assert tick_words([10**-0.0, 2, 5]) == ["1", "2", "5"]
    assert [time_words(s) for s in (0, 30, 90, 720, 5400, 7200)] == ["0", "30 s", "1:30 min", "12 min", "1 h 30", "2 h"]
    assert [number(v) for v in (NAN, 0, 1.234, 12.34, 3412.4, 0.00018)] == [
        "not measured", "0.00", "1.23", "12.3", "3,412", "1.8e-4",
    ]  # fmt: skip


def test_that_over_time_there_is_a_gap_between_rounds() -> None:
    curves = folded(*run(rounds=2, steps=3))
    x, loss = Series(curves).training("time", "0.9")
    assert x.tolist() == [1, 2, 3, 3, 244, 245, 246]
    assert np.isnan(loss).tolist() == [False, False, False, True, False, False, False]


def test_that_over_time_the_rank_holds_until_the_next_round_begins() -> None:
    curves = folded(*run(rounds=2, steps=3))
    curves.fold_standing(standing(ranks=(8, 16)))
    x, rank = Series(curves).rank("time")
    assert (x.tolist(), rank.tolist()) == ([0, 243, 243, 246], [8, 8, 16, 16])


def test_that_an_x_is_told_as_round_and_step() -> None:
    curves = folded(*run(rounds=2, steps=5))
    assert [Series(curves).step_at("step", x) for x in (-3, 5.4, 5.6, 99)] == [(1, 1), (1, 5), (2, 1), (2, 5)]
    assert Series(Curves()).step_at("step", 1) is None
    assert Series(curves).extent("step") == 10
