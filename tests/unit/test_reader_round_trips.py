# SPDX-License-Identifier: Apache-2.0
"""Notes of every kind, written as each tool writes them, are read back with the same text and the same spans."""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmed_desktop.clinical.readers import reader_for
from fedmed_desktop.clinical.readers.record import Record
from tests.parts.marked import MarkedText, marked_texts, read_back

NOTES = st.lists(marked_texts(), min_size=1, max_size=3)


def own(note: MarkedText, number: int) -> dict[str, Any]:
    entities = [
        {"id": f"T{at}", "start": start, "end": end, "type": kind, "text": note.words(at)}
        for at, (start, end, kind) in enumerate(note.spans)
    ]
    links = [{"head": "T0", "tail": f"T{at}", "type": "r"} for at in range(1, len(note.spans))]
    return {"id": f"n{number}", "text": note.text, "entities": entities, "relations": links, "split": "dev"}


def doccano(note: MarkedText, number: int) -> dict[str, Any]:
    return {"id": number, "text": note.text, "label": note.spans, "Comments": []}


def doccano_relations(note: MarkedText, number: int) -> dict[str, Any]:
    entities = [
        {"id": 100 + at, "label": kind, "start_offset": start, "end_offset": end}
        for at, (start, end, kind) in enumerate(note.spans)
    ]
    links = [{"id": 7, "from_id": 100, "to_id": 100 + at, "type": "r"} for at in range(1, len(note.spans))]
    return {"id": number, "text": note.text, "entities": entities, "relations": links}


def prodigy(note: MarkedText, number: int) -> dict[str, Any]:
    spans = [{"start": start, "end": end, "label": kind, "token_start": 0} for start, end, kind in note.spans]
    tokens = [{"text": sign, "start": at, "end": at + 1, "id": at, "ws": False} for at, sign in enumerate(note.text)]
    links = [{"head": 0, "child": 1, "head_span": spans[0], "child_span": span, "label": "r"} for span in spans[1:]]
    row = {"text": note.text, "spans": spans, "tokens": tokens, "relations": links, "answer": "accept"}
    return {**row, "_input_hash": number, "_task_hash": -number, "_view_id": "relations"}


def label_studio(note: MarkedText, number: int) -> dict[str, Any]:
    regions: list[dict[str, Any]] = [
        {
            **{"id": f"T{at}", "from_name": "label", "to_name": "text", "type": "labels"},
            "value": {"start": start, "end": end, "text": note.words(at), "labels": [kind]},
        }
        for at, (start, end, kind) in enumerate(note.spans)
    ]
    links = [
        {"from_id": "T0", "to_id": f"T{at}", "type": "relation", "direction": "right", "labels": ["r"]}
        for at in range(1, len(note.spans))
    ]
    return {"id": number, "data": {"text": note.text}, "annotations": [{"id": 1, "result": regions + links}]}


def label_studio_min(note: MarkedText, number: int) -> dict[str, Any]:
    marks = [
        {"start": start, "end": end, "text": note.words(at), "labels": [kind]}
        for at, (start, end, kind) in enumerate(note.spans)
    ]
    row: dict[str, Any] = {"id": number, "text": note.text, "annotator": 1, "annotation_id": 5, "lead_time": 1.5}
    return {**row, "label": marks} if marks else row


WITH_RELATIONS = (own, doccano_relations, prodigy, label_studio)
SHAPES: Sequence[Callable[[MarkedText, int], dict[str, Any]]] = (*WITH_RELATIONS, doccano, label_studio_min)


def lines(rows: list[dict[str, Any]], ascii: bool) -> str:
    return "".join(json.dumps(row, ensure_ascii=ascii) + "\r\n" for row in rows)


FILES: dict[str, Callable[[list[dict[str, Any]]], bytes]] = {
    "notes.jsonl": lambda rows: lines(rows, False).encode(),
    "marked.jsonl": lambda rows: lines(rows, True).encode("utf-8-sig"),
    "wide.jsonl": lambda rows: lines(rows, False).encode("utf-16"),
    "notes.jsonl.gz": lambda rows: gzip.compress(lines(rows, False).encode(), 1, mtime=0),
    "notes.json": lambda rows: json.dumps(rows, ensure_ascii=False, indent=1).encode(),
    "marked.json": lambda rows: json.dumps(rows).encode("utf-8-sig"),
    "wide.json": lambda rows: json.dumps(rows, ensure_ascii=False).encode("utf-16"),
    "rows.json": lambda rows: lines(rows, False).encode(),
    "notes.json.gz": lambda rows: gzip.compress(json.dumps(rows, ensure_ascii=False).encode(), 1, mtime=0),
}


