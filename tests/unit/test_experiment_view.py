# SPDX-License-Identifier: Apache-2.0
"""What the desktop shows of an experiment's folder, without Qt."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fedmed_desktop.desktop.experiment.comparison import MOST_LINES, Course, Sheet, short
from fedmed_desktop.desktop.experiment.files import open_experiment
from fedmed_desktop.storage.results import CellResult, ResultRow, ResultsHead, append_cell, begin_results, read_results
from tests.parts.results import METHODS, ROUNDS, write_experiment
from tests.parts.told import told_as


def column(sheet: Sheet, heading: str) -> list[str]:
    return [row[sheet.headings.index(heading)] for row in sheet.rows]


def course(courses: tuple[Course, ...], label: str) -> Course:
    return next(one for one in courses if one.label == label)


def test_that_each_setting_has_a_sheet_with_the_methods_in_order(tmp_path: Path) -> None:
    experiment = open_experiment(write_experiment(tmp_path))
    assert experiment.name == "adaptive" and experiment.subtitle == "6 methods · 3 seeds · 1 thread"
    assert [sheet.title for sheet in experiment.sheets] == ["2 sites", "3 sites", "5 sites"]
    for sheet in experiment.sheets:
        assert sheet.labels == (*METHODS, "centralised", "alone", "base")
        assert column(sheet, "Method") == list(sheet.labels)
        assert all(len(row) == len(sheet.headings) for row in sheet.rows)
    assert experiment.lacks == ""


def test_that_the_table_is_that_of_the_report(tmp_path: Path) -> None:
    from fedmed_desktop.lab.report import table
    from fedmed_desktop.storage.results import read_results

    folder = write_experiment(tmp_path, sites=(3,))
    (sheet,) = open_experiment(folder).sheets
    text = table(read_results(folder))
    for name, loss, against in zip(*(column(sheet, h) for h in ("Method", "Loss", "Against")), strict=True):
        line = next(line for line in text.splitlines() if line.strip("| *").startswith(f"{name}"))
        assert f"| {loss} |" in line and f"against {against}" in line
    assert column(sheet, "What it shows")[list(METHODS).index("adaptive_fedlora")] == "lower"
    assert column(sheet, "Difference")[0].startswith("+") and column(sheet, "95 % interval")[0].count("%") == 2


def test_that_what_nobody_measured_has_no_column(tmp_path: Path) -> None:
    (sheet,) = open_experiment(write_experiment(tmp_path, sites=(2,), seeds=1, scored=False)).sheets
    assert "F1" not in sheet.headings and "95 % interval" not in sheet.headings
    assert set(column(sheet, "What it shows")) == {"one seed, no interval"}
    assert sheet.score_by_bytes == ()


def test_that_the_mean_over_several_tasks_is_not_called_f1(tmp_path: Path) -> None:
    (one,) = open_experiment(write_experiment(tmp_path / "one", sites=(2,), seeds=1)).sheets
    experiment = open_experiment(
        write_experiment(tmp_path / "two", sites=(2,), seeds=1, tasks=("entities", "relations"))
    )
    (two,) = experiment.sheets
    assert one.score == "F1" and "F1" in one.headings and "Mean of tasks" not in one.headings
    assert two.score == "Mean of tasks" and not any("F1" in heading for heading in two.headings)
    assert column(two, "Mean of tasks") == column(one, "F1")
    assert column(two, "Worst site's mean of tasks") == column(one, "Worst site's F1")
    assert any(remark.endswith(": Entities F1, Modifiers F1.") for remark in experiment.remarks)


def test_that_one_seed_is_told_to_be_too_few_for_an_interval(tmp_path: Path) -> None:
    one = open_experiment(write_experiment(tmp_path / "one", sites=(2,), seeds=1))
    three = open_experiment(write_experiment(tmp_path / "three", sites=(2,), seeds=3))
    assert any("With one seed there is no interval" in remark for remark in one.remarks)
    assert not any("With one seed" in remark for remark in three.remarks)
    assert any("does not prove that there is none" in remark for remark in three.remarks)


def test_that_charts_have_the_rounds_and_references_are_levels(tmp_path: Path) -> None:
    (sheet,) = open_experiment(write_experiment(tmp_path, sites=(2,))).sheets
    loss = course(sheet.loss, "fedavg")
    assert loss.x.tolist() == list(range(ROUNDS + 1)) and np.isfinite(loss.sd).all()
    base = course(sheet.loss, "base")
    assert base.is_reference and base.x.tolist() == [0, ROUNDS] and base.y[0] == base.y[1]
    for courses in (sheet.drift, sheet.rank, sheet.loss_by_bytes, sheet.score_by_bytes):
        assert [one.label for one in courses] == list(METHODS)
    assert course(sheet.rank, "sa_fedlora").y.tolist()[0] == 24


def test_that_bytes_are_in_a_unit_that_fits(tmp_path: Path) -> None:
    (sheet,) = open_experiment(write_experiment(tmp_path, sites=(2,))).sheets
    moved = course(sheet.loss_by_bytes, "fedavg")
    assert sheet.unit == "MB" and moved.x[0] == 0 and moved.x[-1] == pytest.approx(31.744)
    assert (np.diff(moved.x) >= 0).all()


def test_that_failures_and_cells_to_come_are_told(tmp_path: Path) -> None:
    lacks = open_experiment(write_experiment(tmp_path, sites=(2,), failed=3, missing=4)).lacks
    assert lacks.startswith("4 of 34 cells have not run yet")
    assert "fedrot-0 has no result and is in no mean: The loss was no number in round 2." in lacks
    assert lacks.endswith("The same is true of fedrot-1; fedrot-2.")


def test_that_a_reader_is_told_what_the_words_of_the_table_mean(tmp_path: Path) -> None:
    remarks = " ".join(open_experiment(write_experiment(tmp_path, sites=(2,))).remarks)
    for words in ("Inferred: adaptive_fedlora", "base: the model before any training", "Worse than alone counts"):
        assert words in remarks
    assert "`" not in remarks and "*" not in remarks
    rows = [row for row in read_results(tmp_path).rows if row.kind == "base"]
    begin_results(tmp_path / "base", ResultsHead(experiment="base", sha256="0" * 64))
    append_cell(tmp_path / "base", CellResult(cell=rows[0].cell, rows=tuple(rows)))
    alone = " ".join(open_experiment(tmp_path / "base").remarks)
    assert "set against" not in alone and "Inferred" not in alone


def test_that_an_experiment_that_has_just_begun_has_no_sheets(tmp_path: Path) -> None:
    experiment = open_experiment(write_experiment(tmp_path, sites=(), missing=4))
    assert experiment.sheets == () and "4 of 4 cells" in experiment.lacks


def test_that_long_names_and_many_methods_are_bounded(tmp_path: Path) -> None:
    begin_results(tmp_path, ResultsHead(experiment="many", sha256="0" * 64))
    for number in range(MOST_LINES + 6):
        label = f"{number} " + "x" * 150
        rows = tuple(
            ResultRow(
                cell=label, label=label, method="fedavg", sites_count=2, seed=1, round=n, loss=1.0, worst_loss=1.0
            )
            for n in (0, 1)
        )
        append_cell(tmp_path, CellResult(cell=label, rows=rows))
    (sheet,) = (experiment := open_experiment(tmp_path)).sheets
    assert len(sheet.rows) == MOST_LINES + 6 and len(sheet.loss) == len(sheet.drawn) == MOST_LINES
    assert all(len(name) <= 40 for name in column(sheet, "Method")) and short("fedavg") == "fedavg"
    assert any(f"first {MOST_LINES} methods" in remark for remark in experiment.remarks)


def test_that_a_folder_without_an_experiment_is_a_sentence(tmp_path: Path) -> None:
    with told_as("contains no experiment"):
        open_experiment(tmp_path)


def test_that_the_lab_is_loaded_when_a_folder_is_opened_and_torch_never(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path, sites=(2,), seeds=1)
    code = (
        "import sys; from pathlib import Path\n"
        "from fedmed_desktop.desktop.experiment.files import open_experiment\n"
        "print('fedmed_desktop.lab' in sys.modules)\n"
        f"open_experiment(Path({str(folder)!r}))\n"
        "print('fedmed_desktop.lab' in sys.modules, 'torch' in sys.modules, 'matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == ["False", "True", "False", "False"]


def test_that_an_encoder_stands_beside_the_methods_without_a_loss(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path, sites=(2,), seeds=1)
    about = {"label": "encoder FedAvg", "method": "small encoder trained from scratch", "kind": "encoder"}
    row = ResultRow(
        cell="encoder", sites_count=2, seed=0, round=ROUNDS, loss=0.1, worst_loss=0.2, f1=0.3, bytes=10**7, **about
    )
    append_cell(folder, CellResult(cell="encoder", rows=(row,)))
    experiment = open_experiment(folder)
    (sheet,) = experiment.sheets
    cells = dict(zip(sheet.headings, sheet.rows[-1], strict=True))
    assert (cells["Method"], cells["Loss"], cells["Worst site"], cells["F1"]) == ("encoder FedAvg", "–", "–", "0.300")
    assert cells["MB moved"] == "10.0"
    assert "encoder FedAvg" not in {one.label for one in (*sheet.loss, *sheet.loss_by_bytes, *sheet.score_by_bytes)}
    assert any("small encoder trained from scratch" in remark for remark in experiment.remarks)
