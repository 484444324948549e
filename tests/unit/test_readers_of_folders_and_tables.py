# SPDX-License-Identifier: Apache-2.0
"""Notes written as BRAT, BioC, PubTator, DocBin and tables come back with the same mentions on the same words."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from fedmed_desktop.clinical.notes import Note, Span
from fedmed_desktop.clinical.readers import reader_for
from fedmed_desktop.clinical.readers.brat_folder import with_spans, write_brat
from fedmed_desktop.clinical.readers.record import Record
from tests.parts.formats import HARD_PIECES, annotated_notes, csv_text, marked, only, write_workbook

often = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read(path: Path) -> list[Record]:
    return list(reader_for(path).read(path))


def codes(record: Record) -> list[str]:
    return [remark.code for remark in record.remarks]


# -- BRAT --------------------------------------------------------------------------------------------------------------


def folder(tmp_path: Path, text: str | bytes, annotation: str | bytes | None, name: str = "d1") -> Path:
    place = tmp_path / "brat"
    place.mkdir(exist_ok=True)
    (place / f"{name}.txt").write_bytes(text.encode() if isinstance(text, str) else text)
    if annotation is not None:
        (place / f"{name}.ann").write_bytes(annotation.encode() if isinstance(annotation, str) else annotation)
    return place


@often
@given(note=annotated_notes())
def test_that_a_brat_folder_comes_back_with_the_same_mentions_and_relations(note: Note, tmp_path: Path) -> None:
    assert write_brat(tmp_path / "brat", [note]) == 1
    record = only(read(tmp_path / "brat"))
    assert marked(record.note) == marked(note)
    assert record.note is not None
    assert [e.discontinuous for e in record.note.entities] == [e.discontinuous for e in note.entities]
    assert record.file == "n1.txt" and record.row is None


def counted_in(codec: str, unit: int) -> Callable[[str, list[tuple[int, int]]], list[str]]:
    """Cuts spans out of a text, counted in units of so many bytes of an encoding."""
    return lambda text, spans: [text.encode(codec)[unit * a : unit * b].decode(codec, "ignore") for a, b in spans]


COUNTING_BOTH = [counted_in("utf-32-le", 4), counted_in("utf-16-le", 2), counted_in("utf-8", 1)]


@often
@given(note=annotated_notes())
def test_that_brat_of_windows_comes_back_whole_and_in_parts(note: Note, tmp_path: Path) -> None:
    """Both files with the line ends of Windows, and offsets that count them as one, as BRAT there does."""
    plain = note.text.replace("\r\n", "\n")
    kept = [e for e in note.entities if "\n" not in e.text and "\r" not in e.text]
    at = [note.text[: e.start].count("\r\n") for e in kept]
    parts = [[(a - n, b - n) for a, b in e.fragments or ((e.start, e.end),)] for e, n in zip(kept, at, strict=True)]
    lines = [
        f"T{i}\t{e.type} {';'.join(f'{a} {b}' for a, b in spans)}\t{' '.join(plain[a:b] for a, b in spans)}\r\n"
        for i, (e, spans) in enumerate(zip(kept, parts, strict=True), 1)
    ]
    stored, spans_of_all = plain.replace("\n", "\r\n"), [span for spans in parts for span in spans]
    # Where the words also stand where another way of counting puts them, nobody can tell which is meant.
    words = [plain[a:b] for a, b in spans_of_all]
    assume(plain == stored or not words or all(cut(stored, spans_of_all) != words for cut in COUNTING_BOTH))
    record = only(read(folder(tmp_path, stored, "".join(lines))))
    assert record.note is not None
    shift = {span: (len(plain[: span[0]].replace("\n", "\r\n")) - span[0]) for span in spans_of_all}
    wanted = [
        (e.type, [(a + shift[a, b], b + shift[a, b]) for a, b in spans]) for e, spans in zip(kept, parts, strict=True)
    ]
    found = [(e.type, list(e.fragments or ((e.start, e.end),))) for e in record.note.entities]
    assert found == wanted


def test_that_events_attributes_and_comments_of_brat_are_read_or_counted(tmp_path: Path) -> None:
    text = "Aspirin and ibuprofen stopped the pain."
    lines = [
        "T1\tDrug 0 7\tAspirin",
        "T2\tDrug 12 21\tibuprofen",
        "T3\tTreating 22 29\tstopped",
        "T4\tProblem 34 38\tpain",
        "E1\tTreating:T3 Agent:T1 Agent2:T2 Target:T4",
        "R1\tCauses Arg1:T4 Arg2:E1",
        "A1\tNegated E1",
        "M2\tCertain T4",
        "N1\tReference T1 RxNorm:1191\tAspirin",
        "#1\tAnnotatorNotes T1\tsure?",
        "*\tEquiv T1 T2",
    ]
    record = only(read(folder(tmp_path, text, "\r\n".join(lines))))
    _, _, links = marked(record.note)
    assert links == [
        ("stopped", "Agent", "Aspirin"),
        ("stopped", "Agent", "ibuprofen"),
        ("stopped", "Target", "pain"),
        ("pain", "Causes", "stopped"),
    ]
    unread = {remark.what: remark.count for remark in record.remarks if remark.code == "annotation_not_read"}
    assert unread == {"attributes": 2, "normalisations": 1, "comments": 1, "equivalences": 1}


def test_that_brat_mentions_in_parts_keep_their_parts(tmp_path: Path) -> None:
    record = only(read(folder(tmp_path, "chest and abdominal pain", "T1\tProblem 0 5;20 24\tchest pain\n")))
    assert record.note is not None and record.note.entities[0].fragments == ((0, 5), (20, 24))
    assert record.note.entities[0].discontinuous and "discontinuous_kept" in codes(record)


def test_that_brat_offsets_that_count_a_windows_line_end_once_are_corrected_and_said(tmp_path: Path) -> None:
    record = only(read(folder(tmp_path, b"\xef\xbb\xbfOne\r\ntwo\r\naspirin", "T1\tDrug 8 15\taspirin\r\n")))
    assert record.note is not None and record.note.entities[0].start == 10
    assert "offsets_without_returns" in codes(record)


def test_that_a_text_without_an_annotation_file_is_unlabelled_and_with_an_empty_one_labelled(tmp_path: Path) -> None:
    folder(tmp_path, "Nothing here.", None, "a")
    first, second = read(folder(tmp_path, "Nothing here either.", "", "b"))
    assert first.note is not None and first.note.tasks == () and codes(first) == ["no_annotation_file"]
    assert second.note is not None and second.note.tasks == ("entities",) and not second.remarks


def test_that_nested_folders_of_brat_are_read_in_the_order_of_their_paths(tmp_path: Path) -> None:
    for name in ("b/deep/x", "a/x", "x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{name}.txt").write_text("pain")
        (tmp_path / f"{name}.ann").write_text("T1\tProblem 0 4\tpain")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "y.ann").write_text("")
    records = read(tmp_path)
    assert [record.file for record in records] == ["a/x.txt", "b/deep/x.txt", "x.txt"]
    assert [record.note.id for record in records if record.note] == ["a/x", "b/deep/x", "x"]


def test_that_predictions_are_written_under_names_that_cannot_leave_the_folder(tmp_path: Path) -> None:
    pain, no = Span(3, 7, "bad type"), Span(0, 2, "neg")
    note = with_spans(Note(id="../../evil: x", text="no pain"), [pain], [(pain, no)])
    write_brat(tmp_path / "out", [note])
    (annotation,) = (tmp_path / "out").glob("*.ann")
    kinds = (tmp_path / "out" / "annotation.conf").read_text().split()
    assert kinds[:5] == ["[entities]", "bad_type", "neg", "[relations]", "neg"]
    assert annotation.read_text() == "T1\tbad_type 3 7\tpain\nT2\tneg 0 2\tno\nR1\tneg Arg1:T1 Arg2:T2\n"
    assert "/" not in annotation.name and not list(tmp_path.parent.glob("evil*"))


def test_that_ids_that_differ_only_in_what_a_file_s_name_cannot_keep_have_files_of_their_own(tmp_path: Path) -> None:
    ids = ["a", "A", "x" * 200, "x" * 199 + "y", "é" * 200, "a"]
    assert write_brat(tmp_path, [Note(id=name, text=f"note {number}") for number, name in enumerate(ids)]) == len(ids)
    assert sorted(path.read_text() for path in tmp_path.glob("*.txt")) == [f"note {number}" for number in range(6)]


def test_that_a_folder_for_each_split_says_the_split_of_its_notes(tmp_path: Path) -> None:
    for name in ("train", "dev", "other"):
        (tmp_path / name).mkdir()
        write_brat(tmp_path / name, [Note(id="n", text="pain")])
    assert [record.split for record in read(tmp_path)] == ["validation", None, "train"]


# -- BioC --------------------------------------------------------------------------------------------------------------


def bioc_collection(note: Note, title: str = "Title") -> object:
    """The note's text as the second passage of a document; its mentions' offsets are the document's."""
    import bioc

    collection, document = bioc.BioCCollection(), bioc.BioCDocument()
    document.id = "d1"
    base = len(title) + 1
    for offset, text in ((0, title), (base, note.text)):
        passage = bioc.BioCPassage()
        passage.offset, passage.text = offset, text
        document.add_passage(passage)
    for entity in note.entities:
        annotation = bioc.BioCAnnotation()
        annotation.id, annotation.text = entity.id, entity.text
        annotation.infons["type"] = entity.type
        for start, end in entity.fragments or ((entity.start, entity.end),):
            annotation.add_location(bioc.BioCLocation(base + start, end - start))
        passage.add_annotation(annotation)
    for number, link in enumerate(note.relations):
        relation = bioc.BioCRelation()
        relation.id = f"R{number}"
        relation.infons["type"] = link.type
        relation.add_node(bioc.BioCNode(link.head, "head"))
        relation.add_node(bioc.BioCNode(link.tail, "tail"))
        document.add_relation(relation)
    collection.add_document(document)
    collection.source = collection.date = collection.key = "x"
    return collection


