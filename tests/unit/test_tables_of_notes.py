# SPDX-License-Identifier: Apache-2.0
"""Tables of notes: which column becomes what, how cells are read, and the dialects that programs write."""

from __future__ import annotations

import csv
import gzip
from dataclasses import replace
from pathlib import Path

import pytest

from fedmed_desktop.clinical.notes import Note
from fedmed_desktop.clinical.readers import reader_for
from fedmed_desktop.clinical.readers.columns import ROLES, Columns, guessed
from fedmed_desktop.clinical.readers.record import Record
from fedmed_desktop.clinical.readers.tables import CsvReader, ExcelReader
from tests.parts.formats import csv_text, write_workbook
from tests.parts.told import told_as


def read(path: Path, data: bytes | str) -> list[Record]:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return list(reader_for(path).read(path))


def notes(records: list[Record]) -> list[Note]:
    assert all(record.note for record in records), records
    return [record.note for record in records if record.note]


def told(records: list[Record]) -> list[tuple[str, str, int]]:
    return [(remark.code, remark.what, remark.count) for record in records for remark in record.remarks]


# -- columns -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        # MIMIC-IV notes, MTSamples, PubMedQA and MedMCQA as tables, conversations with their notes
        (
            "note_id,subject_id,hadm_id,note_type,note_seq,charttime,storetime,text",
            {"id": "note_id", "patient": "subject_id", "document": "hadm_id", "text": "text"},
        ),
        (
            ",description,medical_specialty,sample_name,transcription,keywords",
            {"specialty": "medical_specialty", "text": "transcription"},
        ),
        (
            "pubid,QUESTION,context,final_decision",
            {"id": "pubid", "question": "QUESTION", "text": "context", "answer": "final_decision"},
        ),
        (
            "id,question,opa,opb,opc,opd,cop",
            {"id": "id", "question": "question", "options": ("opa", "opb", "opc", "opd"), "answer": "cop"},
        ),
        ("encounter_id,dialogue,note", {"document": "encounter_id", "text": "dialogue", "summary": "note"}),
        (" Report Text ;ICD-10 Codes;Split", None),
        ("Report Text,ICD-10 Codes,MRN", {"text": "Report Text", "codes": "ICD-10 Codes", "patient": "MRN"}),
        ("text,A,B,C,Answer", {"text": "text", "options": ("A", "B", "C"), "answer": "Answer"}),
    ],
)
def test_that_columns_are_known_by_their_names(header: str, expected: dict[str, object] | None) -> None:
    columns = guessed([name.strip() for name in header.split(",")])
    if expected is None:
        assert not columns.usable
    else:
        assert {role: value for role in ROLES if (value := getattr(columns, role))} == expected
        read = {name for _, name in columns.roles()}
        assert set(columns.unread) == {name for name in header.split(",") if name} - read


def test_that_what_a_person_says_about_columns_goes_before_their_names(tmp_path: Path) -> None:
    path = tmp_path / "n.csv"
    path.write_text("text,befund,x,y\nold,Schmerz,a,b\n")
    reader = replace(CsvReader(), said={"text": "befund", "options": "x, y"})
    assert reader.columns(path) == Columns(text="befund", options=("x", "y"), unread=("text",))
    (note,) = notes(list(reader.read(path)))
    assert (note.text, note.options) == ("Schmerz", ("a", "b"))
    with told_as("There is no column nothing, which was named for id. The table's columns: text, befund"):
        replace(CsvReader(), said={"id": "nothing"}).columns(path)
    with told_as("A column cannot be colour"):
        replace(CsvReader(), said={"colour": "x"}).columns(path)


def test_that_columns_that_are_not_read_are_told_with_the_first_row(tmp_path: Path) -> None:
    records = read(tmp_path / "n.csv", "id,text,mood\n1,a,x\n2,b,y\n")
    assert told(records) == [("key_not_read", "mood", 1)]


def test_that_the_first_sheet_with_texts_is_read_below_whatever_stands_above_it(tmp_path: Path) -> None:
    path = tmp_path / "n.xlsx"
    rows = [["Export of 2024"], [], ["id", "text", "mrn"], [7, "pain", 12345678.0], [], [8.5, "none", "007"]]
    write_workbook(path, {"Read me": [["hello"], ["you"]], "Notes": rows, "More": [["text"], ["x"]]})
    columns = ExcelReader().columns(path)
    assert (columns.sheet, columns.other_sheets, columns.text) == ("Notes", ("Read me", "More"), "text")
    records = list(ExcelReader().read(path))
    assert [(n.id, n.text, n.patient) for n in notes(records)] == [("7", "pain", "12345678"), ("8.5", "none", "007")]
    assert [record.row for record in records] == [4, 6]
    assert told(records) == [("sheet_not_read", "Read me", 1), ("sheet_not_read", "More", 1)]


