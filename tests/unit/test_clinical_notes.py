# SPDX-License-Identifier: Apache-2.0
"""Reading notes and a types map: what is accepted, and what each refusal says (never a note's words)."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmed_desktop.clinical import (
    Entity,
    Note,
    Span,
    Unread,
    apply_types,
    histogram,
    read_notes,
    read_notes_folder,
    read_types_map,
)
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.wording import told
from tests.parts.told import told_as

TEXT = "Aspirin helped; Mr. Secret felt pain."


def record(name: str = "n1", **changes: Any) -> dict[str, Any]:
    entities = [
        {"id": "T1", "start": 0, "end": 7, "type": "Chemical", "text": "Aspirin", "concept": ["D001241"]},
        {"id": "T2", "start": 32, "end": 36, "type": "Disease", "text": "pain"},
    ]
    relations = [{"head": "T1", "tail": "T2", "type": "treats", "level": "document"}]
    return {"id": name, "text": TEXT, "entities": entities, "relations": relations, "split": "train"} | changes


def write(path: Path, *rows: Any) -> Path:
    data = "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.name.endswith(".gz") else data)
    return path


def refusal(path: Path) -> UserFacingError:
    with pytest.raises(UserFacingError) as caught:
        read_notes(path)
    assert "Secret" not in told(caught.value), "an error repeats a note's words"
    return caught.value


@pytest.mark.parametrize("name", ["notes.jsonl", "notes.jsonl.gz"])
def test_that_notes_are_read_with_the_corpora_s_own_keys_passed_over(tmp_path: Path, name: str) -> None:
    notes = read_notes(write(tmp_path / name, record("a"), "", record("b", relations=[])))
    assert [note.id for note in notes] == ["a", "b"]
    assert notes[0].entities[1].span == (32, 36, "Disease")
    assert notes[0].relations[0].type == "treats"
    assert "split" not in notes[0].model_dump()


def test_that_a_note_without_annotations_is_read_with_its_specialty(tmp_path: Path) -> None:
    rows = [{"id": "a", "text": TEXT, "specialty": "Urology"}, {"id": "b", "text": TEXT, "specialty": " "}]
    first, second = read_notes(write(tmp_path / "n.jsonl", *rows))
    assert (first.entities, first.relations, first.specialty) == ((), (), "Urology")
    assert second.specialty is None


def test_that_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(record()).encode() + b"\r\n")
    assert read_notes(path)[0].text == TEXT


def test_that_offsets_count_characters_and_not_bytes(tmp_path: Path) -> None:
    entity = {"id": "T1", "start": 2, "end": 9, "type": "Chemical", "text": "β-blôck"}
    note = read_notes(write(tmp_path / "n.jsonl", record(text="😀 β-blôck", entities=[entity], relations=[])))[0]
    assert note.entities[0].text == "β-blôck"


def test_that_a_missing_file_is_named_without_its_folder(tmp_path: Path) -> None:
    error = refusal(tmp_path / "none.jsonl")
    assert (error.code, error.params) == ("clinical.notes_missing", {"name": "none.jsonl"})


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("n.jsonl.gz", b"{}\n", "not a gzip file"),
        ("n.jsonl.gz", gzip.compress(json.dumps(record()).encode(), mtime=0)[:-20], "cut off"),
        ("n.jsonl", gzip.compress(b"{}", mtime=0), "compressed with gzip"),
    ],
)
def test_that_a_file_of_another_kind_is_refused_with_the_reason(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    (tmp_path / name).write_bytes(content)
    error = refusal(tmp_path / name)
    assert error.code == "clinical.notes_unreadable"
    assert reason in told(error)


def test_that_a_folder_in_a_file_s_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "n.jsonl").mkdir()
    assert refusal(tmp_path / "n.jsonl").code == "clinical.notes_format"


def test_that_a_file_of_no_known_format_is_refused_with_what_is_seen_and_what_is_read(tmp_path: Path) -> None:
    (tmp_path / "n.docx").write_bytes(b"PK")
    assert refusal(tmp_path / "n.docx").code == "clinical.notes_format"
    with told_as(r"No format fits n.docx: its name ends in .docx. These formats are read: .*JSON lines"):
        read_notes(tmp_path / "n.docx")


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_that_a_file_without_notes_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "n.jsonl").write_bytes(content)
    assert refusal(tmp_path / "n.jsonl").code == "clinical.notes_empty"


def entity(**changes: Any) -> dict[str, Any]:
    return {"id": "T1", "start": 0, "end": 7, "type": "Chemical", "text": "Aspirin"} | changes


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ('{"id": Secret', "not valid JSON at column 8"),
        ("[" * 100_000, "not valid JSON"),
        ('{"id": ' + "1" * 5000 + "}", "not valid JSON"),
        ('["Secret"]', "not a JSON object"),
        ({"id": "n2", "content": "Secret"}, "missing 'text'; found 'content', 'id'"),
        ({}, "missing 'id', 'text'; found no keys"),
        (record(text="  "), "the text is empty"),
        (record(text=17), "text: it must be text"),
        (record(text="half \ud800 of a pair"), "text: holds half a surrogate pair"),
        (record("n\udfff"), "id: it holds half a surrogate pair"),
        (record(entities={"Secret": 1}), "entities: it must be a list"),
        (record(entities=[{"id": "T1"}]), "entities 1 start: it is missing"),
        (record(entities=[entity(start="Secret")]), "entities 1 start: it must be a whole number"),
        (record(entities=[entity(), entity(id="T2", end=99)]), "entity 2, offsets 0 to 99: outside the text"),
        (record(entities=[entity(start=-1)]), "entity 1, offsets -1 to 7: outside the text"),
        (record(entities=[entity(start=7)]), "entity 1, offsets 7 to 7: outside the text"),
        (record(entities=[entity(text="Secret!")]), "entity 1, offsets 0 to 7: the characters there are not"),
        (record(entities=[entity(fragments=[[0, 2], [5, 9]])]), "fragment 5 to 9 is not inside"),
        (record(entities=[entity(), entity(type="Drug")]), "two entities have the same id"),
        (record(specialty=7), "specialty: it must be text"),
        (record(relations=[{"head": "T1", "tail": "T9", "type": "x"}]), "relation 1 points to an entity id"),
        (record("n1"), "row 1 has the same id"),
        ("\x00\x00", "zero bytes"),
    ],
)
def test_that_a_bad_row_is_refused_with_its_number_and_reason(tmp_path: Path, row: Any, reason: str) -> None:
    error = refusal(write(tmp_path / "n.jsonl", record("n1"), "", row))
    assert error.code == "clinical.notes_row"
    assert (error.params["name"], error.params["row"]) == ("n.jsonl", 3)
    assert reason in str(error.params["reason"])


def test_that_text_in_another_encoding_is_refused_with_the_place(tmp_path: Path) -> None:
    (tmp_path / "n.jsonl").write_bytes(b'{"id": "caf\xe9"}\n')
    assert "byte 12 is not UTF-8" in str(refusal(tmp_path / "n.jsonl"))


def test_that_a_row_without_end_is_not_read_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedmed_desktop.clinical.readers.rows.MAX_ROW_BYTES", 2**20)
    (tmp_path / "n.jsonl.gz").write_bytes(gzip.compress(b"x" * 2**23, mtime=0))
    assert "longer than 1 MiB" in str(refusal(tmp_path / "n.jsonl.gz"))


def test_that_a_site_s_folder_gives_its_splits_and_test_notes_only_if_there(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", record("a"))
    write(tmp_path / "validation.jsonl.gz", record("b"), record("c"))
    notes = read_notes_folder(tmp_path)
    assert ([n.id for n in notes.train], len(notes.validation), notes.test) == (["a"], 2, None)
    write(tmp_path / "test.jsonl", record("d"))
    assert [n.id for n in read_notes_folder(tmp_path).test or []] == ["d"]


@pytest.mark.parametrize(
    ("files", "code", "words"),
    [
        (["validation.jsonl"], "clinical.notes_split_missing", "no train.jsonl or train.jsonl.gz"),
        (["train.jsonl"], "clinical.notes_split_missing", "no validation.jsonl"),
        (["train.jsonl", "train.jsonl.gz", "validation.jsonl"], "clinical.notes_split_twice", "has both train.jsonl"),
    ],
)
def test_that_an_incomplete_or_ambiguous_folder_is_refused(
    tmp_path: Path, files: list[str], code: str, words: str
) -> None:
    for name in files:
        write(tmp_path / name, record())
    with told_as(words) as caught:
        read_notes_folder(tmp_path)
    assert caught.value.code == code


def test_that_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserFacingError) as caught:
        read_notes_folder(tmp_path / "none")
    assert caught.value.code == "clinical.notes_folder_missing"


def test_that_a_types_file_gives_its_map(tmp_path: Path) -> None:
    path = tmp_path / "types.toml"
    path.write_text('[types.map]\nChemical = "drug"\n"Sign symptom" = "problem"\n', encoding="utf-8")
    assert read_types_map(path) == {"Chemical": "drug", "Sign symptom": "problem"}


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (None, "clinical.types_file_missing", "does not exist"),
        (b"types = [", "clinical.types_file", "not valid TOML"),
        (b"\xff", "clinical.types_file", "not UTF-8"),
        (b"types = 1", "clinical.types_file", "no filled"),
        (b"[types.map]\n", "clinical.types_file", "no filled"),
        (b"[types.map]\nChemical = 1\n", "clinical.types_file", "value of Chemical is not a string"),
    ],
)
def test_that_a_bad_types_file_is_refused(tmp_path: Path, content: bytes | None, code: str, words: str) -> None:
    path = tmp_path / "types.toml"
    if content is not None:
        path.write_bytes(content)
    with told_as(words) as caught:
        read_types_map(path)
    assert caught.value.code == code


def note(text: str, *entities: tuple[int, int, str], **more: Any) -> Note:
    made = [
        {"id": f"T{i}", "start": start, "end": end, "type": type_, "text": text[start:end]}
        for i, (start, end, type_) in enumerate(entities)
    ]
    return Note.model_validate({"id": "n", "text": text, "entities": made} | more)


MAP = {"Chemical": "drug", "Disease": "problem"}


def test_that_types_are_mapped_and_unmapped_ones_counted() -> None:
    before = note("aspirin for pain today", (0, 7, "Chemical"), (12, 16, "Disease"), (17, 22, "Date"))
    [after], report = apply_types([before], ["drug", "problem"], MAP)
    assert [e.span for e in after.entities] == [(0, 7, "drug"), (12, 16, "problem")]
    assert (report.notes, report.entities, report.unmapped) == (1, {"drug": 1, "problem": 1}, {"Date": 1})


def test_that_names_of_the_federation_need_no_map() -> None:
    [after], report = apply_types([note("pain", (0, 4, "problem"))], ["drug", "problem"], None)
    assert after.entities[0].type == "problem"
    assert report.annotated_types == ("problem",)


def test_that_a_mapped_type_counts_as_annotated_even_where_it_does_not_occur() -> None:
    _, report = apply_types([note("pain", (0, 4, "Disease"))], ["drug", "problem", "test"], MAP)
    assert report.annotated_types == ("drug", "problem")
    _, report = apply_types([note("nothing here")], ["drug", "problem", "test"], MAP)
    assert (report.annotated_types, report.entities) == (("drug", "problem"), {})


def test_that_discontinuous_mentions_are_dropped_before_nesting_is_looked_at() -> None:
    before = note("pain in left and right arm", (0, 26, "Disease"), (0, 4, "Disease"))
    outer = before.entities[0].model_copy(update={"fragments": ((0, 12), (23, 26))})
    before = before.model_copy(update={"entities": (outer, before.entities[1])})
    [after], report = apply_types([before], ["problem"], {"Disease": "problem"})
    assert [e.span for e in after.entities] == [(0, 4, "problem")]
    assert (report.discontinuous_dropped, report.nested_dropped) == (1, 0)


def test_that_of_overlapping_mentions_the_longest_then_the_earliest_stays() -> None:
    text = "severe chest pain under aspirin"
    before = note(text, (13, 17, "Disease"), (0, 17, "Disease"), (7, 17, "Disease"), (18, 31, "Chemical"))
    [after], report = apply_types([before], ["drug", "problem"], MAP)
    assert [e.span for e in after.entities] == [(0, 17, "problem"), (18, 31, "drug")]
    assert report.nested_dropped == 2
    [after], _ = apply_types([note("abcdef", (2, 6, "Disease"), (0, 4, "Chemical"))], ["drug", "problem"], MAP)
    assert [e.span for e in after.entities] == [(0, 4, "drug")]


def test_that_an_unmapped_outer_mention_does_not_hide_a_mapped_inner_one() -> None:
    before = note("low doses of quinine", (0, 20, "Treatment"), (13, 20, "Chemical"))
    [after], report = apply_types([before], ["drug", "problem"], MAP)
    assert [e.span for e in after.entities] == [(13, 20, "drug")]
    assert report.nested_dropped == 0


def test_that_mentions_made_equal_by_the_map_are_one_and_not_called_nested() -> None:
    before = note("psoriasis", (0, 9, "Treatment_Disorder"), (0, 9, "Subject_Disorder"))
    both = {"Treatment_Disorder": "problem", "Subject_Disorder": "problem"}
    [after], report = apply_types([before], ["problem"], both)
    assert len(after.entities) == 1
    assert (report.nested_dropped, report.repeated_dropped) == (0, 1)


def test_that_blanks_at_a_mention_s_edges_are_trimmed() -> None:
    [after], _ = apply_types([note("of  pain now", (2, 9, "Disease"))], ["problem"], {"Disease": "problem"})
    assert [(e.span, e.text) for e in after.entities] == [((4, 8, "problem"), "pain")]


def test_that_relations_stay_where_both_ends_stay() -> None:
    links = [{"head": "T0", "tail": "T1", "type": "r"}, {"head": "T0", "tail": "T2", "type": "r"}]
    before = note("aspirin for pain today", (0, 7, "Chemical"), (12, 16, "Disease"), (17, 22, "Date"), relations=links)
    [after], _ = apply_types([before], ["drug", "problem"], MAP)
    assert [(r.head, r.tail) for r in after.relations] == [("T0", "T1")]


@pytest.mark.parametrize("types_map", [None, {}, {"Chem": "drug"}])
def test_that_notes_without_any_known_type_are_an_error(types_map: dict[str, str] | None) -> None:
    with told_as(r"Found: Chemical, Disease; the federation's types: drug, problem"):
        apply_types([note("ab cd", (0, 2, "Disease"), (3, 5, "Chemical"))], ["problem", "drug"], types_map)


def test_that_notes_without_entities_and_without_a_map_are_an_error() -> None:
    with told_as("Found: none"):
        apply_types([note("nothing")], ["drug"], None)


def test_that_a_map_to_a_type_the_federation_has_not_is_an_error() -> None:
    with pytest.raises(UserFacingError) as caught:
        apply_types([note("pain", (0, 4, "Disease"))], ["drug", "problem"], {"Disease": "problm"})
    assert caught.value.code == "clinical.types_map_target"
    assert "translates Disease to problm" in told(caught.value)


def test_that_specialties_are_counted_by_note_and_types_by_entity() -> None:
    notes = [
        note("pain and rash", (0, 4, "problem"), (9, 13, "problem"), specialty=" Urology "),
        note("aspirin", (0, 7, "drug"), specialty="Urology"),
        note("nothing", specialty="Neurology"),
        note("nothing"),
    ]
    assert histogram(notes, "specialties") == {"Neurology": 1, "Urology": 2}
    assert histogram(notes, "types") == {"drug": 1, "problem": 2}
    assert histogram(notes, "types", ["drug"]) == {"drug": 1}, "modifiers are no types"
    assert histogram(notes[3:], "specialties") == histogram(notes[3:], "types") == {}


def test_that_a_histogram_fits_a_report() -> None:
    from fedmed_desktop.federation import Report

    many = [note("x", specialty=f"{i:03d}" + "s" * 100) for i in range(250)] + [note("x", specialty="249" + "s" * 100)]
    counts = histogram(many, "specialties")
    assert Report(notes=1, histogram=counts).histogram == counts
    assert (len(counts), max(map(len, counts))) == (200, 80)
    assert counts["249" + "s" * 77] == 2


# -- rows of other tools -----------------------------------------------------------------------------------------------


def test_that_rows_of_doccano_are_read(tmp_path: Path) -> None:
    """A number as the id, and what is marked as [start, end, type] under `label`."""
    row = {"id": 7, "text": "Ärzte 🙂 gave aspirin.", "label": [[13, 20, "Chemical"]], "Comments": []}
    (found,) = read_notes(write(tmp_path / "train.jsonl", row))
    assert found.id == "7"
    assert [(one.type, one.text) for one in found.entities] == [("Chemical", "aspirin")]


WRONG_LABELS = [[[0, 99, "Drug"]], [[5, 3, "Drug"]], [[-3, 2, "Drug"]], [["0", 4, "Drug"]], [[0, 4]], [{}]]


@pytest.mark.parametrize("label", WRONG_LABELS)
def test_that_a_label_that_does_not_fit_is_refused_with_its_row(label: object, tmp_path: Path) -> None:
    path = write(tmp_path / "train.jsonl", {"id": "a", "text": "Pain."}, {"id": "b", "text": "Pain.", "label": label})
    assert refusal(path).params["row"] == 2


def test_that_a_class_of_the_whole_note_is_no_annotation(tmp_path: Path) -> None:
    rows = [{"id": "a", "text": "Pain.", "label": "urgent"}, {"id": "b", "text": "Pain.", "label": ["urgent"]}]
    assert [one.entities for one in read_notes(write(tmp_path / "train.jsonl", *rows))] == [(), ()]


def test_that_keys_that_nothing_reads_are_counted_by_rows(tmp_path: Path) -> None:
    row = record()
    write(tmp_path / "train.jsonl", {**row, "spans": []}, {**row, "id": "n2", "spans": [], "x" * 99: 1})
    write(tmp_path / "validation.jsonl", {**row, "spans": []})
    assert read_notes_folder(tmp_path).unread == {"spans": 3, "x" * 30: 1}


# -- many mentions, and mentions across lines --------------------------------------------------------------------------


def test_that_a_mention_broken_by_a_line_end_only_is_one_mention() -> None:
    text = "Severe chest\n pain and fever."
    broken = {"id": "T1", "start": 7, "end": 18, "type": "drug", "text": text[7:18], "fragments": [[7, 12], [14, 18]]}
    parted = {"id": "T2", "start": 0, "end": 18, "type": "drug", "text": text[:18], "fragments": [[14, 18], [0, 6]]}
    marked = Note.model_validate({"id": "n", "text": text, "entities": [broken, parted]})
    (found,), report = apply_types([marked], ["drug"])
    assert [one.text for one in found.entities] == ["chest\n pain"]
    assert report.discontinuous_dropped == 1


def longest_first(spans: list[tuple[int, int, str]]) -> tuple[list[tuple[int, int, str]], int, int]:
    """The rule as it is written: of overlapping mentions the longest stays, then the earliest, then the first."""
    kept: list[tuple[int, int, str]] = []
    repeated = nested = 0
    for span in sorted(spans, key=lambda one: (one[0] - one[1], one[0])):
        if span in kept:
            repeated += 1
        elif any(span[0] < other[1] and other[0] < span[1] for other in kept):
            nested += 1
        else:
            kept.append(span)
    return sorted(kept), repeated, nested


SPANS = st.lists(
    st.tuples(st.integers(0, 30), st.integers(1, 12), st.sampled_from(["drug", "problem"])).map(
        lambda one: (one[0], one[0] + one[1], one[2])
    ),
    min_size=1,
    max_size=25,
)


@given(SPANS)
def test_that_overlapping_mentions_are_resolved_as_the_rule_says(spans: list[tuple[int, int, str]]) -> None:
    (found,), report = apply_types([note("x" * 50, *spans)], ["drug", "problem"])
    kept, repeated, nested = longest_first(spans)
    assert sorted(one.span for one in found.entities) == kept
    assert (report.repeated_dropped, report.nested_dropped) == (repeated, nested)


def test_that_the_work_of_resolving_mentions_grows_with_their_number_and_not_its_square() -> None:
    """Counted in comparisons of spans, since a clock would measure the machine."""
    looked_at = 0

    class Counted(Entity):
        @property
        def span(self) -> Span:
            nonlocal looked_at
            looked_at += 1
            return super().span

    many = 4000
    text = "ab " * many
    entities = tuple(Counted(id=f"T{at}", start=3 * at, end=3 * at + 2, type="drug", text="ab") for at in range(many))
    apply_types([Note(id="n", text=text).model_copy(update={"entities": entities})], ["drug"])
    assert looked_at < 10 * many


def test_that_labels_beside_an_empty_list_of_entities_are_read(tmp_path: Path) -> None:
    row = {"id": "a", "text": TEXT, "entities": [], "label": [[0, 7, "Chemical"]]}
    assert [e.span for e in read_notes(write(tmp_path / "n.jsonl", row))[0].entities] == [(0, 7, "Chemical")]


@pytest.mark.parametrize("entities", [{}, {"T1": [0, 7]}, "Aspirin", None, 3, [[0, 7, "Chemical"]], ["Aspirin"]])
def test_that_entities_of_another_shape_are_refused(tmp_path: Path, entities: Any) -> None:
    assert "entities" in told(refusal(write(tmp_path / "n.jsonl", {"id": "a", "text": TEXT, "entities": entities})))


def test_that_a_file_with_a_new_key_in_each_row_does_not_fill_the_memory(tmp_path: Path) -> None:
    unread = Unread()
    read_notes(write(tmp_path / "n.jsonl", *({"id": f"n{i}", "text": TEXT, f"key{i}": 1} for i in range(300))), unread)
    assert len(unread.keys) == 100