def after_title(note: Note, title: str = "Title") -> tuple[object, ...]:
    text, mentions, links = marked(note)
    base = len(title) + 1
    return f"{title}\n{text}", [(s + base, e + base, kind, words) for s, e, kind, words in mentions], links


# XML has neither form feeds nor line ends other than its own; json has all.
XML_PIECES = [piece for piece in HARD_PIECES if piece not in ("\f", "\r\n")]


@often
@given(note=annotated_notes(XML_PIECES))
def test_that_bioc_xml_comes_back_with_the_same_mentions_and_relations(note: Note, tmp_path: Path) -> None:
    from bioc import biocxml

    path = tmp_path / "n.xml"
    path.write_text(biocxml.dumps(bioc_collection(note)), "utf-8")
    assert marked(only(read(path)).note) == after_title(note)


@often
@given(note=annotated_notes())
def test_that_bioc_json_comes_back_with_the_same_mentions_and_relations(note: Note, tmp_path: Path) -> None:
    from bioc import biocjson

    path = tmp_path / "n.json"
    path.write_bytes(biocjson.dumps(bioc_collection(note)).encode())
    record = only(read(path))
    assert marked(record.note) == after_title(note) and record.row == 1


def test_that_gaps_between_bioc_passages_are_filled_so_that_offsets_hold(tmp_path: Path) -> None:
    passages = [
        {"offset": 0, "text": "Heading"},
        {"offset": 12, "sentences": [{"offset": 12, "text": "No pain."}, {"offset": 22, "text": "Fine."}]},
    ]
    passages[1]["annotations"] = [{"id": "1", "infons": {"type": "p"}, "locations": [{"offset": 15, "length": 4}]}]
    (tmp_path / "n.json").write_text(json.dumps({"documents": [{"id": 7, "passages": passages}]}))
    record = only(read(tmp_path / "n.json"))
    assert record.note is not None and record.note.text == "Heading\n    No pain.\n Fine."
    assert record.note.id == "7" and record.note.entities[0].text == "pain"