def test_that_a_workbook_of_the_old_kind_is_read_like_the_new(tmp_path: Path) -> None:
    """Written by xlwt, which nobody keeps up any more: so the file is here, and not the library."""
    path = Path(__file__).parents[1] / "fixtures" / "old-excel.xls"
    columns = ExcelReader().columns(path)
    assert (columns.sheet, columns.other_sheets, columns.codes) == ("Notes", ("About",), "ICD-10 codes")
    first, second = list(reader_for(path).read(path))
    assert first.note is not None and (first.note.id, first.note.patient, first.row) == ("7", "12345678", 4)
    assert first.note.text == 'Fi\u00e8vre, 38,5 \u00b0C.\nAspirin "500 mg" \N{STETHOSCOPE}'
    assert first.note.codes == ("R50.9", "I10")
    assert second.note is not None and (second.note.id, second.note.patient, second.row) == ("8.5", "007", 6)
    assert second.note.text == "x" * 9000 + " end", "longer than one record of the format"
    renamed = tmp_path / "new.xls"
    write_workbook(renamed, {"Notes": [["text"], ["Pain."]]})
    with told_as("new.xls cannot be read: it is not an Excel workbook, or damaged"):
        list(reader_for(renamed).read(renamed))


# -- cells -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["1", "3", "0"])
def test_that_a_number_for_an_answer_is_refused_since_copies_count_it_from_0_and_from_1(
    answer: str, tmp_path: Path
) -> None:
    header = "id,question,opa,opb,opc,opd,cop\n"
    (record,) = read(tmp_path / "n.csv", f"{header}1,Which?,Liver,Heart,Lung,Skin,{answer}\n")
    assert record.refusal and "counted from 0 or from 1; write the right option's words" in record.refusal.reason
    (record,) = read(tmp_path / "m.csv", f"{header}1,Which?,Liver,Heart,Lung,Skin,B\n")
    assert record.note and record.note.answer == 1


@pytest.mark.parametrize(
    "cell",
    [
        *("E11.9; i10", "E119,I10", "E11.9|I10", "E11.9 I10", '["E11.9", "I10"]', "E11.9\nI10;"),
        *("E11.9 I10; E11.9", "E11.9\u00a0; I10"),
        *("['E11.9', 'I10']", "['E11.9' 'I10']"),  # as pandas and numpy write a list
    ],
)
def test_that_codes_in_a_cell_are_told_apart_and_dotted(cell: str, tmp_path: Path) -> None:
    (note,) = notes(read(tmp_path / "n.csv", csv_text([["text", "icd10"], ["a note", cell]])))
    assert note.codes == ("E11.9", "I10")


def test_that_codes_of_every_chapter_are_codes(tmp_path: Path) -> None:
    (note,) = notes(read(tmp_path / "n.csv", "text,icd10\na note,U07.1;C7A.00;O9A.1;Z3A.20;M1A.0\n"))
    assert note.codes == ("U07.1", "C7A.00", "O9A.1", "Z3A.20", "M1A.0")


def test_that_rows_of_one_note_with_a_code_each_are_one_note(tmp_path: Path) -> None:
    rows = [["id", "text", "code"], ["1", "a", "E11.9"], ["1", "a", "I10"], ["1", "a", "250.00"], ["2", "b", ""]]
    records = read(tmp_path / "n.csv", csv_text(rows))
    assert [(note.id, note.codes) for note in notes(records)] == [("1", ("E11.9", "I10")), ("2", None)]
    assert [record.row for record in records] == [2, 5]
    assert told(records) == [("annotation_not_read", "code: not an ICD-10-CM code", 1)]


@pytest.mark.parametrize(
    ("options", "answer", "expected"),
    [
        ("yes|no", "NO", (("yes", "no"), 1)),
        ("aspirin;heparin;none", "B", (("aspirin", "heparin", "none"), 1)),
        ('["A", "B"]', "A", (("A", "B"), 0)),
        ("", "maybe", (("yes", "no", "maybe"), 2)),
        ("x|y", "", (("x", "y"), None)),
        ("x|ß", "ß", (("x", "ß"), 1)),
    ],
)
def test_that_an_answer_is_the_number_of_its_option(
    options: str, answer: str, expected: tuple[tuple[str, ...], int | None], tmp_path: Path
) -> None:
    rows = [["question", "context", "choices", "answer"], ["Which?", "Some text.", options, answer]]
    (note,) = notes(read(tmp_path / "n.csv", csv_text(rows)))
    assert (note.options, note.answer) == expected
    assert (note.question, note.text) == ("Which?", "Some text.")


