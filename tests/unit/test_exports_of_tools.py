# SPDX-License-Identifier: Apache-2.0
"""Files as annotation tools and corpora write them: no mention, relation or note is lost on the way."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fedmed_desktop.clinical import Note, read_notes
from fedmed_desktop.clinical.reader import split_path
from fedmed_desktop.clinical.readers import Record, reader_for

if TYPE_CHECKING:
    import spacy
    from spacy.tokens import Doc, DocBin, Span

TEXT = "Aspirin, then bleeding."


def read(path: Path, content: object) -> list[Record]:
    """The records of a file with these bytes, this text, or these rows of JSON."""
    if isinstance(content, list):
        content = "".join(f"{json.dumps(row)}\n" for row in content)
    path.write_bytes(content if isinstance(content, bytes) else str(content).encode())
    return list(reader_for(path).read(path))


def notes(records: list[Record]) -> list[Note]:
    assert all(record.note for record in records), records
    return [record.note for record in records if record.note]


def mentions(note: Note) -> list[tuple[str, str]]:
    return [(one.type, one.text) for one in note.entities]


def links(note: Note) -> list[tuple[str, str, str]]:
    words = {one.id: one.text for one in note.entities}
    return [(words[one.head], one.type, words[one.tail]) for one in note.relations]


def test_that_the_text_of_doccano_may_be_called_data(tmp_path: Path) -> None:
    mark = {"id": 4, "label": "drug", "start_offset": 0, "end_offset": 7}
    rows = [
        {"id": 1, "data": TEXT, "label": [[0, 7, "drug"]]},
        {"id": 2, "data": TEXT, "entities": [mark], "relations": []},
        {"id": 3, "data": TEXT, "label": []},
        {"id": 4, "data": TEXT, "entities": [], "relations": []},
    ]
    records = read(tmp_path / "n.jsonl", rows)
    assert [(mentions(note), note.tasks) for note in notes(records)] == [
        *([([("drug", "Aspirin")], None)] * 2),
        *([([], ("entities",))] * 2),
    ]
    assert [record.remarks for record in records] == [()] * 4


def test_that_a_region_of_label_studio_that_two_controls_label_is_two_mentions(tmp_path: Path) -> None:
    def marked(control: str, name: str, start: int, end: int, *labels: str) -> dict[str, Any]:
        value = {"start": start, "end": end, "labels": labels}
        return {"id": name, "type": "labels", "from_name": control, "to_name": "t", "value": value}

    link = {"type": "relation", "from_id": "a", "to_id": "b", "labels": ["causes"]}
    result = [
        *(marked("kind", "a", 0, 7, "drug", "event"), marked("kind", "b", 14, 22, "problem")),
        *(marked("source", "a", 0, 7, "reported", "old"), marked("source", "b", 14, 22, "seen"), link),
    ]
    (note,) = notes(
        read(tmp_path / "n.json", json.dumps({"data": {"text": TEXT}, "annotations": [{"result": result}]}))
    )
    assert [kind for kind, _ in mentions(note)] == ["drug", "event", "problem", "reported", "old", "seen"]
    assert links(note) == [("Aspirin", "causes", "bleeding")]


@pytest.mark.parametrize("words", ["Severe\\nback  pain", "Severeback pain", "Severe\nback pain"])
def test_that_a_region_of_label_studio_over_two_lines_is_proved_by_its_words(words: str, tmp_path: Path) -> None:
    """Its window writes a line end as a backslash and an n; version 1.4 left it out at an update."""
    value = {"start": 4, "end": 21, "text": words, "labels": ["problem"]}
    row = {"data": {"text": "No.\nSevere\nback  pain."}, "annotations": [{"result": [{"id": "a", "value": value}]}]}
    (note,) = notes(read(tmp_path / "n.json", json.dumps(row)))
    assert mentions(note) == [("problem", "Severe\nback  pain")]
    row["data"] = {"text": "No!\nSevere\nbad  pains."}
    (record,) = read(tmp_path / "n.json", json.dumps(row))
    assert record.refusal and record.refusal.code == "offsets_unproved"


def test_that_a_row_of_prodigy_with_a_name_may_be_annotated_by_several(tmp_path: Path) -> None:
    row = {"id": "n1", "text": TEXT, "_input_hash": 7, "_task_hash": 8, "answer": "accept", "spans": []}
    found = notes(read(tmp_path / "n.jsonl", [{**row, "_annotator_id": "a"}, {**row, "_annotator_id": "b"}]))
    assert [(note.id, note.document) for note in found] == [("n1", "7"), ("n1.2", "7")]
    unnamed = {key: value for key, value in row.items() if key != "_input_hash"}
    assert read(tmp_path / "n.jsonl", [unnamed, unnamed])[1].refusal, "nothing says that they belong together"


def test_that_each_task_in_label_studio_s_columns_is_a_note(tmp_path: Path) -> None:
    rows = "Aspirin -X- _ B-drug\nhelps -X- _ O\n\nPain -X- _ B-problem\n\n"
    found = notes(read(tmp_path / "n.conll", f"-DOCSTART- -X- O\n{rows}"))
    assert [(note.text, mentions(note)) for note in found] == [
        ("Aspirin helps", [("drug", "Aspirin")]),
        ("Pain", [("problem", "Pain")]),
    ]
    two = f"-DOCSTART- -X- O\n{rows}" * 2
    assert len(notes(read(tmp_path / "n.conll", two))) == 2, "two documents are named"
    other = f"-DOCSTART- -X- O O\n\n{rows}x NN B-NP O\n"
    assert len(notes(read(tmp_path / "n.conll", other))) == 1, "one document, as CoNLL-2003 has it"


@pytest.mark.parametrize("name", ["n.txt", "n.tsv", "n.conll"])
def test_that_columns_without_types_are_not_taken_for_the_note_s_text(name: str, tmp_path: Path) -> None:
    records = read(tmp_path / name, "Colon\tB\ncancer\tI\n.\tO\n\nNo\tO\nfever\tO\n")
    assert [(record.row, record.refusal and record.refusal.reason) for record in records] == [
        (1, "its tag names no type, as B-drug does"),
        (5, None),
    ]
    short = tmp_path / "short.txt"
    assert notes(read(short, "Group B\nRhesus O\n"))[0].text == "Group B\nRhesus O\n"


def bioc(relation: dict[str, Any], *names: object) -> str:
    annotations = [
        {
            "id": name,
            "infons": {"type": kind, "identifier": concept, "biotype": kind},
            "text": words,
            "locations": [{"offset": TEXT.index(words), "length": len(words)}],
        }
        for name, kind, concept, words in zip(
            names, ("drug", "problem"), ("MESH:D1", "MESH:D2"), ("Aspirin", "bleeding"), strict=True
        )
    ]
    passage = {"offset": 0, "text": TEXT, "annotations": annotations}
    relation = {"id": "R1", **relation, "infons": {"type": "causes", **relation.get("infons", {})}}
    return json.dumps({"documents": [{"id": 0, "passages": [passage], "relations": [relation]}]})


def nodes(*names: object) -> list[dict[str, object]]:
    return [{"refid": name, "role": ""} for name in names]


ROLES = {
    "score": "0.99",
    "role1": {"identifier": "MESH:D1", "biotype": "drug", "type": "Chemical"},
    "role2": {"identifier": "MESH:D2", "biotype": "problem", "type": "Disease"},
}


@pytest.mark.parametrize(
    ("relation", "names"),
    [
        ({"nodes": nodes(0, 1)}, (0, 1)),  # counted from 0
        ({"nodes": nodes("D1", "D2")}, ("T1", "T2")),  # concepts, as the library bioc writes them from PubTator
        ({"infons": ROLES, "nodes": nodes("0")}, ("0", "1")),  # PubTator3
        ({"infons": ROLES, "nodes": nodes("1", "0")}, ("0", "1")),
    ],
)
def test_that_relations_of_bioc_are_read_however_their_ends_are_named(
    relation: dict[str, Any], names: tuple[object, ...], tmp_path: Path
) -> None:
    (record,) = read(tmp_path / "n.json", bioc(relation, *names))
    (note,) = notes([record])
    assert (note.id, links(note)) == ("0", [("Aspirin", "causes", "bleeding")])
    assert record.remarks == ()


def test_that_a_node_of_bioc_that_is_an_annotation_is_no_concept(tmp_path: Path) -> None:
    (record,) = read(tmp_path / "n.json", bioc({"nodes": nodes("T1", "D2")}, "T1", "T2"))
    assert [(remark.code, remark.count) for remark in record.remarks] == [("relation_dropped", 1)]


def test_that_a_doc_of_spacy_with_an_empty_group_of_spans_was_looked_through(tmp_path: Path) -> None:
    def doc(text: str, **groups: list[tuple[int, int, str]]) -> Doc:
        made = spacy.blank("en")(text)
        for group, spans in groups.items():
            made.spans[group] = [Span(made, *span) for span in spans]
        return made

    docs = [doc("Aspirin now", sc=[(0, 1, "drug")]), doc("Nothing", sc=[]), doc("Not read")]
    found = notes(read(tmp_path / "n.spacy", DocBin(docs=docs).to_bytes()))
    assert [(mentions(note), note.tasks) for note in found] == [
        ([("drug", "Aspirin")], None),
        ([], ("entities",)),
        ([], ()),
    ]


def test_that_a_line_of_blanks_parts_documents_of_pubtator(tmp_path: Path) -> None:
    documents = "1|t|Aspirin\n1|a|now\n1\t0\t7\tAspirin\tChemical\tD1\n \t\n2|t|Pain\n2|a|now\n"
    assert [(note.id, len(note.entities)) for note in notes(read(tmp_path / "n.pubtator", documents))] == [
        ("1", 1),
        ("2", 0),
    ]


def test_that_endings_in_capitals_are_those_in_small_letters(tmp_path: Path) -> None:
    for name, content in (("N.CSV.GZ", b"id,text\n1,pain\n"), ("N.JSON.GZ", b'[{"id": "1",\n"text": "pain"}]')):
        assert [note.text for note in notes(read(tmp_path / name, gzip.compress(content)))] == ["pain"]


@pytest.mark.parametrize("name", ["train.bioc", "train.pubtator.gz"])
def test_that_a_split_may_be_of_every_format_that_is_read(name: str, tmp_path: Path) -> None:
    passage = "<passage><offset>0</offset><text>Pain.</text></passage>"
    xml = f"<collection><document><id>1</id>{passage}</document></collection>"
    (tmp_path / name).write_bytes(gzip.compress(b"1|t|Pain.\n") if name.endswith(".gz") else xml.encode())
    assert split_path(tmp_path, "train") == tmp_path / name
    assert [note.text for note in read_notes(tmp_path / name)] == ["Pain."]