def test_that_bioc_relations_without_two_mentions_and_untyped_annotations_are_counted(tmp_path: Path) -> None:
    annotations = [
        {"id": "1", "infons": {"type": "p"}, "text": "pain", "locations": [{"offset": 0, "length": 4}]},
        {"id": "2", "infons": {}, "text": "pain", "locations": [{"offset": 0, "length": 4}]},
    ]
    relations = [
        {"infons": {"type": "x"}, "nodes": [{"refid": "1", "role": "a"}]},
        {"infons": {"type": "x"}, "nodes": [{"refid": "1", "role": "a"}, {"refid": "9", "role": "b"}]},
    ]
    document = {"passages": [{"offset": 0, "text": "pain", "annotations": annotations}], "relations": relations}
    (tmp_path / "n.json").write_text(json.dumps([{"documents": [document]}]))
    record = only(read(tmp_path / "n.json"))
    told = {remark.code: remark.count for remark in record.remarks}
    assert told == {"annotation_not_read": 1, "relation_dropped": 2}


def bioc_xml(second_offset: int, relation: str = "") -> str:
    return f"""<?xml version="1.0"?><!DOCTYPE collection SYSTEM "BioC.dtd"><collection><document><id>d</id>
      <passage><offset>0</offset><text>Aspirin.</text>
        <annotation id="0"><infon key="type">drug</infon><infon key="MESH">MESH:D1</infon>
          <location offset="0" length="7"/><text>Aspirin</text></annotation></passage>
      <passage><offset>{second_offset}</offset><text>pain and pain, no aspirin, and pain</text>
        <annotation id="1"><infon key="type">problem</infon><infon key="MESH">D2|D3</infon>
          <location offset="40" length="4"/><text>pain</text></annotation>
        <annotation id="2"><infon key="type">drug</infon><infon key="MESH">D1</infon>
          <location offset="27" length="7"/><text>aspirin</text></annotation></passage>
      {relation}</document></collection>"""


