# SPDX-License-Identifier: Apache-2.0
"""Details of annotation tools' rows, mixed folders, and files of arbitrary bytes."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmed_desktop.clinical import Note, read_notes, read_notes_folder
from fedmed_desktop.clinical.readers import READERS, SUFFIXES, Record, reader_for
from fedmed_desktop.errors import UserFacingError
from tests.parts.marked import proved
from tests.parts.told import told_as

TEXT = "No pain, no gain."


def records(tmp_path: Path, name: str, *rows: Any) -> list[Record]:
    path = tmp_path / name
    content = json.dumps(rows) if name.endswith(".json") else "".join(f"{json.dumps(row)}\n" for row in rows)
    path.write_text(content, encoding="utf-8")
    return list(reader_for(path).read(path))


def result(name: str, start: int, end: int, *labels: str) -> dict[str, Any]:
    return {"id": name, "type": "labels", "value": {"start": start, "end": end, "labels": list(labels)}}


def link(head: str, tail: str, **more: Any) -> dict[str, Any]:
    return {"type": "relation", "from_id": head, "to_id": tail, **more}


def test_that_the_ground_truth_of_label_studio_is_read_and_relations_go_as_they_point(tmp_path: Path) -> None:
    marks = [result("a", 3, 7, "Problem", "Symptom"), result("b", 12, 16, "Finding")]
    links = [link("a", "b", direction="left", labels=["r"]), link("a", "b", direction="bi")]
    annotations = [{"result": []}, {"was_cancelled": True}, {"ground_truth": True, "result": marks + links}]
    (record,) = records(tmp_path, "l.json", {"id": 7, "data": {"note": TEXT, "patient": 9}, "annotations": annotations})
    assert record.note
    assert (record.note.id, record.note.patient, record.note.text) == ("7", "9", TEXT)
    assert [(one.id, one.type, one.text) for one in record.note.entities] == [
        ("a", "Problem", "pain"),
        ("a/2", "Symptom", "pain"),
        ("b", "Finding", "gain"),
    ]
    assert [(one.head, one.tail, one.type) for one in record.note.relations] == [
        ("b", "a", "r"),
        ("a", "b", "related"),
        ("b", "a", "related"),
    ]
    assert ("annotation_not_read", "by further annotators", 1) in [(o.code, o.what, o.count) for o in record.remarks]


def test_that_annotations_of_one_task_in_json_min_belong_together(tmp_path: Path) -> None:
    row = {"id": 3, "report": TEXT, "annotator": 1, "lead_time": 2.5, "created_at": "2026-01-01"}
    mark = {"start": 3, "end": 7, "labels": ["Problem"]}
    first, second = records(
        tmp_path, "l.json", {**row, "annotation_id": 8, "ner": [mark]}, {**row, "annotation_id": 9, "annotator": 2}
    )
    assert first.note
    assert second.note
    assert [(one.id, one.document, len(one.entities)) for one in (first.note, second.note)] == [
        ("3.8", "3", 1),
        ("3.9", "3", 0),
    ]


def test_that_a_text_that_prodigy_asked_several_people_about_is_one_document(tmp_path: Path) -> None:
    row = {"text": TEXT, "_input_hash": 77, "_task_hash": 1, "answer": "accept"}
    span = {"start": 3, "end": 7, "label": "Problem"}
    first, second, third = records(
        tmp_path,
        "p.jsonl",
        {
            **row,
            "spans": [span],
            "relations": [{"label": "r", "head_span": span, "child_span": {"start": 12, "end": 16}}],
        },
        {**row, "answer": "reject"},
        row,
    )
    assert first.note
    assert third.note
    assert [(one.id, one.document) for one in (first.note, third.note)] == [("1", "77"), ("3", "77")]
    assert [(remark.code, remark.count) for remark in first.remarks] == [("relation_dropped", 1)]
    assert (second.note, second.refusal) == (None, None)


def test_that_rows_that_annotators_rejected_do_not_stop_training(tmp_path: Path) -> None:
    row = {"text": TEXT, "_input_hash": 77, "answer": "ignore"}
    records(tmp_path, "train.jsonl", row, {**row, "answer": "accept"})
    assert [note.id for note in read_notes(tmp_path / "train.jsonl")] == ["2"]
    records(tmp_path, "train.jsonl", row)
    with told_as("train.jsonl contains no notes that can be used"):
        read_notes(tmp_path / "train.jsonl")


def test_that_our_own_rows_carry_all_that_a_note_can(tmp_path: Path) -> None:
    row = {
        **{"id": 1, "text": TEXT, "codes": ["I10"], "question": "Pain?", "options": ["yes", "no"], "answer": 1},
        **{
            "summary": "None.",
            "patient": 4711,
            "document": 12,
            "specialty": "Urology",
            "split": "dev",
            "tasks": ["codes"],
        },
    }
    (record,) = records(tmp_path, "n.json", row)
    assert record.note
    assert (record.split, record.remarks) == ("validation", ())
    kept = record.note.model_dump(exclude={"entities", "relations"})
    texts = {
        "id": "1",
        "patient": "4711",
        "document": "12",
        "codes": ("I10",),
        "options": ("yes", "no"),
        "tasks": ("codes",),
    }
    assert kept == {key: value for key, value in row.items() if key != "split"} | texts


def test_that_the_first_wrong_row_is_told_with_how_many_follow(tmp_path: Path) -> None:
    records(
        tmp_path,
        "n.jsonl",
        {"id": "a", "text": TEXT},
        {"id": "b"},
        {"id": "c", "text": TEXT},
        {},
        {"id": "a", "text": "x"},
    )
    with told_as(
        "n.jsonl has an error in row 2: missing 'text'; found 'id'. More rows with an error: 2.*--check-notes$"
    ):
        read_notes(tmp_path / "n.jsonl")


def test_that_a_site_s_folder_may_hold_its_splits_in_different_formats(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "a.txt").write_text(TEXT, encoding="utf-8")
    (tmp_path / "train" / "a.ann").write_text("T1\tProblem 3 7\tpain\n", encoding="utf-8")
    (tmp_path / "validation.conll").write_text("No O\npain B-Problem\n", encoding="utf-8")
    (tmp_path / "test.json").write_text(json.dumps([{"id": "t", "text": TEXT}]), encoding="utf-8")
    notes = read_notes_folder(tmp_path)
    assert [entity.text for note in (*notes.train, *notes.validation) for entity in note.entities] == ["pain", "pain"]
    assert [note.id for note in notes.test or []] == ["t"]
    (tmp_path / "train.csv").write_text("text\nx\n", encoding="utf-8")
    with told_as("has both train and train.csv"):
        read_notes_folder(tmp_path)


@pytest.mark.parametrize("row", [{"text": TEXT, "label": []}, {"text": TEXT, "label": [], "id": 3}])
def test_that_a_row_of_doccano_without_marks_is_a_note(row: dict[str, Any], tmp_path: Path) -> None:
    (record,) = records(tmp_path, "d.jsonl", row)
    assert record.note
    assert (record.note.id, record.note.entities) == (str(row.get("id", 1)), ())


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=5), inside, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(
    [
        *("id", "text", "entities", "relations", "label", "labels", "spans", "tokens", "answer", "data", "annotations"),
        *("_input_hash", "annotation_id", "lead_time", "annotator", "split", "codes", "options", "patient", "meta"),
    ]
)
ENTRIES = st.sampled_from(
    [
        *([0, 4, "x"], [3, 1, "x"], {"start": 3, "end": 7, "label": "x"}, {"start": 1}, {"id": 1, "start_offset": 3}),
        *({"id": 1, "start_offset": 3, "end_offset": 7, "label": "x"}, {"from_id": 1, "to_id": 1, "type": "r"}),
        *({"result": [{"type": "labels", "value": {"start": 0, "end": 2, "labels": ["x"]}}]}, {"result": None}, "x"),
    ]
)
FUZZED = st.dictionaries(KEYS, VALUES | st.just(TEXT) | st.lists(ENTRIES, max_size=3), max_size=8)


@settings(max_examples=100)
@given(st.lists(FUZZED, min_size=1, max_size=3), st.sampled_from(["n.json", "n.jsonl"]))
def test_that_no_row_of_json_is_worse_than_refused(rows: list[dict[str, Any]], name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for record in records(Path(folder), name, *rows):
            if record.note is not None:
                proved(record.note)
            else:
                assert record.remarks


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.just("x" * 201),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.sampled_from(["id", "start", "type"]), values),
    max_leaves=6,
)


@settings(max_examples=150)
@given(st.sampled_from(sorted(Note.model_fields)), JSON)
def test_that_a_wrong_field_is_told_in_words_of_ours(key: str, value: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (record,) = records(Path(folder), "n.jsonl", {"id": "a", "text": TEXT, key: value})
        reason = record.refusal.reason if record.refusal else ""
        assert not re.search("should|required|not as it must be", reason), "a validator's own words"


@settings(max_examples=150)
@given(st.binary(max_size=200), st.sampled_from(SUFFIXES))
def test_that_no_bytes_are_worse_than_told(data: bytes, suffix: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"n{suffix}"
        path.write_bytes(data)
        try:
            for record in reader_for(path).read(path):
                assert record.note or record.remarks
        except UserFacingError as error:
            assert error.code.startswith("clinical.")


def test_that_each_reader_has_a_name_of_its_own() -> None:
    assert len({reader.name for reader in READERS}) == len(READERS)


def test_that_a_relation_listed_twice_is_taken_once_and_told_apart_from_one_without_its_mention(tmp_path: Path) -> None:
    mentions = [
        {"id": name, "start": at, "end": at + 1, "type": "x", "text": "ab"[at]} for at, name in enumerate(("T1", "T2"))
    ]
    link = {"head": "T1", "tail": "T2", "type": "causes"}
    row = {"id": "1", "text": "ab", "entities": mentions, "relations": [link, link, link]}
    (tmp_path / "n.jsonl").write_text(json.dumps(row))
    (record,) = reader_for(tmp_path / "n.jsonl").read(tmp_path / "n.jsonl")
    told = [(remark.code, remark.count) for remark in record.remarks]
    assert record.note and len(record.note.relations) == 1 and ("repeated_relation_dropped", 2) in told
    assert not any(code == "relation_dropped" for code, _ in told)
