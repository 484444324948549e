# SPDX-License-Identifier: Apache-2.0
"""Scores of an evaluation: rows with intervals by document, paired differences, and files to read errors in."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from fedmed_desktop.cli import main
from fedmed_desktop.cli.evaluate import _named, _print
from fedmed_desktop.clinical import Note, Span, read_notes
from fedmed_desktop.clinical.tasks import Entities, Prediction
from fedmed_desktop.evaluation import Comparison, NoteResult, ScoreRow, compare, score_rows, tasks_of
from fedmed_desktop.evaluation.bootstrap import by_document, intervals, resampled
from fedmed_desktop.evaluation.output import write_evaluation
from fedmed_desktop.evaluation.table import Key
from tests.parts.told import told_as

TEXT = "Aspirin for pain, heparin for a clot."
GOLD = (Span(0, 7, "drug"), Span(12, 16, "problem"), Span(18, 25, "drug"), Span(30, 36, "problem"))
TASK = Entities(("drug", "problem"))


def note(name: str, document: str | None = None) -> Note:
    entities = [
        {"id": f"T{n}", "start": one.start, "end": one.end, "type": one.type, "text": TEXT[one.start : one.end]}
        for n, one in enumerate(GOLD)
    ]
    return Note.model_validate({"id": name, "text": TEXT, "entities": entities, "document": document})


def result(name: str, spans: tuple[Span, ...], document: str | None = None) -> NoteResult:
    prediction = Prediction(spans=spans)
    one = note(name, document)
    return NoteResult(one, "entities", prediction, TASK.score(one, prediction))


def test_that_rows_are_of_all_types_then_of_each_with_what_the_notes_have() -> None:
    results = [result("a", GOLD), result("b", GOLD[:2]), result("c", (Span(0, 8, "drug"),))]
    rows = {(row.key.measure, row.key.name): row for row in score_rows(results)}
    strict = rows["strict", "all"]
    assert (strict.value, strict.support) == (pytest.approx(2 * 6 / (7 + 12)), 12)
    assert strict.counts is not None and (strict.counts.tp, strict.counts.fp, strict.counts.fn) == (6, 1, 6)
    assert rows["lenient", "drug"].value == pytest.approx(2 * 4 / (4 + 6))
    assert rows["strict", "problem"].value == pytest.approx(2 * 3 / (3 + 6))
    assert all(row.interval is not None and row.interval[0] <= row.value <= row.interval[1] for row in rows.values())


def test_that_the_notes_of_one_document_are_drawn_together() -> None:
    """Ten sentences of two documents, one all right and one all wrong: an interval by sentence would be narrow."""
    apart = [result(f"{n}", GOLD if n < 5 else ()) for n in range(10)]
    together = [result(f"{n}", GOLD if n < 5 else (), f"d{n // 5}") for n in range(10)]
    narrow, wide = (score_rows(results)[0].interval for results in (apart, together))
    assert narrow is not None and wide is not None
    assert wide == (0.0, 1.0) and narrow[1] - narrow[0] < 0.7


def test_that_one_document_alone_has_no_interval() -> None:
    assert {row.interval for row in score_rows([result("a", GOLD[:1])])} == {None}


def test_that_a_bootstrap_is_that_of_drawing_documents_one_by_one() -> None:
    rng = np.random.default_rng(1)
    sums = by_document(list("aabbccddee"), rng.integers(0, 9, (10, 2)).astype(float))
    assert sums.shape == (5, 2)
    drawn = resampled(sums, lambda totals: totals[:, :1] / np.maximum(totals[:, 1:], 1), 4000)
    picks = [sums[rng.integers(0, 5, 5)].sum(0) for _ in range(4000)]
    naive = np.array([[pick[0] / max(pick[1], 1)] for pick in picks])
    (ours,), (theirs,) = intervals(drawn), intervals(naive)
    assert ours is not None and theirs is not None
    assert ours == pytest.approx(theirs, rel=0.08)


def test_that_two_adapters_are_compared_on_the_same_documents() -> None:
    good = [result(f"{n}", GOLD) for n in range(12)]
    poor = [result(f"{n}", GOLD[: n % 3]) for n in range(12)]
    clear = compare(good, poor)[0]
    assert clear.is_clear and clear.difference > 0.4
    level = compare(good, good)[0]
    assert (level.difference, level.interval, level.is_clear) == (0.0, (0.0, 0.0), False)
    with pytest.raises(ValueError, match="not of the same notes"):
        compare(good, poor[1:])


def test_that_predictions_can_be_read_beside_the_notes_own_mentions(tmp_path: Path) -> None:
    results = {"adapter": [result("a", GOLD[:2]), result("b", (Span(0, 7, "problem"),))]}
    written = write_evaluation(
        tmp_path / "out", {"model": "M"}, results, {"adapter": score_rows(results["adapter"])}, {}
    )
    assert [path.name for path in written] == ["scores.json", "adapter.jsonl", "adapter-brat", "gold-brat"]
    lines = [json.loads(line) for line in (tmp_path / "out" / "adapter.jsonl").read_text("utf-8").splitlines()]
    assert lines[1]["predicted"] == [{"start": 0, "end": 7, "type": "problem", "text": "Aspirin"}]
    assert len(lines[0]["gold"]) == 4 and lines[0]["scores"]["f1_strict"] == round(2 / 3, 4)
    back = read_notes(tmp_path / "out" / "adapter-brat")
    assert [tuple(e.span for e in one.entities) for one in back] == [GOLD[:2], (Span(0, 7, "problem"),)]
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(files) == 2 + 2 * 5
    assert os.name == "nt" or not any(path.stat().st_mode & 0o077 for path in files)


def test_that_notes_without_the_labels_of_a_task_are_refused_by_its_name() -> None:
    with told_as("no labels for codes"):
        tasks_of([note("a")], ("codes",), ("drug",))
    assert [task.name for task in tasks_of([note("a")], (), ("drug", "problem"))] == ["entities"]


def test_that_a_model_is_evaluated_from_the_command_line(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes").mkdir()
    notes = tmp_path / "notes"
    (notes / "letters.pdf").write_bytes(b"%PDF")
    (notes / "a.jsonl").write_text("".join(note(name).model_dump_json() + "\n" for name in "ab"), encoding="utf-8")
    common = ["--evaluate", "--model", str(tiny_model), "--notes", str(notes), "--threads", "1"]
    assert main([*common, "--out", str(tmp_path / "out")]) == 0
    found = json.loads((tmp_path / "out" / "scores.json").read_text("utf-8"))
    keys = {(row["measure"], row["name"]) for row in found["scores"]["base"]}
    assert ("strict", "all") in keys and ("lenient", "drug") in keys
    said = capsys.readouterr().out
    assert "95 % interval" in said and "Files that are not read: letters.pdf." in said
    assert set(_named([tmp_path / "gold"])) == {f"{tmp_path.name}-gold"}, "gold-brat has the notes' own mentions"
    assert {*_named([tmp_path / "a" / "Final", tmp_path / "b" / "final"])} == {"a-Final", "b-final"}, "on any disk"
    assert main([*common, "--adapter", str(tmp_path / "nowhere")]) == 2
    assert "nowhere" in capsys.readouterr().err


LOADED = """
import sys
from fedmed_desktop.cli import main
status = main(sys.argv[1:])
print(status, *sorted({"torch", "transformers"} & sys.modules.keys()), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "wrong",
    [
        ["--adapter", "nowhere"],
        ["--federation", "nowhere"],
        ["--types-file", "nowhere"],
        ["--model", "./nowhere"],
        ["--model", "clinic/nowhere"],
        ["--notes", "nowhere"],
    ],
)
def test_that_what_is_missing_is_told_before_torch_is_loaded(
    tiny_model: Path, tmp_path: Path, wrong: list[str]
) -> None:
    assert told_without_torch(tiny_model, tmp_path, *wrong).count("nowhere")


