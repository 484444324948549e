# SPDX-License-Identifier: Apache-2.0
"""What people read of an experiment: honest words beside the numbers, and pictures that are the same every time."""

from __future__ import annotations

import importlib.util
import re
import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fedmed_desktop.storage.results import ResultRow, Results, SiteRow, read_results
from fedmed_desktop.wording import told
from tests.parts.results import METHODS, write_experiment
from tests.parts.told import told_as

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    from fedmed_desktop.lab import plots
    from fedmed_desktop.lab.compare import Spread
    from fedmed_desktop.lab.report import percent, signed, spread, table, write_report

needs_matplotlib = pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None, reason="the extra `lab` is not installed"
)
PICTURES = {f"{stem}.{ending}" for stem in ("loss", "drift_and_rank", "bytes_and_score") for ending in ("png", "svg")}


def results(*rows: ResultRow, **more: object) -> Results:
    return Results(
        experiment="small", sha256="0" * 64, cells=len(rows), done=tuple(r.cell for r in rows), rows=rows, **more
    )  # type: ignore[arg-type]


def row(label: str, seed: int, loss: float, **more: object) -> ResultRow:
    values: dict[str, object] = {"method": label, "sites_count": 2, "round": 1, "worst_loss": loss}
    return ResultRow(cell=f"{label}-{seed}", label=label, seed=seed, loss=loss, **(values | more))  # type: ignore[arg-type]