@pytest.mark.parametrize("offset", [9, 14])
def test_that_bioc_mentions_are_read_where_passages_have_other_offsets_than_they(offset: int, tmp_path: Path) -> None:
    (tmp_path / "n.xml").write_text(bioc_xml(offset))
    record = only(read(tmp_path / "n.xml"))
    assert [start for start, *_ in marked(record.note)[1]] == [0, 40, 27] and not record.remarks


def test_that_a_bioc_relation_of_concepts_links_their_nearest_mentions(tmp_path: Path) -> None:
    named = {"relation": "CID", "Chemical": "D1", "Disease": "D3"}
    infons = "".join(f'<infon key="{key}">{value}</infon>' for key, value in named.items())
    (tmp_path / "n.xml").write_text(bioc_xml(9, f'<relation id="R0">{infons}</relation>'))
    record = only(read(tmp_path / "n.xml"))
    assert record.note is not None
    assert [(one.head, one.tail, one.type) for one in record.note.relations] == [("2", "1", "CID")]


# -- PubTator ----------------------------------------------------------------------------------------------------------


@often
@given(note=annotated_notes([p for p in HARD_PIECES if "\n" not in p and p != "\t"], discontinuous=False))
def test_that_pubtator_comes_back_with_the_same_mentions(note: Note, tmp_path: Path) -> None:
    title = "A title "
    base = len(title) + 1
    rows = [f"9|t|{title}", f"9|a|{note.text}"]
    rows += [f"9\t{base + e.start}\t{base + e.end}\t{e.text}\t{e.type}\tD{e.id}" for e in note.entities]
    rows += [f"9\t{one.type}\tD{one.head}\tD{one.tail}" for one in note.relations]
    path = tmp_path / "n.pubtator"
    path.write_bytes("\n".join(rows).encode() + b"\n\n")
    record = only(read(path))
    assert marked(record.note) == after_title(note, title)