def written(name: str, data: bytes) -> list[Record]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        return list(reader_for(path).read(path))


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
@settings(max_examples=60)
@given(NOTES, st.sampled_from(sorted(FILES)))
def test_that_json_of_each_tool_is_read_back(
    shape: Callable[[MarkedText, int], dict[str, Any]], notes: list[MarkedText], name: str
) -> None:
    records = written(name, FILES[name]([shape(note, number) for number, note in enumerate(notes, 1)]))
    assert [read_back(record) for record in records] == notes
    assert [record.row for record in records] == list(range(1, len(notes) + 1))
    for record, note in zip(records, notes, strict=True):
        assert record.note
        links = len(note.spans) - 1 if shape in WITH_RELATIONS and note.spans else 0
        assert len(record.note.relations) == links
        assert {remark.code for remark in record.remarks} <= {"nested_kept", "overlapping_kept"}


TOKENS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters=" \t\r\n\x00"), min_size=1, max_size=5
).filter(lambda token: token == token.strip() and "\ufeff" not in token)
PARTS = st.lists(
    st.tuples(st.lists(TOKENS, min_size=1, max_size=3), st.sampled_from(["", "Drug", "Lab-value"])), min_size=1
)
DOCUMENTS = st.lists(st.lists(PARTS, min_size=1, max_size=3), min_size=1, max_size=3)

Part = tuple[list[str], str]


def tags(scheme: str, size: int, kind: str, after: str) -> list[str]:
    """The tags of an entity of some tokens; `after`: the type that ended just before it, for IOB1."""
    if not kind:
        return ["O"] * size
    if scheme in ("BIOES", "BILOU"):
        single, end = ("S", "E") if scheme == "BIOES" else ("U", "L")
        return [f"{single}-{kind}"] if size == 1 else [f"B-{kind}", *[f"I-{kind}"] * (size - 2), f"{end}-{kind}"]
    first = "I" if scheme == "IOB1" and after != kind else "B"
    return [f"{first}-{kind}", *[f"I-{kind}"] * (size - 1)]


def columns(scheme: str, between: str, documents: list[list[list[Part]]]) -> tuple[str, list[MarkedText]]:
    """A file in columns, and the notes that it should give."""
    file, notes = [], []
    for document in documents:
        file.append(f"-DOCSTART-{between}O\n\n")
        text, spans = "", []
        for sentence in document:
            after = ""
            text += "\n" if text else ""
            for at, (tokens, kind) in enumerate(sentence):
                text += " " if at else ""
                words = " ".join(tokens)
                if kind:
                    spans.append((len(text), len(text) + len(words), kind))
                text += words
                marks = tags(scheme, len(tokens), kind, after)
                file += [f"{token}{between}NN{between}{mark}\n" for token, mark in zip(tokens, marks, strict=True)]
                after = kind
            file.append("\n")
        notes.append(MarkedText(text, tuple(spans)))
    return "".join(file), notes


@pytest.mark.parametrize("scheme", ["IOB1", "IOB2", "BIOES", "BILOU"])
@settings(max_examples=60)
@given(DOCUMENTS, st.sampled_from([" ", "\t"]), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_that_columns_are_read_back(
    scheme: str, documents: list[list[list[Part]]], between: str, encoding: str
) -> None:
    text, notes = columns(scheme, between, documents)
    records = written("notes.conll", text.encode(encoding))
    assert [read_back(record) for record in records] == notes
    assert not [remark for record in records for remark in record.remarks if remark.code == "tag_repaired"]


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), marked_texts(), min_size=1), st.booleans())
def test_that_a_folder_of_texts_is_read_back(notes: dict[str, MarkedText], wide: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for stem, note in notes.items():
            (folder / f"{stem}.txt").write_bytes(note.text.encode("utf-16" if wide else "utf-8"))
        records = list(reader_for(folder).read(folder))
    assert [(record.note.id, record.note.text) for record in records if record.note] == [
        (stem, notes[stem].text) for stem in sorted(notes)
    ]