def test_that_notes_that_cannot_be_scored_are_told_before_torch_is_loaded(tiny_model: Path, tmp_path: Path) -> None:
    assert "no labels for codes" in told_without_torch(tiny_model, tmp_path, "--task", "codes")
    (tmp_path / "broken.jsonl").write_text("no JSON\n")
    assert "row 1" in told_without_torch(tiny_model, tmp_path, "--notes", str(tmp_path / "broken.jsonl"))


def told_without_torch(model: Path, folder: Path, *wrong: str) -> str:
    """What an evaluation says that does not come to loading a model."""
    (folder / "notes.jsonl").write_text(note("a").model_dump_json())
    arguments = ["--evaluate", "--model", str(model), "--notes", str(folder / "notes.jsonl"), *wrong]
    done = subprocess.run([sys.executable, "-c", LOADED, *arguments], capture_output=True, text=True, timeout=120)
    assert done.stderr.splitlines()[-1] == "2"
    return done.stderr


def test_that_levels_of_codes_are_named_and_rows_fit_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    keys = [
        *(Key("codes", measure, "all") for measure in ("strict", "lenient", "unified")),
        Key("codes", "mean", "recall@10 category"),
        Key("relations", "unified", "reference_range"),
    ]
    rows = [ScoreRow(key, 0.5, (0.123, 0.456), None, 1234) for key in keys]
    pairs = [Comparison(key, -0.5, (-0.523, -0.456)) for key in keys]
    _print(Console(width=80), argparse.Namespace(notes=Path("notes")), {"base": rows}, {"one - base": pairs})
    said = capsys.readouterr().out
    assert [word for word in ("code F1", "category F1", "chapter F1") if word in said] == [
        "code F1",
        "category F1",
        "chapter F1",
    ]
    assert said.count("0.123 to 0.456") == 5 and said.count("-0.523 to -0.456") == 5
    assert len([line for line in said.splitlines() if "recall@10 category" in line]) == 2