def test_that_a_pubtator_relation_of_concepts_links_their_nearest_mentions(tmp_path: Path) -> None:
    lines = (
        "1|t|Aspirin. Pain.\r\n1|a|Then aspirin for pain.\r\n"
        "1\t0\t7\tAspirin\tChemical\tD1\r\n1\t9\t13\tPain\tDisease\tD2\r\n"
        "1\t20\t27\taspirin\tChemical\tD1\r\n1\t32\t36\tpain\tDisease\tD2|D3\r\n"
        "1\tCID\tD1\tD2\r\n1\tCID\tD1\tD9\r\n\r\n2|t|Next.\r\n2|a|\r\n"
    )
    (tmp_path / "n.txt").write_bytes(lines.encode())
    first, second = read(tmp_path / "n.txt")
    assert marked(first.note)[2] == [("Aspirin", "CID", "Pain")]
    assert [(r.code, r.count) for r in first.remarks if r.code == "relation_dropped"] == [("relation_dropped", 1)]
    assert second.note is not None and second.note.text == "Next.\n" and second.row == 2


# -- DocBin ------------------------------------------------------------------------------------------------------------


def test_that_a_docbin_comes_back_with_entities_and_span_groups_once_each(tmp_path: Path) -> None:
    from spacy.tokens import Doc, DocBin
    from spacy.tokens import Span as SpacySpan
    from spacy.vocab import Vocab

    words = ["Takes", "aspirin", "🩺", "for", "chest", "pain", "é"]
    doc = Doc(Vocab(), words=words)
    doc.ents = [SpacySpan(doc, 1, 2, label="drug")]
    doc.spans["sc"] = [SpacySpan(doc, 1, 2, label="drug"), SpacySpan(doc, 4, 6, label="problem")]
    doc.user_data["x"] = "y"
    DocBin(docs=[doc, Doc(Vocab(), words=["Well"])], store_user_data=True).to_disk(tmp_path / "n.spacy")
    first, second = read(tmp_path / "n.spacy")
    assert marked(first.note)[1] == [(6, 13, "drug", "aspirin"), (20, 30, "problem", "chest pain")]
    assert second.note is not None and second.note.id == "n.spacy:2" and second.note.tasks == ()


@often
@given(
    words=st.lists(st.sampled_from([piece for piece in HARD_PIECES if piece.strip()]), min_size=2, max_size=12),
    places=st.lists(st.tuples(st.integers(0, 11), st.integers(1, 4)), max_size=4),
)
def test_that_spans_of_a_docbin_come_back_on_their_words(
    words: list[str], places: list[tuple[int, int]], tmp_path: Path
) -> None:
    from spacy.tokens import Doc, DocBin
    from spacy.tokens import Span as SpacySpan
    from spacy.vocab import Vocab

    doc = Doc(Vocab(), words=words)
    inside = [(start, min(start + size, len(words))) for start, size in places if start < len(words)]
    spans = [SpacySpan(doc, start, end, label="drug") for start, end in inside]
    doc.spans["sc"] = spans
    DocBin(docs=[doc]).to_disk(tmp_path / "n.spacy")
    found = only(read(tmp_path / "n.spacy"))
    # Blanks at a span's edges are trimmed like those of any mention.
    expected = {(span.text.strip(), span.start_char + len(span.text) - len(span.text.lstrip())) for span in spans}
    assert {(words, start) for start, _, _, words in marked(found.note)[1]} == expected


