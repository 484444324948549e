# SPDX-License-Identifier: Apache-2.0
"""Corpora as notes in the experiment's types, read from made-up files in the shape of the real ones."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from fedmed_desktop.clinical.icd10.chapters import CHAPTERS, chapter, main_chapter
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.lab.corpora import LabNote, read_corpora
from fedmed_desktop.lab.partition import split_into_sites
from fedmed_desktop.wording import told
from tests.parts.lab import experiment, text_experiment

PHEE = [
    {
        "id": f"phee-77_{number}",
        "split": "train",
        "text": "Aspirin 5 mg for pain. Nothing else was given to her.",
        "entities": [
            {"id": "T1", "start": 0, "end": 12, "type": "Treatment", "text": "Aspirin 5 mg"},
            {"id": "T2", "start": 0, "end": 7, "type": "Drug", "text": "Aspirin"},
            {"id": "T3", "start": 17, "end": 21, "type": "Effect", "text": "pain"},
            {"id": "T4", "start": 13, "end": 16, "type": "Adverse_event", "text": "for"},
        ],
        "relations": [{"head": "T4", "tail": "T2", "type": "has_drug"}],
    }
    for number in (1, 2)
]
MTSAMPLES = [
    {"id": f"mts-{number}", "specialty": "Urology", "title": "A", "text": f"Note {number}.", "dup_group": "g1"}
    for number in range(3)
]
CODIESP = [
    {"id": "codiesp-S01-1", "split": "train", "text": "A case.", "codes": ["R50.9", "R10", "I10", "I21.4", "J18.9"]},
    {"id": "codiesp-S01-2", "split": "dev", "text": "Another.", "codes": ["R50.9"]},
]
LABEL_MAP = {"entity": {"phee": {"Drug": "drug", "Treatment": "treatment", "Effect": "problem"}}}


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write(tmp_path / "ner_re" / "phee.jsonl.gz", PHEE)
    write(tmp_path / "mtsamples.jsonl.gz", MTSAMPLES)
    write(tmp_path / "codiesp_icd10.jsonl.gz", CODIESP)
    (tmp_path / "ner_re" / "label_map.json").write_text(json.dumps(LABEL_MAP), "utf-8")
    return tmp_path


def marked(one: LabNote) -> list[tuple[str, str]]:
    return [(entity.type, entity.text) for entity in one.note.entities]


def refused(data: Path | None, **changes: Any) -> UserFacingError:
    with pytest.raises(UserFacingError) as caught:
        read_corpora(experiment(**changes), data)
    return caught.value


def test_that_types_are_the_experiments_and_nested_ones_wait_for_the_sites(data: Path) -> None:
    notes = read_corpora(experiment(types=["drug", "treatment"], corpora=[{"name": "phee"}]), data).notes
    assert marked(notes[0]) == [("treatment", "Aspirin 5 mg"), ("drug", "Aspirin")]
    assert notes[0].types == ("drug", "treatment")
    assert {one.group for one in notes} == {"pubmed-77"} and notes[0].split == "train"


def test_that_a_map_in_the_experiment_replaces_the_usual_one(data: Path) -> None:
    corpora = [{"name": "phee", "types": {"Adverse_event": "problem"}}]
    notes = read_corpora(experiment(types=["drug", "problem"], corpora=corpora), data).notes
    assert marked(notes[0]) == [("problem", "for")] and notes[0].types == ("problem",)


def test_that_long_texts_are_cut_between_sentences_and_stay_one_group(data: Path) -> None:
    notes = read_corpora(experiment(corpora=[{"name": "phee", "characters": 40}]), data).notes
    assert [one.note.text for one in notes[:2]] == ["Aspirin 5 mg for pain.", "Nothing else was given to her."]
    assert marked(notes[0]) == [("drug", "Aspirin"), ("problem", "pain")] and not notes[1].note.entities
    assert len({one.note.id for one in notes}) == 4 and len({one.group for one in notes}) == 1


def test_that_a_bound_keeps_whole_groups_and_the_same_ones(data: Path) -> None:
    rows = [{**row, "id": f"phee-{number}_{row['id'][-1]}"} for number in range(30) for row in PHEE]
    write(data / "ner_re" / "phee.jsonl.gz", rows)
    few = experiment(corpora=[{"name": "phee", "notes": 15}])
    notes = read_corpora(few, data).notes
    assert len(notes) == 14 and len({one.group for one in notes}) == 7
    assert read_corpora(few, data).notes == notes
    assert notes == [one for one in read_corpora(experiment(corpora=[{"name": "phee"}]), data).notes if one in notes]


def test_that_documents_which_say_nearly_the_same_are_one_group_in_all_corpora(data: Path) -> None:
    criteria = "Adults between eighteen and eighty years who have had heart failure for longer than three months now ."
    rows = [{**PHEE[0], "id": f"phee-{n}_1", "split": split, "entities": [], "text": f"{criteria} {n}"}
            for n, split in ((1, "train"), (2, "test"))]  # fmt: skip
    write(data / "ner_re" / "phee.jsonl.gz", rows)
    write(
        data / "ner_re" / "chia.jsonl.gz",
        [{**rows[0], "id": "NCT01_inc"}, {**rows[0], "id": "NCT02", "text": "Other."}],
    )
    labels = {"entity": dict.fromkeys(("phee", "chia"), LABEL_MAP["entity"]["phee"])}
    (data / "ner_re" / "label_map.json").write_text(json.dumps(labels), "utf-8")
    notes = read_corpora(experiment(corpora=[{"name": "phee"}, {"name": "chia"}]), data).notes
    assert [one.group for one in notes] == ["pubmed-1", "pubmed-1", "pubmed-1", "NCT02"]


def test_that_text_corpora_have_specialties_and_groups_of_alike_notes(data: Path) -> None:
    notes = read_corpora(text_experiment(), data).notes
    assert {(one.note.specialty, one.group, one.split, one.note.entities) for one in notes} == {
        ("Urology", "g1", None, ())
    }


def test_that_a_coded_notes_specialty_is_its_chapter_and_cases_of_an_article_stay_together(data: Path) -> None:
    first, second = read_corpora(text_experiment(corpora=[{"name": "codiesp"}]), data).notes
    assert first.chapter == first.note.specialty == "Circulatory system"
    assert second.chapter == "Symptoms and findings"
    assert first.group == second.group == "codiesp-S01"
    assert (first.split, second.split) == ("train", "validation")


def test_that_bundled_notes_keep_their_sites_splits_and_types() -> None:
    notes = read_corpora(experiment(), None).notes
    assert {one.corpus: one.types for one in notes} == {
        "Hillcrest": ("problem",),
        "Lakeview": ("drug", "problem"),
        "Riverside": ("drug", "problem"),
    }
    assert {split: sum(one.split == split for one in notes) for split in ("train", "validation", "test")} == {
        "train": 3000,
        "validation": 300,
        "test": 450,
    }
    assert all(one.group.startswith("pubmed-") for one in notes)


def test_that_bundled_texts_alone_need_no_types() -> None:
    notes = read_corpora(text_experiment(corpora=[{"name": "bundled"}]), None).notes
    assert len(notes) == 3750 and not any(one.note.entities or one.types for one in notes)


def test_that_what_is_not_there_is_told(data: Path, tmp_path: Path) -> None:
    assert refused(None, corpora=[{"name": "phee"}]).code == "lab.data_needed"
    assert "--data" in told(refused(None, corpora=[{"name": "phee"}]))
    assert refused(data, corpora=[{"name": "chia"}]).code == "lab.label_map"
    (data / "ner_re" / "phee.jsonl.gz").unlink()
    assert refused(data, corpora=[{"name": "phee"}]).code == "lab.corpus_missing"
    (data / "ner_re" / "label_map.json").unlink()
    assert "label_map.json does not exist" in told(refused(data, corpora=[{"name": "phee"}]))


def test_that_a_corpus_without_any_of_the_types_is_refused(data: Path) -> None:
    error = refused(data, types=["test"], corpora=[{"name": "phee"}])
    assert error.code == "lab.corpus_types" and "It has: drug, problem, treatment" in told(error)
    error = refused(None, types=["drug"])
    assert error.code == "lab.corpus_types" and "Hillcrest" in told(error)


def test_that_a_labelled_corpus_whose_entities_stand_under_another_key_is_refused(data: Path) -> None:
    spans = [{"id": row["id"], "text": row["text"], "spans": row["entities"]} for row in PHEE]
    write(data / "ner_re" / "phee.jsonl.gz", spans)
    error = refused(data, types=["drug"], corpora=[{"name": "phee"}])
    assert error.code == "lab.corpus_row" and error.params["row"] == 1


def test_that_damage_is_told_without_the_words_of_a_note(data: Path) -> None:
    path = data / "ner_re" / "phee.jsonl.gz"
    write(path, [PHEE[0], PHEE[1] | {"text": "Secret."}])
    error = refused(data, corpora=[{"name": "phee"}])
    assert error.code == "lab.corpus_row" and "Row 2" in told(error) and "Secret" not in told(error)
    path.write_bytes(path.read_bytes()[:-20])
    assert refused(data, corpora=[{"name": "phee"}]).code == "lab.corpus_unreadable"
    path.write_text("no gzip", "utf-8")
    assert refused(data, corpora=[{"name": "phee"}]).code == "lab.corpus_unreadable"
    write(path, [])
    path.write_bytes(gzip.compress(b"[1]\n"))
    assert refused(data, corpora=[{"name": "phee"}]).code == "lab.corpus_row"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("A00", "Infectious and parasitic diseases"),
        ("b99.9", "Infectious and parasitic diseases"),
        ("C7A.010", "Neoplasms"),
        ("D49.9", "Neoplasms"),
        ("D50.0", "Blood and immune mechanism"),
        ("D89", "Blood and immune mechanism"),
        ("H59.89", "Eye and adnexa"),
        ("H60.0", "Ear and mastoid"),
        ("M1A.0", "Musculoskeletal system"),
        ("O9A.1", "Pregnancy and childbirth"),
        ("T88.9", "Injury and poisoning"),
        ("U07.1", "Special purposes"),
        ("Y99", "External causes"),
        ("Z3A", "Factors influencing health"),
        ("T89", None),
        ("D90", None),
        ("I1", None),
        ("", None),
        ("099", None),
    ],
)
def test_that_a_codes_chapter_is_icd_10_cms(code: str, expected: str | None) -> None:
    assert chapter(code) == expected


def test_that_chapters_are_in_order_and_apart() -> None:
    edges = [edge for first, last, _ in CHAPTERS for edge in (first, last)]
    assert edges == sorted(edges) and len(CHAPTERS) == 22


def test_that_a_note_is_about_what_most_of_its_codes_are_of() -> None:
    assert main_chapter(["I10", "J18", "J20"]) == "Respiratory system"
    assert main_chapter(["R50", "R51", "R52", "I10"]) == "Circulatory system"
    assert main_chapter(["Z99", "R50", "R51"]) == "Symptoms and findings"
    assert main_chapter(["J18", "I10"]) == "Respiratory system", "of equal ones the first"
    assert main_chapter([]) is None and main_chapter(["?"]) is None


def test_that_links_of_modifiers_are_read_by_the_map_and_wait_for_the_sites_too(data: Path) -> None:
    linked = [
        row
        | {
            "entities": [*row["entities"], {"id": "T5", "start": 8, "end": 12, "type": "Dosage", "text": "5 mg"}],
            "relations": [
                {"head": "T1", "tail": "T2", "type": "has_drug"},
                {"head": "T1", "tail": "T5", "type": "has_dosage"},
            ],
        }
        for row in PHEE
    ]
    write(data / "ner_re" / "phee.jsonl.gz", linked)
    ends = {"relation_modifier_end": {"phee": {"has_dosage": "tail"}}}
    types = LABEL_MAP["entity"]["phee"] | {"Dosage": "dosage"}
    (data / "ner_re" / "label_map.json").write_text(json.dumps({"entity": {"phee": types}} | ends), "utf-8")
    learned = {"types": ["drug", "treatment"], "modifiers": ["dosage", "route"], "tasks": ["entities", "relations"]}
    first = read_corpora(experiment(**learned, corpora=[{"name": "phee"}]), data).notes[0]
    # The treatment, which stands for its drug, gives way to it.
    assert marked(first) == [("drug", "Aspirin"), ("dosage", "5 mg")]
    assert [(link.head, link.tail, link.type) for link in first.note.relations] == [("T2", "T5", "dosage")]
    assert first.types == ("drug", "treatment")
    first = read_corpora(experiment(types=["drug"], corpora=[{"name": "phee"}]), data).notes[0]
    assert marked(first) == [("drug", "Aspirin")] and not first.note.relations, "nobody learns relations"


def test_that_sites_learn_the_modifiers_that_their_training_notes_link() -> None:
    learned = experiment(
        tasks=["entities", "relations"],
        types=["drug", "problem"],
        modifiers=["dosage", "route", "severity"],
        split={"by": "corpus"},
        sites=[3],
    )
    sites = {site.name: site for site in split_into_sites(read_corpora(learned, None).notes, learned, 3, 1)}
    found = {site.modifiers for site in sites.values()}
    assert found == {(), ("dosage", "route")}
    [with_links] = [site for site in sites.values() if site.modifiers]
    assert sum(len(note.relations) for note in with_links.notes.train) > 200
    assert with_links.notes.test is not None and any(note.relations for note in with_links.notes.test)


def test_that_coded_reports_keep_their_codes(data: Path) -> None:
    notes = read_corpora(experiment(tasks=["codes"], types=[], corpora=[{"name": "codiesp"}]), data).notes
    assert [one.note.codes for one in notes] == [("R50.9", "R10", "I10", "I21.4", "J18.9"), ("R50.9",)]
