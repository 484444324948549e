# SPDX-License-Identifier: Apache-2.0
"""Reading needs the memory of a note and not of a file or folder; what is too long is refused."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fedmed_desktop.clinical.readers import reader_for
from tests.parts.told import told_as

TEXT = "No pain. " * 400  # 3.6 kB
MIB = 2**20


@contextmanager
def at_most(most: int) -> Iterator[None]:
    """Expects the peak of Python's memory above now to stay below `most` bytes."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    yield
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    assert peak < most, f"{peak / MIB:.1f} MiB"


def rows(count: int) -> Iterator[str]:
    return (json.dumps({"id": f"n{number}", "text": TEXT}) for number in range(count))


@pytest.mark.parametrize("name", ["n.jsonl", "n.json", "n.jsonl.gz", "n.conll"])
def test_that_a_large_file_is_read_in_little_memory(name: str, tmp_path: Path) -> None:
    """14 MiB of notes; what is kept of each is its id."""
    count = 4_000 if name != "n.conll" else 100
    if name == "n.json":
        content = ("[" + ",\n".join(rows(count)) + "]").encode()
    elif name == "n.conll":
        content = ("-DOCSTART- O\n\n" + f"{'x' * 1000} O\n" * 140 + "\n").encode() * count
    else:
        content = "".join(f"{row}\n" for row in rows(count)).encode()
    (tmp_path / name).write_bytes(gzip.compress(content, 1, mtime=0) if name.endswith(".gz") else content)
    reader = reader_for(tmp_path / name)
    with at_most(8 * MIB):
        assert sum(record.note is not None for record in reader.read(tmp_path / name)) == count


@pytest.mark.slow
def test_that_ten_thousand_files_are_read_in_little_memory(tmp_path: Path) -> None:
    for number in range(10_000):
        (tmp_path / f"{number:05d}.txt").write_text(TEXT, encoding="utf-8")
    with at_most(6 * MIB):
        reader = reader_for(tmp_path)
        assert sum(record.note is not None for record in reader.read(tmp_path)) == 10_000


def test_that_a_note_of_two_megabytes_is_read(tmp_path: Path) -> None:
    text = "Ärztin 🙂\r\n" * 200_000
    entity = {"id": "T1", "start": len(text) - 10, "end": len(text) - 4, "type": "Person", "text": text[-10:-4]}
    row = {"id": "long", "text": text, "entities": [entity]}
    for name, content in {"n.jsonl": json.dumps(row), "n.json": json.dumps([row], ensure_ascii=False)}.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
        (record,) = reader_for(tmp_path / name).read(tmp_path / name)
        assert record.note
        assert record.note.text == text


@pytest.mark.parametrize("name", ["n.jsonl", "n.json", "n.conll", "n.txt"])
def test_that_what_is_too_long_is_refused_and_what_follows_is_read(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedmed_desktop.clinical.readers.rows.MAX_ROW_BYTES", MIB)
    monkeypatch.setattr("fedmed_desktop.clinical.readers.json_values._PIECE", MIB)
    long = {"id": "long", "text": "x" * 3 * MIB}
    content = {
        "n.jsonl": f'{json.dumps(long)}\n{{"id": "b", "text": "x"}}\n',
        "n.json": json.dumps([long]),
        "n.conll": f"-DOCSTART- O\n{'pain O' + chr(10)}" + "pain O\n" * (MIB // 4) + "-DOCSTART- O\nx O\n",
        "n.txt": "x" * 3 * MIB,
    }[name]
    (tmp_path / name).write_text(content, encoding="utf-8")
    first, *others = reader_for(tmp_path / name).read(tmp_path / name)
    assert first.refusal
    assert (first.refusal.code, first.refusal.what) == ("too_long", "1 MiB")
    assert [record.note is not None for record in others] == [True] * (name in ("n.jsonl", "n.conll"))


def test_that_hidden_files_are_not_notes(tmp_path: Path) -> None:
    (tmp_path / "a.TXT").write_text("Pain.", encoding="utf-8")
    (tmp_path / "._a.txt").write_bytes(b"\x00\x05\x16\x07")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "b.txt").write_text("x", encoding="utf-8")
    (record,) = reader_for(tmp_path).read(tmp_path)
    assert (record.file, record.note and record.note.id) == ("a.TXT", "a")


def test_that_without_documents_each_sentence_in_columns_is_a_note_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "n.tsv").write_text("\n# a comment here\nNo\tO\npain\tB-Problem\n\n\nYes\tO\n", encoding="utf-8")
    first, second = reader_for(tmp_path / "n.tsv").read(tmp_path / "n.tsv")
    assert first.note
    assert second.note
    assert [(one.note.id, one.row, one.note.text) for one in (first, second) if one.note] == [
        ("n-1", 3, "No pain"),
        ("n-2", 7, "Yes"),
    ]
    assert [entity.span for entity in first.note.entities] == [(3, 7, "Problem")]


def test_that_a_text_in_sentences_is_not_taken_for_columns(tmp_path: Path) -> None:
    (tmp_path / "n.txt").write_text("Blood group: O\nNo pain.\n", encoding="utf-8")
    assert reader_for(tmp_path / "n.txt").name == "plain text"


def test_that_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with told_as("n.conll does not exist"):
        reader_for(tmp_path / "n.conll")