# -- tables ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@settings(often, max_examples=15)
@given(note=annotated_notes())
def test_that_a_csv_comes_back_with_the_same_text_whatever_separates_it(
    note: Note, separator: str, encoding: str, tmp_path: Path
) -> None:
    path = tmp_path / "n.csv"
    other = 'a plain row, with "quotes"; and | signs\tin it, long enough for its encoding to be seen'
    rows = [["note_id", "text", "subject_id"], ["1", note.text, "p1"], ["2", other, "p2"]]
    path.write_bytes(csv_text(rows, separator).encode(encoding))
    first, second = read(path)
    assert first.note is not None and (first.note.text, first.note.id, first.note.patient) == (note.text, "1", "p1")
    assert second.note is not None and second.note.text == other and second.row == 3


def in_cells(note: Note) -> list[list[str]]:
    """A table of one note, with its mentions and relations as JSON in cells."""
    annotation = [json.dumps([one.model_dump() for one in found]) for found in (note.entities, note.relations)]
    return [["id", "text", "entities", "relations"], [note.id, note.text, *annotation]]


@pytest.mark.parametrize(("name", "separator"), [("n.csv", ","), ("n.tsv", "\t")])
@often
@given(note=annotated_notes())
def test_that_a_table_of_text_comes_back_with_the_same_mentions_and_relations(
    name: str, separator: str, note: Note, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(csv_text(in_cells(note), separator).encode())
    record = only(read(path))
    assert marked(record.note) == marked(note) and record.row == 2
    assert record.note is not None and [e.fragments for e in record.note.entities] == [
        e.fragments for e in note.entities
    ]


@often
@given(note=annotated_notes([piece for piece in HARD_PIECES if piece not in ("\f", "\r\n")]))
def test_that_an_excel_sheet_comes_back_with_the_same_mentions_and_relations(note: Note, tmp_path: Path) -> None:
    write_workbook(tmp_path / "n.xlsx", {"Notes": in_cells(note)})
    assert marked(only(read(tmp_path / "n.xlsx")).note) == marked(note)


@often
@given(note=annotated_notes())
def test_that_json_lines_of_ours_come_back_as_they_are(note: Note, tmp_path: Path) -> None:
    (tmp_path / "n.jsonl").write_bytes(note.model_dump_json().encode() + b"\r\n")
    tasks = None if note.entities else ("entities", "relations")  # looked through, and nothing found
    assert only(read(tmp_path / "n.jsonl")).note == note.model_copy(update={"tasks": tasks})


@often
@given(note=annotated_notes())
def test_that_parquet_with_lists_comes_back_with_the_same_mentions_and_relations(note: Note, tmp_path: Path) -> None:
    import polars

    path = tmp_path / "n.parquet"
    polars.DataFrame(
        [note.model_dump(include={"id", "text", "entities", "relations"})], infer_schema_length=None
    ).write_parquet(path)
    assert marked(only(read(path)).note) == marked(note)


@often
@given(note=annotated_notes([piece for piece in HARD_PIECES if piece not in ("\f", "\r\n")]))
def test_that_an_excel_sheet_comes_back_with_the_same_text(note: Note, tmp_path: Path) -> None:
    path = tmp_path / "n.xlsx"
    rows = [["id", "text", "date"], [20240101.0, note.text, "2024-01-01"]]
    write_workbook(path, {"About": [["made by"], ["us"]], "Notes": [["Export"], [], *rows]})
    record = only(read(path))
    assert record.note is not None and (record.note.text, record.note.id) == (note.text, "20240101")
    assert record.row == 4


def test_that_the_libraries_of_the_formats_are_loaded_by_none_but_their_readers() -> None:
    names = "polars fastexcel bioc lxml spacy charset_normalizer"
    code = f"import sys, fedmed_desktop.clinical; print(*set('{names}'.split()) & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert not done.stdout.strip()
