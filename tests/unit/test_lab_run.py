# SPDX-License-Identifier: Apache-2.0
"""What the lab computes around a federation: steps, pooled rows, identities, and what it says on the way."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from fedmed_desktop.federation import TrainingSettings
from fedmed_desktop.lab.cell import BaseFacts, steps_of
from fedmed_desktop.lab.cells import Cell
from fedmed_desktop.lab.choices import EncoderSettings, MethodChoice
from fedmed_desktop.lab.engines import Measured, Size
from fedmed_desktop.lab.experiment import Experiment
from fedmed_desktop.lab.progress import LabProgress
from fedmed_desktop.lab.rows import pooled_f1, pooled_loss, row_of, together
from fedmed_desktop.lab.run import identity, machine
from fedmed_desktop.lab.simulate import Snapshot
from fedmed_desktop.scores import Counts, Mean, Scores, TaskScores
from fedmed_desktop.storage.results import CellResult, Failure, SiteRow

SIZE = Size(examples=10, tokens=1000, supervised={"validation": 5, "test": 5})
BASE = BaseFacts("b" * 64, {"layer": (4, 4)}, 100)


@pytest.mark.parametrize(
    ("training", "speed", "most", "steps"),
    [
        ({"epochs": 1, "batch_size": 4}, 1.0, None, 3),
        ({"epochs": 2.5, "batch_size": 4}, 1.0, None, 8),  # 7.5 steps, rounded as the training loop does
        ({"steps": 7}, 1.0, None, 7),
        ({"steps": 7}, 0.5, None, 4),
        ({"steps": 7}, 0.01, None, 1),
        ({"steps": 100, "batch_size": 5}, 1.0, 2600, 5),  # a step is 500 tokens
        ({"steps": 3, "batch_size": 5}, 1.0, 2600, 3),
        ({"steps": 3, "batch_size": 5}, 1.0, 1, 1),
    ],
)
def test_that_a_site_does_the_steps_that_its_speed_and_budget_leave(
    training: dict[str, float], speed: float, most: int | None, steps: int
) -> None:
    assert steps_of(SIZE, TrainingSettings.model_validate(training), speed, most) == steps


def measured(loss: float, tokens: int, tp: int = 0, fn: int = 0) -> Measured:
    return Measured(loss, Scores.of_entities(TaskScores(strict={"drug": Counts(tp=tp, fn=fn)})), tokens)


def snapshot(found: dict[str, Measured], round_number: int = 0) -> Snapshot:
    sites = tuple(
        SiteRow(site=name, notes=1, loss=one.loss, counts=one.scores["entities"].strict["drug"], bytes_up=3)
        for name, one in found.items()
    )
    return Snapshot(round_number, "validation", found, None, "a" * 64, 12, sites)


def test_that_losses_are_pooled_by_tokens_and_scores_by_counts() -> None:
    found = {"b": measured(1.0, 30, tp=3), "a": measured(2.0, 10, fn=1)}
    assert pooled_loss(found) == pytest.approx(1.25)
    assert pooled_f1(found) == pytest.approx(6 / 7)

    row = row_of(Cell("base", "base", 2, 5), snapshot(found), scored=True)

    assert (row.loss, row.worst_loss, row.worst_f1) == (pytest.approx(1.25), 2.0, 0.0)
    assert (row.method, row.kind, row.sites_count, row.seed, row.bytes) == ("base", "base", 2, 5, 12)
    assert row_of(Cell("base", "base", 2, 5), snapshot(found), scored=False).f1 is None


def test_that_the_site_that_is_worst_off_is_measured_as_all_are_where_tasks_differ() -> None:
    summary = TaskScores(means={"rouge_l": Mean(sum=0.6, of=2)})
    entities = TaskScores(strict={"drug": Counts(tp=3, fn=1)})
    found = {
        "a": Measured(1.0, Scores(tasks={"summaries": summary}), 10),
        "b": Measured(1.0, Scores(tasks={"entities": entities, "summaries": summary}), 10),
    }
    sites = tuple(SiteRow(site=name, notes=1, loss=1.0, counts=Counts()) for name in found)
    row = row_of(Cell("base", "base", 2, 5), Snapshot(0, "validation", found, None, None, 0, sites), scored=True)
    assert row.worst_f1 == pytest.approx(0.3), "0 would be a site without entities"


def test_that_sites_on_their_own_are_one_row_that_moved_nothing() -> None:
    both = together([snapshot({"a": measured(2.0, 10)}, 3), snapshot({"b": measured(1.0, 30)}, 3)])
    row = row_of(Cell("alone", "alone", 2, 5), both, scored=True)
    assert (row.loss, row.bytes, row.adapter, row.round) == (pytest.approx(1.25), 0, None, 3)
    assert [(site.site, site.bytes_up) for site in row.sites] == [("a", 0), ("b", 0)]


def test_that_what_decides_results_decides_the_identity_and_nothing_else_does() -> None:
    experiment = Experiment(name="e", types=("drug",), baselines=("base",), seeds=(1,))
    same = [{"cost": "an hour"}, {"seeds": (1, 2)}, {"tuning_seeds": (7,)}, {"model": "/elsewhere"}, {"sites": (2, 5)}]
    fedavg, plus = (MethodChoice.model_validate({"method": {"name": name}}) for name in ("fedavg", "fed_medlora_plus"))
    same += [{"baselines": ("alone",)}, {"methods": (fedavg,)}, {"encoder": EncoderSettings(epochs=1)}]
    other = [{"rounds": 9}, {"threads": 2}, {"shared_notes": 1}, {"methods": (plus,)}]  # it sets notes aside
    known = identity(experiment, BASE, False)
    assert all(identity(experiment.model_copy(update=change), BASE, False) == known for change in same)
    assert all(identity(experiment.model_copy(update=change), BASE, False) != known for change in other)
    assert identity(experiment, BASE, True) != known
    assert identity(experiment, BaseFacts("c" * 64, BASE.modules, 100), False) != known


def test_that_lines_tell_cells_scores_failures_and_the_time_left() -> None:
    told = io.StringIO()
    progress = LabProgress("toy", 2, total=4, done=1, console=Console(file=told, width=200))
    row = row_of(Cell("base", "base", 2, 5), snapshot({"a": measured(1.5, 10, tp=1)}), scored=True)
    with progress.shown():
        progress.cell(Cell("base", "base", 2, 5))
        progress.row(row)
        progress.finished(CellResult(cell="base, 2 sites, seed 5", rows=(row,)))
        progress.finished(CellResult(cell="x", failure=Failure(code="training.diverged", sentence="It diverged.")))
    lines = told.getvalue().splitlines()
    assert lines[0] == "toy: 1 of 4 cells are there already"
    assert lines[1] == "cell 2/4 base, 2 sites, seed 5"
    assert lines[2].startswith("2/4 base, 2 sites, seed 5: loss 1.5000, F1 1.000, 0.0 MB, about 0:00:0")
    assert lines[3].startswith("3/4 x: It diverged., about ")


def test_that_the_machine_is_told_without_its_name(tmp_path: Path) -> None:
    import platform

    assert platform.node() not in " ".join(machine().values())
    assert machine().keys() == {"system", "cores", "memory", "device"}
