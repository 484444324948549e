# SPDX-License-Identifier: Apache-2.0
"""Hospitals that took no part: cohorts, and a newcomer that begins with few notes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fedmed_desktop.clinical import Note, Relation, SiteNotes
from fedmed_desktop.clinical.tasks import made_tasks
from fedmed_desktop.lab.beyond import alone_on_all_notes, cohort_tables, newcomer_table
from fedmed_desktop.lab.compare import Setting
from fedmed_desktop.lab.corpora import LabNote, read_corpora
from fedmed_desktop.lab.elsewhere import Elsewhere
from fedmed_desktop.lab.engines import Measured
from fedmed_desktop.lab.experiment import Experiment, with_cohorts
from fedmed_desktop.lab.partition import LabSite, pooled_site, split_into_sites
from fedmed_desktop.lab.rows import on_all_notes
from fedmed_desktop.scores import Counts, Scores, TaskName, TaskScores
from fedmed_desktop.storage.results import ResultRow
from tests.parts.lab import experiment, lab_note
from tests.parts.told import told_as

TEXT = "aspirin for pain."
ENTITIES = (
    {"id": "T1", "start": 8, "end": 15, "type": "drug", "text": "aspirin"},
    {"id": "T2", "start": 20, "end": 24, "type": "problem", "text": "pain"},
)


def stranger(number: int, group: str | None = None) -> LabNote:
    text = f"Note {number:02}: {TEXT}"[-25:].rjust(25)
    note = Note.model_validate({"id": f"n{number}", "text": text, "entities": ENTITIES})
    return LabNote(note, "own", group or f"g{number}", ("drug", "problem"))


def with_newcomer(**changes: Any) -> Experiment:
    newcomer = {"corpus": {"name": "own", "path": "."}, "sizes": [2, 5], "test_notes": 6} | changes
    return experiment(newcomer=newcomer, split={"test_notes": 4})


def rows_of(path: Path, count: int, start: int = 0) -> Path:
    lines = [stranger(start + number).note.model_dump_json(exclude_none=True) + "\n" for number in range(count)]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def test_that_a_newcomer_has_few_notes_of_which_a_smaller_number_are_the_first_of_a_larger_one() -> None:
    notes = {"own": [stranger(number) for number in range(30)]}
    found = Elsewhere(with_newcomer(), notes, seed=1)
    few, more = (found.newcomers[size].notes for size in (2, 5))
    assert (len(few.train), len(more.train)) == (2, 5) and more.train[:2] == few.train
    assert few.test == more.test and few.test is not None and len(few.test) == 6
    apart = {one.id for one in few.test}
    assert not apart & {one.id for part in (more.train, more.validation) for one in part}
    again, other = (Elsewhere(with_newcomer(), notes, seed).newcomers[5].notes.train for seed in (1, 2))
    assert again == more.train and other != more.train


def test_that_whoever_trains_beside_a_federation_can_score_itself_where_the_first_notes_have_no_labels() -> None:
    """Neither a newcomer's two notes nor the first site's first one may have any, which would end the lab."""
    plain = [replace(one, note=one.note.model_copy(update={"entities": ()})) for one in map(stranger, range(28))]
    notes = {"own": [*plain, stranger(28), stranger(29)]}
    sites = [Elsewhere(with_newcomer(), notes, seed).newcomers[5] for seed in range(40)]
    taught = [site for site in sites if any(note.entities for note in site.notes.train)]
    assert taught and all(any(note.entities for note in site.notes.validation) for site in taught)
    bare, marked = stranger(1).note.model_copy(update={"entities": ()}), stranger(2).note
    first, second = (
        LabSite(name, SiteNotes([marked], own, None)) for name, own in (("A", [bare]), ("B", [bare, marked]))
    )
    assert pooled_site([first, second]).notes.validation == [marked]
    assert pooled_site([first]).notes.validation == [bare]


def test_that_a_newcomer_s_test_notes_are_of_other_documents_than_its_training_notes() -> None:
    notes = [stranger(number, f"g{number // 3}") for number in range(30)]
    group = {one.note.id: one.group for one in notes}
    site = Elsewhere(with_newcomer(), {"own": notes}, seed=3).newcomers[5]
    taught = {group[one.id] for part in (site.notes.train, site.notes.validation) for one in part}
    assert not taught & {group[one.id] for one in site.notes.test or ()}


def test_that_too_few_notes_for_a_newcomer_are_told() -> None:
    with told_as(r"own has too few notes \(9\)"):
        Elsewhere(with_newcomer(), {"own": [stranger(number) for number in range(9)]}, seed=1)


def test_that_a_cohort_from_the_command_line_is_measured_on_all_of_its_notes(tmp_path: Path) -> None:
    path = rows_of(tmp_path / "north.jsonl", 4)
    chosen = with_cohorts(
        experiment(corpora=[{"name": "own", "path": str(rows_of(tmp_path / "own.jsonl", 40, 50))}]), [f"North={path}"]
    )
    corpora = read_corpora(chosen, None)
    assert [one.note.id for one in corpora.elsewhere["North"]] == ["n0", "n1", "n2", "n3"]
    site = Elsewhere(chosen, corpora.elsewhere, 1).cohorts["North"]
    assert site.types == ("drug", "problem") and len(site.notes.test or ()) == 4


def test_that_all_tasks_of_which_any_note_has_labels_are_scored_on_a_cohort_and_on_sites_in_full() -> None:
    """Whatever the first note has: here neither a link nor codes."""
    entities = [
        {"id": "T1", "start": 0, "end": 7, "type": "drug", "text": "aspirin"},
        {"id": "T2", "start": 8, "end": 12, "type": "route", "text": "oral"},
    ]
    plain = Note.model_validate({"id": "n1", "text": "aspirin oral", "entities": entities})
    coded = Note.model_validate({"id": "n2", "text": "aspirin", "codes": ["R52"]})
    linked = plain.model_copy(update={"id": "n3", "relations": (Relation(head="T1", tail="T2", type="route"),)})
    tasks = ["entities", "relations", "codes"]
    own = {"name": "own", "path": "."}
    cohort = own | {"name": "North"}
    chosen = experiment(types=["drug"], modifiers=["route"], tasks=tasks, corpora=[own], cohorts=[cohort])
    notes = [plain, plain, coded, linked]
    site = LabSite("Site 1", SiteNotes(notes, [plain], [plain]), ("drug",), ("route",))
    found = Elsewhere(chosen, {"North": [LabNote(one, "North", one.id, ("drug",)) for one in notes]}, 1, [site])
    for one in (found.cohorts["North"], *found.full):
        made = made_tasks(chosen.tasks, one.types, one.modifiers)
        assert [task.name for task in made if task.taught_by(one.notes.train)] == tasks
        assert len(one.notes.train) == 3


@pytest.mark.parametrize("given", ["North", "=there", "North="])
def test_that_a_cohort_without_a_name_or_a_path_is_refused_with_an_example(given: str) -> None:
    with told_as("--cohort NAME=PATH, such as"):
        with_cohorts(experiment(), [given])


def test_that_a_cohort_of_a_corpus_that_sites_have_is_refused() -> None:
    with pytest.raises(ValueError, match="'phee' is named twice"):
        experiment(corpora=[{"name": "phee"}], cohorts=[{"name": "phee"}])


def test_that_a_document_that_a_site_has_is_not_in_a_cohort(tmp_path: Path) -> None:
    own, north = rows_of(tmp_path / "own.jsonl", 30), rows_of(tmp_path / "north.jsonl", 4, start=28)
    chosen = with_cohorts(experiment(corpora=[{"name": "own", "path": str(own)}]), [f"North={north}"])
    found = read_corpora(chosen, None)
    assert [one.note.id for one in found.elsewhere["North"]] == ["n30", "n31"]


def test_that_notes_of_one_s_own_whose_codes_are_asked_for_stay_whole(tmp_path: Path) -> None:
    text = "Pain began on Monday. Aspirin helped. The pain came back."
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps({"id": "a", "text": text, "codes": ["R52"]}) + "\n", encoding="utf-8")
    chosen = experiment(corpora=[{"name": "own", "path": str(path), "characters": 40}]).model_copy(update={"types": ()})
    coded = chosen.model_copy(update={"tasks": ("codes", "entities")})
    assert [one.note.codes for one in read_corpora(coded, None).notes] == [("R52",)]
    plain = read_corpora(chosen.model_copy(update={"tasks": ("text",)}), None).notes
    assert len(plain) == 2 and {one.note.codes for one in plain} == {None}


def test_that_notes_of_one_s_own_keep_their_splits_and_map_their_types(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    for number, split in enumerate(("train", "validation", "test")):
        row = json.loads(stranger(number).note.model_dump_json(exclude_none=True))
        row["entities"][0]["type"] = "Chemical"
        (folder / f"{split}.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    (folder / "types.toml").write_text('[types.map]\nChemical = "drug"\n', encoding="utf-8")
    notes = read_corpora(experiment(corpora=[{"name": "own", "path": str(folder)}]), None).notes
    assert [(one.split, [e.type for e in one.note.entities]) for one in notes] == [
        (split, ["drug", "problem"]) for split in ("train", "validation", "test")
    ]


def test_that_a_fixed_total_of_notes_is_shared_out_and_sites_lack_tasks_in_turn() -> None:
    notes = [lab_note(n, types=("drug", "problem"), corpus="own") for n in range(90)]
    chosen = experiment(
        corpora=[{"name": "own", "path": "."}],
        split={"by": "iid", "total_notes": 30, "test_share": 0.1, "lacking_tasks": [["entities"], []]},
    )
    for count in (2, 3, 5):
        sites = split_into_sites(notes, chosen, count, 1)
        assert {len(site.notes.train) for site in sites} == {30 // count}
        told = [{note.tasks for note in site.notes.train} for site in sites]
        assert told == [{()} if number % 2 == 0 else {("entities",)} for number in range(count)]


def test_that_notes_for_each_site_and_for_all_together_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="leave one of them out"):
        experiment(split={"notes": 3, "total_notes": 9})


def test_that_sites_alone_are_told_on_the_notes_of_all_in_the_mean_and_at_best() -> None:
    rows = [
        row("alone", "alone", seed, 0.6, "test", "", f1_on_all_notes=mean, best_f1_on_all_notes=mean + 0.1,
            loss_on_all_notes=1.0, best_loss_on_all_notes=0.5)
        for seed, mean in ((1, 0.2), (2, 0.3))
    ]  # fmt: skip
    told = alone_on_all_notes([*rows, row("fedavg", "federation", 1, 0.5, "test", "")], Setting(3), "test")
    assert told == [
        '"alone" is each site on its own notes; on the notes of all, their F1 is 0.250 ± 0.071, the best 0.350 ± 0.071.'
    ]
    assert alone_on_all_notes(rows, Setting(3), "validation") == []


def test_that_with_several_tasks_the_best_site_alone_is_told_for_each() -> None:
    own = [measured(one, another) for one, another in ((0.5, 0.0), (0.25, 0.5))]
    measures = on_all_notes([{"A": found} for found in own], scored=True)
    assert measures["best_entities_on_all_notes"] == 0.5 and measures["relations_on_all_notes"] == 0.25
    (told,) = alone_on_all_notes([row("alone", "alone", 1, 0.6, "test", "", **measures)], Setting(3), "test")
    assert told.endswith(
        "0.312, the best 0.375; of entities, 0.375, the best 0.500; of relations, 0.250, the best 0.500."
    )
    one_task = on_all_notes([{"A": measured(0.5)}], scored=True)
    assert not any("entities" in name for name in one_task) and one_task["best_f1_on_all_notes"] == 0.5


def measured(entities: float, relations: float | None = None) -> Measured:
    """A site's measurements with these F1 scores, of which relations may be none."""
    told: dict[TaskName, float | None] = {"entities": entities, "relations": relations}
    tasks = {task: scored(f1) for task, f1 in told.items() if f1 is not None}
    return Measured(1.0, Scores(tasks=tasks), 1)


