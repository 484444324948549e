# SPDX-License-Identifier: Apache-2.0
"""A folder of files is read as it is checked, and no file in it is left out in silence."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from fedmed_desktop.clinical import Note, Unread, read_notes, read_notes_folder
from fedmed_desktop.clinical.checking import NotesCheck, check_notes
from fedmed_desktop.clinical.readers import Remark, reader_for
from fedmed_desktop.clinical.readers.folder import named_apart, parts_of
from fedmed_desktop.desktop.join.form import splits_sentence
from fedmed_desktop.wording.notes_check import point_line
from fedmed_desktop.wording.remarks import remark_sentence, unread_sentence
from tests.parts.formats import write_workbook
from tests.parts.told import told_as


def written(folder: Path, **files: str) -> Path:
    """The folder with these files; "__" in a name stands for the dot, "___" for a folder's slash."""
    for name, text in files.items():
        path = folder / name.replace("___", "/").replace("__", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def row(name: str) -> str:
    return json.dumps({"id": name, "text": f"Note {name}."}) + "\n"


def unread(check: NotesCheck) -> list[str]:
    return [place.file for one in check.remarks if one.code == "file_not_read" for place in one.places]


def test_that_a_text_beside_json_lines_does_not_hide_them(tmp_path: Path) -> None:
    folder = written(tmp_path, a__jsonl=row("a") + row("b"), README__txt="About these notes.")
    assert [note.id for note in read_notes(folder)] == ["a", "b"]
    check = check_notes(folder).check
    assert (check.notes, unread(check)) == (2, [])
    written(folder, c__txt="A letter.")
    assert [note.id for note in read_notes(folder)] == ["a", "b", "c"]
    assert check_notes(folder).check.formats == {"JSON lines": 2, "plain text": 1}


def test_that_a_folder_of_texts_stays_plain_text_and_what_is_about_them_is_no_note(tmp_path: Path) -> None:
    folder = written(tmp_path, one__txt="One.", deep___two__txt="Two.", README__txt="About.", LICENSE__txt="Free.")
    assert [note.id for note in read_notes(folder)] == ["deep/two", "one"]
    assert [part.reader.name for part in parts_of(folder).read] == ["plain text"]


COLUMNS = "Takes O\naspirin B-Drug\n\nNo O\npain B-Problem\n"
PUBTATOR = "{n}|t|Aspirin.\n{n}|a|For pain.\n{n}\t0\t7\tAspirin\tDrug\tD1\n"


def test_that_texts_that_hold_annotation_are_read_as_single_files_are(tmp_path: Path) -> None:
    columns = written(tmp_path / "c", a__txt=COLUMNS, b__txt=COLUMNS, deep___c__txt=COLUMNS, README__txt="About.")
    check = check_notes(columns).check
    assert (check.formats, check.labels.entities) == ({"CoNLL": 6}, {"Drug": 3, "Problem": 3})
    pubtator = written(tmp_path / "p", a__txt=PUBTATOR.format(n=1), b__txt=PUBTATOR.format(n=2), c__txt="A letter.")
    assert [part.reader.name for part in parts_of(pubtator).read] == ["PubTator", "PubTator", "plain text"]
    assert [note.id for note in read_notes(pubtator)] == ["1", "2", "c"]


def test_that_a_text_that_only_looks_like_annotation_stays_a_text_and_is_named(tmp_path: Path) -> None:
    texts = {f"t{n}__txt": "Blood group O" for n in range(3)}
    folder = written(tmp_path, odd__txt=COLUMNS, **texts)
    assert [note.text for note in read_notes(folder)] == [COLUMNS, *["Blood group O"] * 3]
    check = check_notes(folder).check
    said = [remark_sentence(Remark(one.code, one.what)) for one in check.remarks if one.code == "taken_as_text"]
    assert check.formats == {"plain text": 4} and len(said) == 1 and "looks like CoNLL" in said[0]
    assert reader_for(folder / "t0.txt").name == "plain text", "one line that ends in O"


@pytest.mark.parametrize(
    ("files", "missing"),
    [
        ({"a__txt": "Pain.", "a__ann": "", "more__jsonl": row("x")}, "more.jsonl"),
        ({"a__txt": "Pain.", "letters__pdf": "%PDF"}, "letters.pdf"),
        ({"a__jsonl": row("a"), "letters__docx": "PK"}, "letters.docx"),
        ({"train__jsonl": row("a"), "validation__jsonl": row("b"), "extra__jsonl": row("c")}, "extra.jsonl"),
        ({"train___a__jsonl": row("a"), "train___b__pdf": "%", "validation__jsonl": row("b")}, "train/b.pdf"),
    ],
)
def test_that_a_file_that_is_not_read_is_named(tmp_path: Path, files: dict[str, str], missing: str) -> None:
    check = check_notes(written(tmp_path, **files)).check
    assert unread(check) == [missing]
    said = [point_line(point) for point in check.points if point.code == "notes_check.files_not_read"]
    assert len(said) == 1 and missing in said[0] and check.formats


def test_that_strict_reading_counts_the_files_that_nothing_reads(tmp_path: Path) -> None:
    seen = Unread()
    folder = written(tmp_path, a__jsonl=row("a"), letters__docx="PK")
    write_workbook(folder / "b.xlsx", {"Notes": [["text"], ["Pain."]], "Legend": [["text"], ["1 is yes"]]})
    read_notes(folder, seen)
    assert seen == Unread(files=["letters.docx", "b.xlsx (Legend)"])


def test_that_a_site_is_told_which_files_and_which_keys_are_not_read(tmp_path: Path) -> None:
    wrong = json.dumps({"id": "b", "text": "Note b.", "spans": []})
    folder = written(tmp_path, train___a__jsonl=row("a"), train___b__pdf="%", validation__jsonl=wrong, more__jsonl="")
    notes = read_notes_folder(folder)
    assert (notes.unread, notes.unread_files) == ({"spans": 1}, ("more.jsonl", "train/b.pdf"))
    assert splits_sentence(notes).endswith(
        "Keys of rows that are not read: spans (1). Files that are not read: more.jsonl, train/b.pdf."
    )
    assert unread_sentence({}, "abcde", 1200) == "Files that are not read: a, b, c, d, e, and 1,195 more."


def test_that_what_is_checked_is_read_by_everything_else_too(tmp_path: Path) -> None:
    folder = written(
        tmp_path, b__jsonl=row("same"), a__csv="note_id,note_text\nsame,In a table.\n", c___d__jsonl=row("d")
    )
    notes = read_notes(folder)
    assert [(note.id, note.text) for note in notes] == [
        ("same", "In a table."),
        ("same~2", "Note same."),
        ("d", "Note d."),
    ]
    assert check_notes(folder).check.notes == len(notes)


def test_that_a_split_may_be_a_folder_of_several_files(tmp_path: Path) -> None:
    folder = written(tmp_path, train___a__jsonl=row("a"), train___b__jsonl=row("b"), validation__jsonl=row("c"))
    assert [note.id for note in read_notes_folder(folder).train] == ["a", "b"]
    assert check_notes(folder).check.splits == {"train": 2, "validation": 1}
    (folder / "train" / "b.jsonl").write_text("no JSON\n")
    with told_as("b.jsonl has an error in row 1"):
        read_notes_folder(folder)


def test_that_files_that_all_count_their_notes_from_one_are_told_apart_in_little_time() -> None:
    names = ["1", "1~2", *("1" for _ in range(20_000)), "1~3", "2"]
    began = time.process_time()
    found = [note.id for note in named_apart(Note(id=name, text="x") for name in names)]
    assert time.process_time() - began < 10, "not each beside each"
    assert len(set(found)) == len(names) and found[:4] == ["1", "1~2", "1~3", "1~4"]
    assert found[-2:] == ["1~3~2", "2"]


def test_that_a_folder_without_any_notes_is_told_as_ever(tmp_path: Path) -> None:
    with told_as("No format fits"):
        read_notes(written(tmp_path, README__txt="Nothing here.", letters__pdf="%PDF"))


def _tasks(notes: list[Note]) -> list[tuple[str, ...] | None]:
    return [note.tasks for note in notes]


def test_that_a_row_without_a_place_for_labels_is_not_annotated(tmp_path: Path) -> None:
    mention = {"id": "T1", "start": 0, "end": 4, "type": "sign", "text": "Pain"}
    rows: list[dict[str, object]] = [
        {},
        {"entities": []},
        {"entities": [], "relations": []},
        {"entities": [mention]},
        {"codes": ["I10"]},
        {"codes": [], "entities": []},
        {"entities": [], "tasks": ["codes"]},
    ]
    lines = [json.dumps({"id": str(n), "text": "Pain."} | one) for n, one in enumerate(rows)]
    (tmp_path / "n.jsonl").write_text("\n".join(lines))
    assert _tasks(read_notes(tmp_path / "n.jsonl")) == [
        (),
        ("entities",),
        ("entities", "relations"),
        None,
        ("codes",),
        ("entities", "codes"),
        ("codes",),
    ]


def test_that_tables_and_texts_without_labels_are_not_annotated(tmp_path: Path) -> None:
    (tmp_path / "n.csv").write_text("note_id,note_text,entities\n1,Well.,\n2,Well.,[]\n")
    (tmp_path / "n.txt").write_text("Well.")
    assert _tasks(read_notes(tmp_path / "n.csv")) == [(), ("entities",)]
    assert _tasks(read_notes(tmp_path / "n.txt")) == [()]


def test_that_a_note_without_anything_to_mark_is_still_one_after_it_was_split(tmp_path: Path) -> None:
    rows = [json.dumps({"id": str(n), "text": f"Well {n}.", "entities": []}) for n in range(4)]
    (tmp_path / "n.jsonl").write_text("\n".join(rows))
    check_notes(tmp_path / "n.jsonl").write_split(tmp_path / "site")
    assert set(_tasks(read_notes_folder(tmp_path / "site").train)) == {("entities",)}