def cells_of(text: str, label: str) -> list[str]:
    """The first line of a table that begins with this name."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {label} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


# -- words


def test_that_numbers_have_signs_and_deviations() -> None:
    assert (signed(-0.12), signed(0.12), signed(0.0), signed(-0.0001)) == ("−0.120", "+0.120", "0.000", "0.000")
    assert percent(-0.1523) == "−15.2 %"
    assert spread(Spread(1.0, 0.25, 3)) == "1.000 ± 0.250" and spread(Spread(1.0, None, 1)) == "1.000"
    assert spread(None) == "–"


def test_that_one_seed_gives_no_interval_and_says_so() -> None:
    text = table(results(row("fedavg", 1, 2.0), row("fedprox", 1, 1.0)))
    assert cells_of(text, "fedprox")[2] == "−1.000 (−50.0 %) against fedavg: one seed, no interval"
    assert "With one seed there is no interval" in text and "[" not in cells_of(text, "fedavg")[2]


def test_that_an_interval_that_holds_zero_is_no_difference_shown() -> None:
    rows = [row("fedavg", seed, loss) for seed, loss in enumerate((1.0, 2.0))]
    rows += [row("fedprox", seed, loss) for seed, loss in enumerate((2.0, 1.0))]
    text = table(results(*rows))
    assert cells_of(text, "fedprox")[2] == "0.000 (0.0 %) [−1.000, +1.000] against fedavg: no difference shown"
    assert "no proof that there is none" in text


def test_that_a_clear_difference_is_told_with_its_direction() -> None:
    rows = [row(label, seed, loss + seed) for label, loss in (("fedavg", 2.0), ("fedprox", 1.5)) for seed in (0, 1)]
    text = table(results(*rows))
    assert cells_of(text, "fedprox")[2] == "−0.500 (−20.0 %) [−0.500, −0.500] against fedavg: lower"
    assert cells_of(text, "fedavg")[2].endswith("against fedprox: higher")


def test_that_what_is_not_there_is_told_before_any_number(tmp_path: Path) -> None:
    text = table(read_results(write_experiment(tmp_path, sites=(2,), seeds=1, failed=1, missing=4)))
    before = text.partition("## 2 sites")[0]
    assert "**Not finished:** 4 of" in before
    assert "`fedrot-0`: The loss was no number in round 2. Lower the learning rate." in before


def test_that_an_experiment_without_rows_says_so() -> None:
    assert "There is no result yet." in table(results()) and "## How to read it" not in table(results())


def test_that_a_method_without_formulas_is_marked_as_inferred(tmp_path: Path) -> None:
    text = table(read_results(write_experiment(tmp_path, sites=(2,), seeds=1)))
    assert "Inferred: `adaptive_fedlora` (AdaptiveFedLoRA), `sa_fedlora` (SA-FedLoRA)." in text
    assert "no number here can be compared with theirs" in text
    plain = table(results(row("fedavg", 1, 2.0)))
    assert "publish no formulas" not in plain


def test_that_methods_that_keep_something_at_a_site_are_named() -> None:
    text = table(results(row("fedsa", 1, 2.0), row("fedopal", 1, 1.0)))
    assert "With `fedopal`, `fedsa` each site is scored with the part that it keeps" in text
    assert "One seed, 1." in text
    assert "the part that it keeps" not in table(results(row("fedavg", 1, 2.0)))


def test_that_the_table_has_all_settings_methods_references_and_conditions(tmp_path: Path) -> None:
    text = table(read_results(write_experiment(tmp_path)))
    for count in (2, 3, 5):
        part = text.partition(f"## {count} sites\n")[2].partition("\n## ")[0]
        for label in (*METHODS, "*centralised*", "*alone*", "*base*"):
            assert f"| {label} |" in part
        assert "### The same models on the test notes" in part
    assert "Ran with 1 thread; processor x86_64, cores 2" in text and "torch 2.13.0" in text
    assert "Seeds 0, 1, 2" in text
    assert "pairs are of the same site in the same seed" in text
    widths = {line.count("|") for line in text.partition("## 2 sites")[2].splitlines() if "validation loss" in line}
    assert widths == {10}


def test_that_every_table_is_whole(tmp_path: Path) -> None:
    text = table(read_results(write_experiment(tmp_path, sites=(3,))))
    for block in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        assert len({line.count("|") for line in block.splitlines()}) == 1


def test_that_f1_has_its_own_table_only_where_it_was_measured(tmp_path: Path) -> None:
    assert "strict F1" in table(read_results(write_experiment(tmp_path / "a", sites=(2,), seeds=2)))
    assert "strict F1" not in table(read_results(write_experiment(tmp_path / "b", sites=(2,), seeds=2, scored=False)))


def test_that_the_report_calls_a_mean_over_tasks_so(tmp_path: Path) -> None:
    text = table(read_results(write_experiment(tmp_path, sites=(2,), seeds=1, tasks=("entities", "codes"))))
    assert "| mean of tasks |" in text and "| worst site's mean of tasks |" in text
    assert "that of the scores of entities, codes" in text
    head = next(line for line in text.splitlines() if "mean of tasks" in line)
    assert "F1" not in head


def test_that_sites_worse_off_than_alone_are_counted(tmp_path: Path) -> None:
    text = table(read_results(write_experiment(tmp_path, sites=(3,), seeds=2)))
    assert cells_of(text, "fedavg")[4] == "0 of 6" and cells_of(text, "*base*")[4] == "6 of 6"
    assert cells_of(text, "*alone*")[4] == "–"
    bare = table(read_results(write_experiment(tmp_path / "bare", sites=(3,), seeds=2, references=False)))
    assert cells_of(bare, "fedavg")[4] == "–"


def test_that_sites_have_their_own_table_where_they_are_the_same_in_every_seed() -> None:
    def sites(first: float, notes: int = 10) -> tuple[SiteRow, ...]:
        return tuple(SiteRow(site=name, notes=notes, loss=first + n) for n, name in enumerate(("Harbor", "Mesa")))

    same = table(results(row("fedavg", 1, 1.0, sites=sites(1.0)), row("fedavg", 2, 2.0, sites=sites(2.0))))
    assert "| method | Harbor | Mesa |" in same and "| fedavg | 1.500 | 2.500 |" in same
    other = table(results(row("fedavg", 1, 1.0, sites=sites(1.0)), row("fedavg", 2, 2.0, sites=sites(2.0, notes=11))))
    assert "Harbor" not in other


# -- files


@needs_matplotlib
def test_that_the_report_is_a_table_and_three_pictures(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path, sites=(2, 3), seeds=2)
    written = write_report(folder)
    assert {path.name for path in written} == {"table.md", *PICTURES} and all(path.is_file() for path in written)
    text = (folder / "table.md").read_text("utf-8")
    assert set(re.findall(r"\]\(([^)]+)\)", text)) == {name for name in PICTURES if name.endswith("png")}
    width, height = struct.unpack(">II", (folder / "loss.png").read_bytes()[16:24])
    assert width >= 1600 and 400 <= height <= 1200


@needs_matplotlib
@pytest.mark.slow
def test_that_pictures_are_the_same_every_time(tmp_path: Path) -> None:
    first, second = (write_experiment(tmp_path / name, sites=(2,), seeds=2) for name in "ab")
    for one, other in zip(write_report(first), write_report(second), strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name
    svg = (first / "loss.svg").read_text("utf-8")
    assert "<dc:date>" not in svg


@needs_matplotlib
def test_that_a_single_seed_without_scores_or_references_is_drawn(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path, sites=(2,), seeds=1, scored=False, references=False)
    assert {path.name for path in write_report(folder)} == {"table.md", *PICTURES}


@needs_matplotlib
def test_that_references_alone_have_a_picture_of_their_loss(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path, sites=(2,), seeds=2, methods=())
    assert {path.name for path in write_report(folder)} == {"table.md", "loss.png", "loss.svg"}
    told = (folder / "table.md").read_text("utf-8")
    assert "(loss.png)" in told and "(bytes_and_score.png)" not in told and "(drift_and_rank.png)" not in told


@needs_matplotlib
@pytest.mark.parametrize("label", ["$\\frac$", "a $5 and $6", "x_1^2", "_hidden"])
def test_that_a_label_is_drawn_as_it_is_written(tmp_path: Path, label: str) -> None:
    rows = read_results(write_experiment(tmp_path, sites=(2,), seeds=1)).rows
    labelled = tuple(row.model_copy(update={"label": label}) if row.label == "fedavg" else row for row in rows)
    assert {path.name for path in plots.draw_plots(tmp_path, labelled)} == set(PICTURES)
    assert label in (tmp_path / "loss.svg").read_text("utf-8").replace("&amp;", "&")


@needs_matplotlib
def test_that_sites_that_train_alone_need_no_picture_of_drift_and_rank(tmp_path: Path) -> None:
    rows = read_results(write_experiment(tmp_path, sites=(2,), seeds=1, methods=())).rows
    told = {"rank": 8, "model_drift": 0.5}
    rows = tuple(
        row.model_copy(update={"sites": tuple(site.model_copy(update=told) for site in row.sites)}) for row in rows
    )
    assert {path.name for path in plots.draw_plots(tmp_path, rows)} == {"loss.png", "loss.svg"}


@needs_matplotlib
def test_that_drawing_leaves_the_settings_of_matplotlib_alone(tmp_path: Path) -> None:
    import matplotlib as mpl

    mpl.rcParams["font.size"] = 21.0
    try:
        write_report(write_experiment(tmp_path, sites=(2,), seeds=1))
        assert mpl.rcParams["font.size"] == 21.0
    finally:
        mpl.rcdefaults()


@needs_matplotlib
def test_that_methods_are_told_apart_however_many_there_are() -> None:
    rows = [row(f"method {number}", 1, 1.0) for number in range(21)]
    looks = plots._looks(rows)
    assert len({(look.color, look.marker, str(look.dash)) for look in looks.values()}) == 21
    assert len({(look.color, str(look.dash)) for look in looks.values()}) == 21


def test_that_without_matplotlib_the_table_is_there_and_a_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_experiment(tmp_path, sites=(2,), seeds=1)
    monkeypatch.setattr(plots, "find_spec", lambda _: None)
    with told_as(r"fedmed-desktop\[lab\]") as caught:
        write_report(folder)
    assert caught.value.code == "lab.no_matplotlib" and str(folder) in told(caught.value)
    assert (folder / "table.md").is_file()


def test_that_a_folder_without_an_experiment_is_a_sentence(tmp_path: Path) -> None:
    with told_as("contains no experiment"):
        write_report(tmp_path)


def test_that_importing_the_report_loads_no_matplotlib() -> None:
    code = "import sys, fedmed_desktop.lab.report; print('matplotlib' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == ["False", "False"]


def test_that_an_encoder_is_told_by_its_model_and_compared_by_f1_alone() -> None:
    about = {"kind": "encoder", "method": "small encoder trained from scratch", "bytes": 5_000_000}
    rows = [row("fedavg", 1, 2.0, f1=0.5, worst_f1=0.4), row("encoder FedAvg", 1, 0.2, f1=0.3, worst_f1=0.1, **about)]
    text = table(results(*rows))
    name = "*encoder FedAvg* (small encoder trained from scratch)"
    assert cells_of(text, name) == [name, "–", "–", "–", "–", "–", "–", "5.0", "–"]
    scored = text.partition("| strict F1 |")[2]
    assert cells_of(scored, name)[1:3] == ["0.300", "−0.200 (−40.0 %) against fedavg: one seed, no interval"]
    assert "Its loss is of tags and cannot be compared" in text
    assert "loss.png" in text and "loss.png" not in table(results(rows[1]))
