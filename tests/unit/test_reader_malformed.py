# SPDX-License-Identifier: Apache-2.0
"""Files that are wrong in one way each: the sentence and the row that a person is told, never a note's words."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fedmed_desktop.clinical import read_notes
from fedmed_desktop.clinical.readers import reader_for
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.wording import told

GOOD = {"id": "ok", "text": "No Secret pain."}
ENTITY = {"id": "T1", "start": 10, "end": 14, "type": "Problem", "text": "pain"}


def rows(*values: Any) -> bytes:
    return "".join((value if isinstance(value, str) else json.dumps(value)) + "\n" for value in values).encode()


def listed(*values: Any) -> bytes:
    return json.dumps(values).encode()


def own(**more: Any) -> dict[str, Any]:
    return {"id": "bad", "text": "No Secret pain."} | more


def task(*result: Any, **more: Any) -> dict[str, Any]:
    return {"id": 2, "data": {"text": "No Secret pain."}, "annotations": [{"result": list(result)}], **more}


def region(**more: Any) -> dict[str, Any]:
    return {"id": "r1", "type": "labels", "value": {"start": 10, "end": 14, "labels": ["Problem"], **more}}


def prodigy(**more: Any) -> dict[str, Any]:
    return {"text": "No Secret pain.", "_input_hash": 1, "_task_hash": 2, "answer": "accept", **more}


SPAN = {"start": 10, "end": 14, "label": "Problem"}
DEEP = '{"id": "a", "text": ' + "[" * 100_000

WRONG_ROWS: dict[str, tuple[str, bytes, int, str]] = {
    # name -> file, its content, the row that is wrong, and how the reason begins
    "cut off line": (
        "a.jsonl",
        rows(GOOD, '{"id": "b", "text": "Secr'),
        2,
        "not valid JSON at column 21: Unterminated",
    ),
    "two objects in a line": (
        "a.jsonl",
        rows(GOOD, '{"id": "b"} {"id": "c"}'),
        2,
        "not valid JSON at column 13: Extra",
    ),
    "single quotes": ("a.jsonl", rows("{'id': 'Secret'}"), 1, "not valid JSON at column 2: Expecting property"),
    "nested without end": ("a.jsonl", rows(GOOD, DEEP), 2, "not valid JSON: a number too long or lists too deep"),
    "a list in a line": ("a.jsonl", rows(GOOD, [1, 2]), 2, "not a JSON object"),
    "another encoding": ("a.jsonl", rows(GOOD) + b'{"id": "b", "text": "\xfc"}\n', 2, "byte 22 is not UTF-8"),
    "zero bytes": ("a.jsonl", rows(GOOD, '{"id": "\x00"}'), 2, "it holds zero bytes: this is not a text file"),
    "half of a file in utf-16": (
        "a.jsonl",
        rows(GOOD).decode().encode("utf-16") + b"\x00\xd8\x00",
        2,
        "from here on, the",
    ),
    "no id": ("a.jsonl", rows({"text": "Secret"}), 1, "missing 'id'; found 'text'"),
    "no text": ("a.jsonl", rows(GOOD, {"id": "b", "note": "Secret"}), 2, "missing 'text'; found 'id', 'note'"),
    "blank text": ("a.jsonl", rows(GOOD, own(text=" \r\n\f")), 2, "the text is empty"),
    "an id twice": ("a.jsonl", rows(GOOD, own(), own()), 3, "row 2 has the same id"),
    "numbers as text": ("a.jsonl", rows(own(text=12)), 1, "text: it must be text"),
    "offsets off by many": (
        "a.jsonl",
        rows(own(text="x" * 99 + " pain", entities=[ENTITY])),
        1,
        "entity 1, offsets 10 to 14: the characters there are not the entity's text",
    ),
    "offsets in doubt": (
        "a.jsonl",
        rows(
            own(
                text="pain pain",
                entities=[{**ENTITY, "start": 0, "end": 4}, {**ENTITY, "id": "T2", "start": 2, "end": 7}],
            )
        ),
        1,
        "entity 2, offsets 2 to 7: the characters there are not the entity's text",
    ),
    "offsets behind the end": (
        "a.jsonl",
        rows(own(entities=[{**ENTITY, "end": 99}])),
        1,
        "entity 1, offsets 10 to 99: outside the text (15 characters) or not in order",
    ),
    "a fragment outside": (
        "a.jsonl",
        rows(own(entities=[{**ENTITY, "fragments": [[2, 14]]}])),
        1,
        "entity 1, offsets 10 to 14: fragment 2 to 14 is not inside",
    ),
    "offsets as words": (
        "a.jsonl",
        rows(own(entities=[{**ENTITY, "start": "ten"}])),
        1,
        "entities 1 start: it must be a whole number",
    ),
    "a relation to nobody": (
        "a.jsonl",
        rows(own(entities=[ENTITY], relations=[{"head": "T1", "tail": "T9", "type": "r"}])),
        1,
        "relation 1 points to an entity id that the note does not have",
    ),
    "a relation without type": (
        "a.jsonl",
        rows(own(relations=[{"head": "T1", "tail": "T1"}])),
        1,
        "relations 1 type: it is missing",
    ),
    "an answer among none": (
        "a.jsonl",
        rows(own(answer=3, options=["a", "b"])),
        1,
        "answer 3 is not the number of one",
    ),
    "codes as one string": ("a.jsonl", rows(own(codes="I10")), 1, "codes: it must be a list"),
    "an unknown task": ("a.jsonl", rows(own(tasks=["naps"])), 1, "tasks 1: it must be 'entities', 'relations'"),
    "an id without an end": ("a.jsonl", rows(own(id="x" * 201)), 1, "id: it must not be longer than 200 characters"),
    "an empty id": ("a.jsonl", rows(own(id="")), 1, "id: it must not be empty"),
    "half a character": ("a.jsonl", rows(own(text="\ud800 pain")), 1, "text: holds half a surrogate pair"),
    "entities as words": ("a.jsonl", rows(own(entities=["Secret"])), 1, "entities 1: it must be an object with keys"),
    "a fragment of three": (
        "a.jsonl",
        rows(own(entities=[{**ENTITY, "fragments": [[10, 12, 14]]}])),
        1,
        "entities 1 fragments 1: it must not have more than 2 values",
    ),
    "half a fragment": (
        "a.jsonl",
        rows(own(entities=[{**ENTITY, "fragments": [[10]]}])),
        1,
        "entities 1 fragments 1 2: it is missing",
    ),
    "a list that is cut off": ("a.json", listed(GOOD, own())[:-1], 3, "not valid JSON: the list is cut off or lacks"),
    "a list without commas": (
        "a.json",
        b"[" + rows(GOOD, own()) + b"]",
        2,
        "not valid JSON: the list is cut off or lacks",
    ),
    "an element cut off": (
        "a.json",
        listed(GOOD, own())[:-9],
        2,
        "not valid JSON: Unterminated string; nothing",
    ),
    "more after the list": ("a.json", listed(GOOD) + rows(own()), 2, "not valid JSON: more follows after the list"),
    "a number in a list": ("a.json", listed(GOOD, 17), 2, "not a JSON object"),
    "a wrong byte in a list": (
        "a.json",
        listed(GOOD)[:-1] + b', {"id": "\xff"}]',
        2,
        "it is not UTF-8",
    ),
    "doccano: three things": (
        "d.jsonl",
        rows(own(label=[[0, 4]])),
        1,
        "'label' 1 is not [start, end, type], as doccano",
    ),
    "doccano: words for offsets": (
        "d.jsonl",
        rows(own(label=[["0", "4", "x"]])),
        1,
        "'label' 1 is not [start, end, type]",
    ),
    "doccano: behind the end": (
        "d.jsonl",
        rows(own(label=[[10, 99, "x"]])),
        1,
        "entity 1, offsets 10 to 99: outside the",
    ),
    "doccano: no offset": (
        "d.jsonl",
        rows(own(entities=[{"id": 1, "label": "x", "start_offset": 3}])),
        1,
        "entity 1 lacks a number start_offset or end_offset, or a label",
    ),
    "doccano: half a relation": (
        "d.jsonl",
        rows(
            own(
                entities=[{"id": 1, "label": "x", "start_offset": 3, "end_offset": 9}],
                relations=[{"from_id": 1, "type": "r"}],
            )
        ),
        1,
        "relation 1 lacks from_id, to_id or type",
    ),
    "doccano: relations as words": (
        "d.jsonl",
        rows(own(entities=[{"id": 1, "label": "x", "start_offset": 3, "end_offset": 9}], relations="none")),
        1,
        "'relations' is not a list",
    ),
    "prodigy: no offsets": ("p.jsonl", rows(prodigy(spans=[{"label": "x"}])), 1, "span 1 lacks a number start or end"),
    "prodigy: spans as words": ("p.jsonl", rows(prodigy(spans="Secret")), 1, "'spans' is not a list"),
    "prodigy: odd answer": ("p.jsonl", rows(prodigy(answer="maybe")), 1, "'answer' is none of accept, reject, ignore"),
    "prodigy: no text": (
        "p.jsonl",
        rows({"_input_hash": 1, "image": "a.png"}),
        1,
        "missing 'text'; found '_input_hash', 'im",
    ),
    "prodigy: wrong tokens": (
        "p.jsonl",
        rows(prodigy(spans=[SPAN], tokens=[{"text": "Secret", "start": 0, "end": 6}])),
        1,
        "the offsets of its tokens are not those of their words in the text",
    ),
    "prodigy: unnamed relation": ("p.jsonl", rows(prodigy(relations=[{"head": 1}])), 1, "relation 1 lacks a label"),
    "label studio: no labels": (
        "l.json",
        listed(task(), task(region(labels=None), id=3)),
        2,
        "region 1 lacks a number start",
    ),
    "label studio: half a relation": (
        "l.json",
        listed(task(region(), {"type": "relation", "from_id": "r1"})),
        1,
        "relation 1 lacks from_id or to_id",
    ),
    "label studio: result as words": (
        "l.json",
        listed(task() | {"annotations": [{"result": "x"}]}),
        1,
        "'result' is not a",
    ),
    "label studio: which text": (
        "l.json",
        listed(task() | {"data": {"a": "Secret", "b": "Secret"}}),
        1,
        "it is not clear which is the text; found 'a', 'b'",
    ),
    "label studio: a task twice": ("l.json", listed(task(), task()), 2, "row 1 has the same id"),
    "label studio: other words": (
        "l.json",
        listed(task(region(text="gone"))),
        1,
        "entity 1, offsets 10 to 14: the characters",
    ),
    "columns: one column": ("c.conll", b"No O\n\nSecret\n", 3, "it lacks a token or a tag"),
    "columns: no tag": ("c.bio", b"No O\nSecret problem\n", 2, "its last column is no tag such as O, B-drug or I-drug"),
    "columns: no token": ("c.conll", b"No\tO\n\tO\n", 2, "it lacks a token or a tag"),
    "columns: only a prefix": ("c.conll", b"No O\nSecret B-\n", 2, "its last column is no tag"),
    "columns: zero bytes": ("c.conll", b"No O\nSecret\x00 O\n", 2, "it holds zero bytes"),
    "columns: damaged utf-16": (
        "c.conll",
        "No O\nyes O\n".encode("utf-16") + b"\xd8",
        3,
        "from here on, the file is not UTF-16",
    ),
}


def refused(path: Path) -> UserFacingError:
    with pytest.raises(UserFacingError) as caught:
        read_notes(path)
    assert "Secret" not in told(caught.value), "an error repeats a note's words"
    return caught.value


@pytest.mark.parametrize("what", WRONG_ROWS)
def test_that_a_wrong_row_is_told_with_its_number_and_reason(what: str, tmp_path: Path) -> None:
    name, content, row, reason = WRONG_ROWS[what]
    (tmp_path / name).write_bytes(content)
    error = refused(tmp_path / name)
    assert told(error).startswith(f"The notes file {name} has an error in row {row}: {reason}"), told(error)


@pytest.mark.parametrize("what", WRONG_ROWS)
def test_that_the_same_is_said_of_the_file_compressed(what: str, tmp_path: Path) -> None:
    name, content, row, reason = WRONG_ROWS[what]
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content, 1, mtime=0))
    assert f"row {row}: {reason}" in told(refused(tmp_path / f"{name}.gz"))


def test_that_there_are_many_and_nearly_each_has_a_sentence_of_its_own() -> None:
    """A row that is cut off in two ways, or too long in two, may be told alike."""
    assert len(WRONG_ROWS) >= 55
    assert len({reason for *_, reason in WRONG_ROWS.values()}) >= 50


WRONG_FILES: dict[str, tuple[Mapping[str, bytes], str]] = {
    # what -> the files of a folder, and the sentence about it
    "nothing": ({}, "No format fits notes: it is a folder without files. These formats are read: BRAT, .*JSON lines"),
    "pictures": ({"a.png": b"\x89PNG", "b.png": b""}, r"No format fits notes: it is a folder of files \(2 with .png\)"),
    "an empty text": ({"a.txt": b"Pain.", "b.txt": b""}, "The notes file b.txt cannot be used: the text is empty"),
    "a picture named text": (
        {"a.txt": b"\x89PNG\r\n\x1a\n\x00\x00"},
        "The notes file a.txt cannot be used: it holds zero",
    ),
    "packed twice": (
        {"a.txt": gzip.compress(b"x", mtime=0)},
        "file a.txt cannot be used: it is compressed with gzip, but",
    ),
    "cut off": ({"a.txt.gz": gzip.compress(b"x" * 99, mtime=0)[:-9]}, "file a.txt.gz cannot be used: it is cut off or"),
    "in a folder": ({"b/c.txt": b" "}, "The notes file b/c.txt cannot be used: the text is empty"),
}


@pytest.mark.parametrize("what", WRONG_FILES)
def test_that_a_wrong_folder_is_told_with_the_file_and_reason(what: str, tmp_path: Path) -> None:
    files, sentence = WRONG_FILES[what]
    folder = tmp_path / "notes"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    assert re.search(sentence, told(refused(folder)))


@pytest.mark.parametrize(
    ("name", "content", "codes"),
    [
        ("a.jsonl", rows(own(entities=[ENTITY, {**ENTITY, "id": "T2"}])), ["repeated_mention_dropped"]),
        ("a.jsonl", rows(own(entities=[{**ENTITY, "start": 9, "end": 15, "text": " pain."}])), ["blanks_trimmed"]),
        ("a.jsonl", rows(own(entities=[{**ENTITY, "end": 10, "text": ""}])), ["zero_length_dropped"]),
        ("a.jsonl", rows(own(entities=[{**ENTITY, "start": 9, "end": 10, "text": " "}])), ["only_blanks_dropped"]),
        (
            "a.jsonl",
            rows(own(text="🙂", entities=[{**ENTITY, "start": 0, "end": 2, "text": "🙂"}])),
            ["offsets_in_utf16"],
        ),
        ("a.jsonl", rows(own(entities=[{**ENTITY, "start": 11, "end": 15}])), ["offsets_by_mention"]),
        ("a.jsonl", rows(own(ward="7")), ["key_not_read"]),
        ("p.jsonl", rows(prodigy(answer="reject")), ["not_accepted"]),
        ("p.jsonl", rows(prodigy(answer="ignore", spans="not even looked at")), ["not_accepted"]),
        ("l.json", listed(task() | {"annotations": [{"was_cancelled": True}]}), ["not_accepted"]),
        ("l.json", listed(task() | {"annotations": [{"result": []}, {"result": []}]}), ["annotation_not_read"]),
        ("l.json", listed(task({"type": "choices", "value": {"choices": ["urgent"]}})), ["annotation_not_read"]),
        ("c.conll", b"No O\npain I-Problem\nnow B-Time\n\n", ["tag_repaired"]),
        ("c.conll", b"No O\npain B-Problem\nnow O\nhe S-Person\n\n", ["tag_repaired"]),
        ("c.conll", "Kein O\nFieber B-x\n\nGr\u00f6\u00dfe O\n".encode("cp1252"), ["encoding_guessed"]),
    ],
)
def test_that_what_is_unusual_is_remarked_on_and_read(
    name: str, content: bytes, codes: list[str], tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    records = list(reader_for(tmp_path / name).read(tmp_path / name))
    assert [remark.code for record in records for remark in record.remarks] == codes
    assert all(record.refusal is None for record in records)