@pytest.mark.parametrize("answer", ["ß", "ŉ", "ﬁ", "é", "AB", "1"])
def test_that_an_answer_that_is_none_of_the_options_is_refused_whatever_letter_it_is(
    answer: str, tmp_path: Path
) -> None:
    rows = [["question", "context", "choices", "answer"], ["Which?", "Some text.", "x|y|z", answer]]
    (record,) = read(tmp_path / "n.csv", csv_text(rows))
    assert record.refusal is not None and "its answer is" in record.refusal.reason


def test_that_a_question_without_a_text_is_the_text_and_numbered_options_are_counted_as_named(tmp_path: Path) -> None:
    rows = [["question", "option1", "option2", "answer"], ["Which?", "a", "b", "2"]]
    (note,) = notes(read(tmp_path / "n.csv", csv_text(rows)))
    assert (note.text, note.question, note.options, note.answer) == ("Which?", None, ("a", "b"), 1)


def test_that_dates_and_numbers_of_parquet_are_ids_as_a_person_reads_them(tmp_path: Path) -> None:
    from datetime import datetime

    import polars

    path = tmp_path / "n.parquet"
    columns = {"id": [1.0, 2.5], "patient": [10**12, None], "visit": [datetime(2024, 1, 2), datetime(2024, 1, 2, 3)]}  # noqa: DTZ001
    polars.DataFrame(columns | {"text": ["a", "b"], "codes": [["E11.9"], []]}).write_parquet(path)
    one, two = notes(list(reader_for(path).read(path)))
    assert (one.id, one.patient, one.document, one.codes) == ("1", "1000000000000", "2024-01-02", ("E11.9",))
    assert (two.id, two.patient, two.document, two.codes) == ("2.5", None, "2024-01-02T03:00:00", None)


def test_that_splits_are_known_by_their_usual_names_and_others_are_told(tmp_path: Path) -> None:
    rows = [["text", "split"], ["a", "Training"], ["b", "dev"], ["c", "test"], ["d", "later"], ["e", ""]]
    records = read(tmp_path / "n.csv", csv_text(rows))
    assert [record.split for record in records] == ["train", "validation", "test", None, None]
    assert told(records) == [("key_not_read", "split: not train, validation or test", 1)]
    assert next(note.id for note in notes(records)) == "n.csv:2"


# -- dialects ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("sep=;\nid;text\n1;a, b; c\n".replace("; c", " c"), "a, b c"),
        ('"id","text"\r\n"1","a ""b"", c"\r\n', 'a "b", c'),
        ('id\ttext\n1\t5" needle, "quoted" inside\n', '5" needle, "quoted" inside'),
        ("id,text,\n1,a,\n", "a"),
        ("id,text\n\n1,a,,\n,\n", "a"),
        ("text\nonly one column\n", "only one column"),
        ("id|text\r1|a\r".replace("\r", "\r\n"), "a"),
        ('id,text\n1,"line one\r\nline two\ttab\f"\n', "line one\r\nline two\ttab\f"),
    ],
)
def test_that_a_dialect_is_known_from_the_file(data: str, text: str, tmp_path: Path) -> None:
    (note,) = notes(read(tmp_path / "n.csv", data))
    assert note.text == text


def test_that_a_byte_of_windows_far_into_a_file_is_read_and_the_guess_is_told(tmp_path: Path) -> None:
    rows = [["id", "text"], *([str(number), "plain text " * 50] for number in range(1000)), ["x", "Café à 5 °C – gut"]]
    records = read(tmp_path / "n.csv", csv_text(rows).encode("cp1252"))
    assert notes(records)[-1].text == "Café à 5 °C – gut"
    assert told(records) == [("encoding_guessed", "cp1252", 1)]


@pytest.mark.parametrize("name", ["n.csv.gz", "n.tsv", "N.CSV", "n.tsv.gz"])
def test_that_tables_are_known_by_their_endings_also_compressed(name: str, tmp_path: Path) -> None:
    data = b"id\ttext\n1\tpain\n"
    (note,) = notes(read(tmp_path / name, gzip.compress(data) if name.endswith(".gz") else data))
    assert note.text == "pain"


def test_that_a_note_of_any_length_does_not_hide_how_its_table_is_written(tmp_path: Path) -> None:
    before = csv.field_size_limit(131_072)  # as in a new process, which has read no table yet
    try:
        long, short = notes(read(tmp_path / "n.tsv", f"id\ttext\n1\t{'pain, ' * 30_000}none\n2\tpain\n"))
    finally:
        csv.field_size_limit(before)
    assert (long.id, len(long.text), short.text) == ("1", 180_004, "pain")


def test_that_row_numbers_are_those_of_a_spreadsheet(tmp_path: Path) -> None:
    records = read(tmp_path / "n.csv", 'text\n"two\nlines"\n\nnext\n')
    assert [record.row for record in records] == [2, 4]