def scored(f1: float) -> TaskScores:
    return TaskScores(strict={"drug": Counts(tp=round(100 * f1), fn=200 - 2 * round(100 * f1))})


def row(
    label: str, kind: str, seed: int, f1: float, split: str = "cohort", elsewhere: str = "North", **measures: float
) -> ResultRow:
    return ResultRow.model_validate(
        {
            "cell": "c", "label": label, "method": label, "kind": kind, "sites_count": 3, "seed": seed, "round": 0,
            "split": split, "elsewhere": elsewhere, "loss": 1.0, "worst_loss": 1.0, "f1": f1, "measures": measures,
        }
    )  # fmt: skip


def test_that_tables_give_points_above_the_base_of_the_same_seed_and_a_newcomer_by_its_notes() -> None:
    rows = [
        *(row("base", "base", seed, 0.1 * seed) for seed in (1, 2)),
        *(row("fedavg", "federation", seed, 0.1 * seed + 0.3) for seed in (1, 2)),
        row("base", "base", 1, 0.2, "newcomer", "5 notes, base", notes=5),
        row("fedavg", "federation", 1, 0.6, "newcomer", "5 notes, federation", notes=5),
        row("fedavg", "federation", 1, 0.7, "newcomer", "20 notes, personal", notes=20),
    ]
    headings, lines = cohort_tables(rows, Setting(3))["North"]
    assert headings == ("model", "F1", "points above the base")
    assert lines == [("fedavg", "0.450 ± 0.071", "+30.0"), ("base", "0.150 ± 0.071", "")]
    table = newcomer_table(rows, Setting(3))
    assert table is not None and table[0] == ("begins from", "5 notes", "20 notes")
    assert ("the base", "0.200", "–") in table[1] and ("fedavg, in an adapter of its own", "–", "0.700") in table[1]
    assert newcomer_table(rows[:2], Setting(3)) is None


def test_that_a_cohort_scored_by_loss_has_differences_of_loss() -> None:
    rows = [row("base", "base", 1, None), row("fedavg", "federation", 1, None).model_copy(update={"loss": 0.75})]
    headings, lines = cohort_tables(rows, Setting(3))["North"]
    assert headings == ("model", "loss", "difference to the base (lower is better)")
    assert sorted(lines) == [("base", "1.000", ""), ("fedavg", "0.750", "-0.250")]


def test_that_an_unknown_corpus_without_a_path_is_refused_by_the_known_names() -> None:
    with pytest.raises(ValueError, match="there is no corpus 'mimic': give its path"):
        experiment(corpora=[{"name": "mimic"}])
