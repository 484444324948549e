# SPDX-License-Identifier: Apache-2.0
"""The lab's results on disk: whole cells survive a crash, and a folder from elsewhere is read with care."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest

from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.scores import Counts
from fedmed_desktop.storage.results import (
    CELLS_FILE,
    HEAD_FILE,
    CellResult,
    Failure,
    ResultRow,
    ResultsHead,
    SiteRow,
    append_cell,
    begin_results,
    read_results,
    write_tables,
)
from tests.parts.told import told_as

HEAD = ResultsHead(experiment="quick", sha256="a" * 64, cells=3, versions={"numpy": "2"})


def row(cell: str, number: int, **values: object) -> ResultRow:
    site = SiteRow(site="North", notes=5, loss=1.5, counts=Counts(tp=1, fp=1, fn=1), rank=4, weight=1.0)
    usual = {
        "cell": cell,
        "label": cell,
        "method": "fedavg",
        "sites_count": 1,
        "seed": 0,
        "round": number,
        "loss": 1.5,
        "worst_loss": 1.5,
        "sites": (site,),
    }
    return ResultRow.model_validate(usual | values)


def cell(name: str) -> CellResult:
    return CellResult(cell=name, rows=(row(name, 0), row(name, 1, f1=0.25, measures={"tau": 0.5})))


def test_that_cells_come_back_as_they_were_written(tmp_path: Path) -> None:
    assert begin_results(tmp_path / "out", HEAD).done == ()
    append_cell(tmp_path / "out", cell("a"))
    append_cell(tmp_path / "out", cell("b"))

    found = begin_results(tmp_path / "out", HEAD)

    assert found.done == ("a", "b")
    assert found.rows == (*cell("a").rows, *cell("b").rows)
    assert (found.experiment, found.cells, found.versions) == ("quick", 3, {"numpy": "2"})
    assert found.rows[0].sites[0].f1 == 0.5


@pytest.mark.parametrize("kept", [0, 1, 40, 70_000])
def test_that_a_torn_last_line_is_dropped_and_written_again(tmp_path: Path, kept: int) -> None:
    begin_results(tmp_path, HEAD)
    append_cell(tmp_path, cell("a"))
    whole = (tmp_path / CELLS_FILE).read_bytes()
    long = cell("b").model_copy(update={"rows": tuple(row("b", number) for number in range(400))})
    torn = long.model_dump_json().encode()[:kept]
    (tmp_path / CELLS_FILE).write_bytes(whole + torn)

    assert read_results(tmp_path).done == ("a",)
    append_cell(tmp_path, long)
    assert read_results(tmp_path).done == ("a", "b")
    assert (tmp_path / CELLS_FILE).read_bytes().startswith(whole + b'{"cell":"b"')


def test_that_a_cell_that_failed_is_told_with_its_reason(tmp_path: Path) -> None:
    begin_results(tmp_path, HEAD)
    append_cell(tmp_path, CellResult(cell="a", failure=Failure(code="training.diverged", sentence="It diverged.")))
    assert read_results(tmp_path).failed["a"].sentence == "It diverged."


def test_that_another_experiments_folder_is_refused(tmp_path: Path) -> None:
    begin_results(tmp_path, HEAD.model_copy(update={"sha256": "c" * 64}))  # which has not begun: nothing is lost
    begin_results(tmp_path, HEAD)
    append_cell(tmp_path, cell("a"))
    with told_as("another experiment") as caught:
        begin_results(tmp_path, HEAD.model_copy(update={"sha256": "b" * 64}))
    assert caught.value.code == "results.other_experiment"


def code_of(folder: Path) -> str:
    with pytest.raises(UserFacingError) as caught:
        read_results(folder)
    return caught.value.code


def test_that_what_is_no_experiment_is_refused_in_words(tmp_path: Path) -> None:
    assert code_of(tmp_path / "nowhere") == "results.no_experiment"
    assert code_of(tmp_path) == "results.no_experiment"
    begin_results(tmp_path, HEAD)
    (tmp_path / CELLS_FILE).mkdir()
    assert code_of(tmp_path) == "results.no_experiment"


def test_that_another_format_is_named(tmp_path: Path) -> None:
    (tmp_path / HEAD_FILE).write_text(json.dumps({"format": 2, "something": "else"}))
    with told_as("has format 2; this program reads format 1"):
        read_results(tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"[]\n",
        b'{"cell": "a", "rows": [{}]}\n',
        b'{"cell": "a", "more": 1}\n',
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
        cell("a").model_dump_json().replace("1.5", "NaN").encode() + b"\n",
    ],
)
def test_that_a_damaged_line_is_named_by_its_number(tmp_path: Path, line: bytes) -> None:
    begin_results(tmp_path, HEAD)
    append_cell(tmp_path, cell("a"))
    with (tmp_path / CELLS_FILE).open("ab") as file:
        file.write(line)
    with told_as("damaged in line 2") as caught:
        read_results(tmp_path)
    assert caught.value.code == "results.damaged"


def test_that_a_huge_folder_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    begin_results(tmp_path, HEAD)
    (tmp_path / CELLS_FILE).touch()
    os.truncate(tmp_path / CELLS_FILE, 2**40)
    assert code_of(tmp_path) == "results.damaged"
    os.truncate(tmp_path / CELLS_FILE, 2**27)  # one line of zeros
    assert code_of(tmp_path) == "results.damaged"
    os.truncate(tmp_path / HEAD_FILE, 2**40)
    assert code_of(tmp_path) == "results.damaged_head"


def test_that_a_damaged_head_is_told_with_what_helps(tmp_path: Path) -> None:
    begin_results(tmp_path, HEAD)
    (tmp_path / HEAD_FILE).write_text('{"format": 1,', "utf-8")
    with told_as(r"experiment.json is damaged: .* delete this file and cells.jsonl"):
        begin_results(tmp_path, HEAD)


def test_that_a_folder_of_something_else_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text("mine", "utf-8")
    with told_as(r"has a results.csv.*another folder"):
        begin_results(tmp_path, HEAD)
    assert [path.name for path in tmp_path.iterdir()] == ["results.csv"]


def test_that_a_method_may_come_to_a_folder_but_not_with_other_settings(tmp_path: Path) -> None:
    old, new = HEAD.model_copy(update={"labels": {"a": "1" * 64}}), {"b": "2" * 64}
    begin_results(tmp_path, old, ["a, 2 sites, seed 1"])
    append_cell(tmp_path, CellResult(cell="a, 2 sites, seed 1", failure=Failure(code="x", sentence="It diverged.")))
    found = begin_results(
        tmp_path, HEAD.model_copy(update={"labels": new}), ["b, 2 sites, seed 1", "b, 3 sites, seed 1"]
    )
    assert (found.cells, found.labels) == (3, old.labels | new)
    with told_as("results of a with other settings"):
        begin_results(tmp_path, HEAD.model_copy(update={"labels": {"a": "3" * 64}}))


def test_that_the_table_has_means_over_the_sites_that_trained(tmp_path: Path) -> None:
    sites = [SiteRow(site=name, notes=1, loss=1.0, steps=steps, rank=rank, model_drift=drift)
             for name, steps, rank, drift in (("x", 4, 8, 0.2), ("y", 2, 16, 0.4), ("z", 0, None, None))]  # fmt: skip
    begin_results(tmp_path, HEAD)
    append_cell(tmp_path, CellResult(cell="a-0", rows=(row("a", 1, sites=tuple(sites)),)))
    with write_tables(tmp_path)[0].open(encoding="utf-8") as file:
        (found,) = csv.DictReader(file)
    assert [found[name] for name in ("rank", "steps", "semantic_drift")] == ["12.0", "3.0", ""]
    assert float(found["model_drift"]) == pytest.approx(0.3)


def test_that_the_tables_have_one_line_per_round(tmp_path: Path) -> None:
    begin_results(tmp_path, HEAD)
    append_cell(tmp_path, cell("b"))
    append_cell(tmp_path, cell("a"))

    write_tables(tmp_path)

    rows = list(csv.DictReader((tmp_path / "results.csv").read_text(encoding="utf-8").splitlines()))
    assert [(one["label"], one["round"], one["f1"], one["tau"]) for one in rows] == [
        ("a", "0", "", ""),
        ("a", "1", "0.25", "0.5"),
        ("b", "0", "", ""),
        ("b", "1", "0.25", "0.5"),
    ]
    told = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert [one["label"] for one in told["rows"]] == ["a", "a", "b", "b"]
    assert told["rows"][0]["sites"][0]["counts"] == {"tp": 1, "fp": 1, "fn": 1}
