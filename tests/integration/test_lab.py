# SPDX-License-Identifier: Apache-2.0
"""The lab end to end at toy size: a real (random) language model, bundled notes, every method, a kill in the middle."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fedmed_desktop.cli import main
from fedmed_desktop.clinical import Unread
from fedmed_desktop.federation import LocalResult
from fedmed_desktop.federation.fitted import FittedSettings
from fedmed_desktop.federation.methods import METHODS
from fedmed_desktop.lab.beyond import FULL
from fedmed_desktop.lab.cells import Cell, cells
from fedmed_desktop.lab.engines import SiteJob
from fedmed_desktop.lab.experiment import Experiment, load_experiment
from fedmed_desktop.lab.report import write_report
from fedmed_desktop.lab.run import Lab, LabOptions
from fedmed_desktop.resources import resource
from fedmed_desktop.storage.results import CELLS_FILE, TABLE_FILE, CellResult, ResultRow, Results, read_results
from tests.parts.told import told_as

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    from fedmed_desktop.lab.engines.local import LocalEngine

FILE = """\
name = "toy"
model = "{model}"
types = ["problem"]
rounds = 2
seeds = [3]
tuning_seeds = [8]
sites = [2]
score_on = "loss"
baselines = ["base", "alone", "centralised"]
[lora]
rank = 2
alpha = 4
[training]
steps = 2
batch_size = 2
max_tokens = 256
[split]
by = "corpus"
notes = 5
validation_notes = 2
test_notes = 2
[[methods]]
method = {{ name = "fedavg" }}
[[methods]]
method = {{ name = "fedsa" }}
"""


class Quiet:
    """Follows a lab and remembers which cells it began."""

    def __init__(self, stop_at_row: int | None = None) -> None:
        self.began: list[str] = []
        self.rows: list[ResultRow] = []
        self._stop = stop_at_row

    def cell(self, cell: Cell) -> None:
        self.began.append(cell.id)

    def unread(self, corpus: str, unread: Unread) -> None: ...

    def row(self, row: ResultRow) -> None:
        self.rows.append(row)
        if len(self.rows) == self._stop:
            raise KeyboardInterrupt

    def finished(self, result: CellResult) -> None: ...


@pytest.fixture
def file(tiny_model: Path, tmp_path: Path) -> Path:
    path = tmp_path / "toy.toml"
    path.write_text(FILE.format(model=tiny_model.as_posix()), encoding="utf-8")
    return path


def run(experiment: Experiment, out: Path, watcher: Quiet | None = None, **options: object) -> Results:
    engine = LocalEngine(experiment.model_folder, experiment.threads)
    return Lab(LabOptions(experiment, out, **options)).run(engine, watcher or Quiet())  # type: ignore[arg-type]


def comparable(results: Results) -> dict[tuple[object, ...], object]:
    """Everything but how long it took."""
    return {(row.cell, row.round, row.split): row.model_copy(update={"seconds": 0.0}) for row in results.rows}


@pytest.mark.slow
def test_that_a_killed_lab_continues_to_the_same_results(file: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fedmed_desktop", "--lab", str(file), "--out", str(tmp_path / "killed")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        journal, deadline = tmp_path / "killed" / CELLS_FILE, time.monotonic() + 120
        while not (journal.exists() and journal.read_bytes().count(b"\n") >= 2) and process.poll() is None:
            assert time.monotonic() < deadline, "no cell was finished"
            time.sleep(0.01)
        process.kill()
        assert process.stderr is not None
        told = process.stderr.read().decode()
    assert process.returncode != 0, told
    experiment = load_experiment(file)
    before = read_results(tmp_path / "killed").done
    assert 2 <= len(before) < len(cells(experiment)), told

    watcher = Quiet()
    continued = run(experiment, tmp_path / "killed", watcher)
    whole = run(experiment, tmp_path / "whole")

    assert set(watcher.began) == {cell.id for cell in cells(experiment)} - set(before)
    assert comparable(continued) == comparable(whole)
    assert len(continued.done) == 5


@pytest.mark.slow
def test_that_what_ctrl_c_ended_in_mid_cell_continues_to_the_same_results(file: Path, tmp_path: Path) -> None:
    experiment = load_experiment(file).model_copy(update={"rounds": 1})
    whole = run(experiment, tmp_path / "whole", only=("base", "fedavg", "fedsa"))
    with pytest.raises(KeyboardInterrupt):
        run(experiment, tmp_path / "out", Quiet(stop_at_row=4), only=("base", "fedavg", "fedsa"))
    assert read_results(tmp_path / "out").done == ("base, 2 sites, seed 3",)
    watcher = Quiet()
    continued = run(experiment, tmp_path / "out", watcher, only=("base", "fedavg", "fedsa"))
    assert watcher.began == ["fedavg, 2 sites, seed 3", "fedsa, 2 sites, seed 3"]
    assert comparable(continued) == comparable(whole)


def test_that_notes_which_do_not_become_sites_are_told_before_the_first_cell(file: Path, tmp_path: Path) -> None:
    experiment = load_experiment(file)
    split = experiment.split.model_copy(update={"by": "iid", "sizes": "skewed", "ratio": 90.0})
    watcher = Quiet()
    with told_as(r"\(9 sites, seed 3\).*split.ratio"):
        run(experiment.model_copy(update={"sites": (2, 9), "split": split}), tmp_path / "out", watcher)
    assert watcher.began == []


@pytest.mark.slow
def test_that_a_lab_which_ends_early_leaves_the_tables_of_what_it_has(file: Path, tmp_path: Path) -> None:
    experiment = load_experiment(file)
    with pytest.raises(KeyboardInterrupt):
        run(experiment, tmp_path / "out", Quiet(stop_at_row=4), only=("base", "alone"))
    assert "base,base," in (tmp_path / "out" / "results.csv").read_text("utf-8")


@pytest.mark.slow
def test_that_a_method_and_a_count_of_sites_are_added_to_what_was_run(file: Path, tmp_path: Path) -> None:
    experiment = load_experiment(file).model_copy(update={"rounds": 1})
    fedavg, fedsa = experiment.methods
    run(experiment.model_copy(update={"methods": (fedavg,), "baselines": ()}), tmp_path / "out")
    watcher = Quiet()
    more = experiment.model_copy(update={"sites": (2, 3), "baselines": ()})
    run(more, tmp_path / "out", watcher)
    assert watcher.began == ["fedsa, 2 sites, seed 3", "fedavg, 3 sites, seed 3", "fedsa, 3 sites, seed 3"]
    other = fedavg.model_copy(update={"rank": 1})
    with told_as("results of fedavg with other settings"):
        run(more.model_copy(update={"methods": (other, fedsa)}), tmp_path / "out")


def test_that_another_experiment_does_not_go_on_in_the_folder_of_one(file: Path, tmp_path: Path) -> None:
    experiment = load_experiment(file)
    run(experiment, tmp_path / "out", only=("base",))
    other = experiment.model_copy(update={"rounds": 1})
    with told_as("results of another experiment"):
        run(other, tmp_path / "out")
    with told_as("results of another experiment"):
        run(experiment, tmp_path / "out", tuning=True)
    more = experiment.model_copy(update={"seeds": (3, 4)})
    assert [cell.id for cell in Lab(LabOptions(more, tmp_path / "out", only=("base",))).left] == [
        "base, 2 sites, seed 4"
    ]


@pytest.mark.slow
def test_that_one_and_the_same_model_is_judged_on_the_same_notes_whatever_the_cell(file: Path, tmp_path: Path) -> None:
    experiment = load_experiment(file).model_copy(update={"rounds": 1})
    found = run(experiment, tmp_path / "out")
    start = {row.label: row.loss for row in found.rows if row.round == 0 and row.split == "validation"}
    assert start.keys() == {"base", "alone", "centralised", "fedavg", "fedsa"}
    assert max(start.values()) == pytest.approx(min(start.values()), rel=1e-6)
    by_label = {(row.label, row.round, row.split): row for row in found.rows}
    alone, fedavg = by_label["alone", 1, "validation"], by_label["fedavg", 1, "validation"]
    assert {site.site: site.notes for site in alone.sites} == {site.site: site.notes for site in fedavg.sites}
    assert [site.steps for site in by_label["centralised", 1, "validation"].sites] == [0, 0]  # it trains elsewhere
    assert (alone.bytes, by_label["centralised", 1, "test"].bytes, by_label["base", 0, "test"].bytes) == (0, 0, 0)
    assert set(alone.measures) == {"loss_on_all_notes", "best_loss_on_all_notes"}
    assert alone.measures["best_loss_on_all_notes"] < alone.measures["loss_on_all_notes"]


@pytest.mark.slow
def test_that_bytes_are_those_of_the_blobs_that_would_travel(file: Path, tmp_path: Path) -> None:
    experiment = load_experiment(file)
    rows = [
        row for row in run(experiment, tmp_path / "out", only=("fedavg", "fedsa")).rows if row.split == "validation"
    ]
    fedavg, fedsa = ([row for row in rows if row.label == label] for label in ("fedavg", "fedsa"))
    one = fedavg[1].sites[0].bytes_up
    # Every round each site fetches one adapter and offers one; in the end it fetches the final one.
    assert [row.bytes / one for row in fedavg] == pytest.approx([0, 4, 10], rel=1e-3)
    assert fedsa[1].sites[0].bytes_up < 0.6 * one
    assert sum(site.weight or 0 for site in fedavg[1].sites) == pytest.approx(1)


@pytest.mark.slow
def test_that_every_method_runs_in_the_lab(tiny_model: Path, tmp_path: Path) -> None:
    quick = load_experiment(resource("experiments") / "quick.toml")
    assert {choice.method.name for choice in quick.methods} == set(METHODS)
    changes = {"notes": 3, "validation_notes": 3, "test_notes": 1}
    experiment = quick.model_copy(
        update={
            "model": str(tiny_model),
            "rounds": 2,
            "sites": (2,),
            "shared_notes": 1,
            "split": quick.split.model_copy(update=changes),
            "lora": quick.lora.model_copy(update={"rank": 4}),
            "training": quick.training.model_copy(update={"steps": 2, "max_tokens": 128}),
        }
    )
    found = run(experiment, tmp_path / "out")
    assert not found.failed
    last = {row.label: row for row in found.rows if row.split == "test"}
    assert last.keys() == {cell.label for cell in cells(experiment)}
    assert all(row.loss < 20 for row in last.values())


@pytest.mark.slow
def test_that_sites_of_other_speeds_and_budgets_do_other_numbers_of_steps(file: Path, tmp_path: Path) -> None:
    text = file.read_text(encoding="utf-8").replace("steps = 2", "steps = 6") + "[hardware]\nspeeds = [1.0, 0.5]\n"
    file.write_text(text, encoding="utf-8")
    experiment = load_experiment(file).model_copy(update={"rounds": 1})
    steps = [site.steps for site in run(experiment, tmp_path / "a", only=("fedavg",)).rows[1].sites]
    assert steps == [6, 3]
    few = experiment.model_copy(update={"max_tokens_per_site": 1})
    steps = [site.steps for site in run(few, tmp_path / "b", only=("fedavg",)).rows[1].sites]
    assert steps == [1, 1]


def test_that_baselines_train_no_longer_than_a_federation_that_asks_few_of_its_sites(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = load_experiment(file).model_copy(update={"clients": 1, "rounds": 1})
    experiment = experiment.model_copy(update={"training": experiment.training.model_copy(update={"steps": 3})})
    trained: dict[str, list[int]] = {}
    train = LocalEngine.train

    def watched(self: LocalEngine, jobs: Sequence[SiteJob]) -> list[LocalResult]:
        results = train(self, jobs)
        trained.setdefault(watcher.began[-1].split(",")[0], []).extend(one.update.report.steps for one in results)
        return results

    monkeypatch.setattr(LocalEngine, "train", watched)
    watcher = Quiet()
    run(experiment, tmp_path / "a", watcher, only=("fedavg", "alone", "centralised"))
    assert trained == {"alone": [2, 2], "centralised": [3], "fedavg": [3]}


@pytest.mark.slow
def test_that_a_federation_s_model_is_fitted_to_each_site_unless_sites_keep_their_own(
    file: Path, tmp_path: Path
) -> None:
    asked = load_experiment(file).model_copy(update={"fitted": FittedSettings(steps=2, shares=(0.0, 0.5, 1.0))})
    results = run(asked, tmp_path / "fitted")
    fitted = [row for row in results.rows if row.split == "fitted"]
    assert [row.label for row in fitted] == ["fedavg"], "in FedSA each site keeps a factor of its own"
    assert len(fitted[0].sites) == 2 and all(0 <= value <= 1 for value in fitted[0].measures.values())
    write_report(tmp_path / "fitted")
    assert "Fitted to each site" in (tmp_path / "fitted" / TABLE_FILE).read_text("utf-8")


@pytest.mark.slow
def test_that_tuning_sees_no_test_note(file: Path, tmp_path: Path) -> None:
    results = run(load_experiment(file), tmp_path / "tuned", tuning=True)
    assert {row.split for row in results.rows} == {"validation"}
    assert {row.split for row in run(load_experiment(file), tmp_path / "a", only=("base",)).rows} == {
        "validation",
        "test",
    }


def test_that_the_command_line_writes_tables_and_says_what_is_wrong(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    assert main(["--lab", str(file), "--out", out, "--only", "nobody"]) == 2
    assert "has no method or baseline nobody. It has: alone, base" in capsys.readouterr().err
    assert main(["--lab", str(tmp_path / "none.toml"), "--out", out]) == 2
    assert main(["--lab", str(file), "--out", out, "--only", "base"]) == 0
    assert {"table.md", "results.csv", "results.json", "loss.png"} <= {path.name for path in Path(out).iterdir()}
    assert "1/1 base, 2 sites, seed 3: loss" in capsys.readouterr().out
    assert main(["--lab", str(file), "--out", str(tmp_path / "t"), "--only", "base", "--tuning"]) == 0
    assert {row.seed for row in read_results(tmp_path / "t").rows} == {8}


@pytest.fixture
def small_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    from fedmed_desktop.training.encoder import model

    for name, value in (("_LAYERS", 1), ("_WIDTH", 32), ("_HEADS", 2)):
        monkeypatch.setattr(model, name, value)


@pytest.mark.usefixtures("small_encoder")
@pytest.mark.slow
def test_that_an_encoder_is_trained_in_three_ways_and_all_its_weights_travel(file: Path, tmp_path: Path) -> None:
    text = file.read_text("utf-8").replace('"centralised"]', '"centralised", "encoder"]').partition("[[methods]]")[0]
    file.write_text(text + "[encoder]\nepochs = 2\nbatch_size = 2\n", encoding="utf-8")
    labels = ("encoder alone", "encoder FedAvg", "encoder centralised")
    experiment = load_experiment(file)
    found = run(experiment, tmp_path / "out", only=labels)
    by_label = {(row.label, row.round, row.split): row for row in found.rows}
    start = {by_label[label, 0, "validation"].loss for label in labels}
    assert max(start) == pytest.approx(min(start))
    federated = [by_label["encoder FedAvg", number, "validation"] for number in (0, 1, 2)]
    one = federated[1].sites[0].bytes_up
    assert one > 4 * 4096 * 32  # the embeddings too
    assert [row.bytes for row in federated] == [0, 4 * one, 10 * one]
    assert [site.bytes_down for site in federated[2].sites] == [2 * one] * 2
    assert [site.steps for site in federated[1].sites] == [6, 6]
    assert {by_label[label, 2, "test"].bytes for label in ("encoder alone", "encoder centralised")} == {0}
    assert {row.kind for row in found.rows} == {"encoder"} and all(row.f1 is not None for row in found.rows)
    assert set(by_label["encoder alone", 2, "test"].measures) == {
        f"{best}{name}_on_all_notes" for best in ("", "best_") for name in ("loss", "f1")
    }
    again = run(experiment, tmp_path / "again", only=labels)
    assert comparable(again) == comparable(found)
    other = experiment.model_copy(update={"encoder": experiment.encoder.model_copy(update={"epochs": 1.0})})
    with told_as("results of encoder FedAvg with other settings"):
        run(other, tmp_path / "out", only=labels)


@pytest.mark.slow
def test_that_models_of_sites_that_lack_types_are_measured_on_all_types_too(tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "toy.toml"
    text = FILE.format(model=tiny_model.as_posix()).replace('types = ["problem"]', 'types = ["drug", "problem"]')
    # Of the bundled corpora, those of sites 2 and 3 have both types.
    text = text.replace("sites = [2]", "sites = [3]").replace(
        "[split]", '[split]\nlacking = [[], ["drug"], ["problem"]]'
    )
    path.write_text(text, encoding="utf-8")
    found = run(load_experiment(path), tmp_path / "out", only=("fedavg", "alone"))
    (own,) = [row for row in found.rows if row.split == "cohort" and row.label == "fedavg"]
    (alone,) = [row for row in found.rows if row.split == "cohort" and row.label == "alone"]
    assert own.elsewhere == alone.elsewhere == FULL
    assert own.loss != alone.loss
    (lacking,) = [row for row in found.rows if row.split == "test" and row.label == "fedavg"]
    assert own.loss != lacking.loss, "the labels that sites lack are asked for"
    write_report(tmp_path / "out")
    assert f"The same models on {FULL}\n" in (tmp_path / "out" / TABLE_FILE).read_text("utf-8")
