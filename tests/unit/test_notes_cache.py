# SPDX-License-Identifier: Apache-2.0
"""Notes that were read once come from the cache, complete and in order; a cache that is no good costs nothing."""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import fields
from itertools import islice
from pathlib import Path

import pytest

from fedmed_desktop.clinical import Note
from fedmed_desktop.clinical.readers.cache import NotesCache, cache_folder
from fedmed_desktop.clinical.readers.record import Record, Remark


class Lines:
    """A reader of a line per note, that counts how often it was asked to read."""

    name = "lines"

    def __init__(self) -> None:
        self.reads = 0

    def fits(self, path: Path, head: bytes) -> bool:
        return True

    def read(self, path: Path) -> Iterator[Record]:
        self.reads += 1
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            for row, line in enumerate(file.read_text("utf-8").splitlines(), 1):
                if line == "bad":
                    yield Record(file.name, row, None, (Remark("malformed", 'no "id"'),))
                else:
                    yield Record(file.name, row, full(f"{file.name}:{row}", line), REMARKS, "train")


REMARKS = (Remark("encoding_guessed", "cp1252"), Remark("nested_kept", "é \ud800", 3))


def full(name: str, text: str) -> Note:
    words = text.split()
    mention = {"id": "T1", "start": 0, "end": len(words[0]), "type": "drug", "text": words[0]}
    whole = {"id": "T2", "start": 0, "end": len(text), "type": "x", "text": text, "fragments": [[0, 1]]}
    about = {"patient": "P", "document": "D", "specialty": "S", "codes": [], "tasks": ["codes"], "summary": "🙂"}
    asked = {"question": "?", "options": ["a", "b"], "answer": 0}
    return Note.model_validate(
        {"id": name, "text": text, "entities": [mention, whole], **about, **asked}
        | {"relations": [{"head": "T1", "tail": "T2", "type": "r"}]}
    )


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "a.txt").write_text("Aspirin for pain\nbad\n🙂 é\tx", "utf-8")
    (folder / "b.txt").write_text("\n".join(f"note {number} here" for number in range(50)), "utf-8")
    aged(folder)
    return folder


def aged(folder: Path) -> None:
    """So long ago that the files' times tell whether they change."""
    for file in (folder, *folder.iterdir()):
        os.utime(file, (1e9, 1e9))


@pytest.fixture
def cache(tmp_path: Path, settled: None) -> NotesCache:
    return NotesCache(tmp_path / "cache", least_bytes=0, part_characters=500)


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of a file's last change of rights cannot be set: everything was long ago."""
    later = time.time() + 100
    monkeypatch.setattr("fedmed_desktop.clinical.readers.cache.time.time", lambda: later)


def entries(cache: NotesCache) -> list[Path]:
    return sorted(path for path in cache.folder.iterdir() if path.name != "known")


def test_that_what_was_read_comes_back_complete_and_is_read_only_once(notes: Path, cache: NotesCache) -> None:
    reader = Lines()
    first = list(cache.records(notes, reader))
    assert first == list(Lines().read(notes)) and len(first) == 53
    assert list(cache.records(notes, reader)) == first and reader.reads == 1
    [entry] = entries(cache)
    assert len(list(entry.glob("*.parquet"))) > 5, "the test needs several parts"


def test_that_nothing_of_a_record_is_forgotten() -> None:
    assert [field.name for field in fields(Record)] == ["file", "row", "note", "remarks", "split"]
    assert [field.name for field in fields(Remark)] == ["code", "what", "count"]


def test_that_a_copy_of_the_notes_is_known_and_another_reader_or_setting_is_not(
    notes: Path, cache: NotesCache, tmp_path: Path
) -> None:
    reader = Lines()
    list(cache.records(notes, reader))
    notes.rename(tmp_path / "renamed")
    list(cache.records(tmp_path / "renamed", reader))
    assert reader.reads == 1
    list(cache.records(tmp_path / "renamed", reader, {"text": "note"}))
    assert reader.reads == 2
    reader.name = "other"
    list(cache.records(tmp_path / "renamed", reader))
    assert reader.reads == 3


def test_that_changed_files_are_read_anew(notes: Path, cache: NotesCache) -> None:
    reader = Lines()
    list(cache.records(notes, reader))
    (notes / "a.txt").write_text("Aspirin for pail\nbad\n🙂 é\tx", "utf-8")  # as long as before
    aged(notes)  # a tool that keeps the times of files: only the change of the file itself tells
    assert next(r.note.text for r in cache.records(notes, reader) if r.note) == "Aspirin for pail"
    (notes / "c.txt").write_text("more", "utf-8")
    assert len(list(cache.records(notes, reader))) == 54 and reader.reads == 3


def test_that_files_are_not_hashed_again_unless_they_may_have_changed(
    notes: Path, cache: NotesCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(cache.records(notes, Lines()))
    monkeypatch.setattr("fedmed_desktop.clinical.readers.cache.hashlib.file_digest", None)
    assert len(list(cache.records(notes, Lines()))) == 53


def test_that_times_too_young_to_tell_are_not_trusted(notes: Path, tmp_path: Path) -> None:
    cache, reader = NotesCache(tmp_path / "cache", least_bytes=0), Lines()
    list(cache.records(notes, reader))
    assert not (cache.folder / "known").exists()
    assert len(list(cache.records(notes, reader))) == 53 and reader.reads == 1, "by their contents"


@pytest.mark.parametrize("number", [0, 3])
@pytest.mark.parametrize("damage", ["cut", "flip", "gone", "other"])
def test_that_a_damaged_entry_is_read_anew_without_repeating_a_record(
    notes: Path, cache: NotesCache, damage: str, number: int
) -> None:
    reader = Lines()
    expected = list(cache.records(notes, reader))
    part = sorted(entries(cache)[0].glob("*.parquet"))[number]
    data = bytearray(part.read_bytes())
    match damage:
        case "cut":
            part.write_bytes(data[: len(data) // 2])
        case "flip":
            for at in range(8, 200, 7):
                data[at] ^= 0x55
            part.write_bytes(data)
        case "gone":
            part.unlink()
        case "other":
            part.write_bytes(sorted(entries(cache)[0].glob("*.parquet"))[1].read_bytes())
    assert list(cache.records(notes, reader)) == expected and reader.reads == 2
    assert list(cache.records(notes, reader)) == expected and reader.reads == 2, "the cache was not repaired"


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"parts": "x", "records": 1}'])
def test_that_an_entry_that_is_not_whole_is_read_anew(notes: Path, cache: NotesCache, text: str) -> None:
    expected = list(cache.records(notes, Lines()))
    (entries(cache)[0] / "whole.json").write_text(text)
    assert list(cache.records(notes, Lines())) == expected


def test_that_a_row_changed_by_hand_is_seen(notes: Path, cache: NotesCache) -> None:
    import polars

    expected = list(cache.records(notes, Lines()))
    part = sorted(entries(cache)[0].glob("*.parquet"))[0]
    table = polars.read_parquet(part)
    table.with_columns(polars.col("note").str.replace("pain", "gain")).write_parquet(part)
    assert list(cache.records(notes, Lines())) == expected


def test_that_only_the_owner_can_read_it(notes: Path, cache: NotesCache) -> None:
    old = os.umask(0)
    try:
        list(cache.records(notes, Lines()))
    finally:
        os.umask(old)
    for path in (cache.folder, *cache.folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_that_little_data_leaves_no_copy(notes: Path, tmp_path: Path) -> None:
    cache, reader = NotesCache(tmp_path / "cache"), Lines()
    assert len(list(cache.records(notes, reader))) == 53 == len(list(cache.records(notes, reader)))
    assert reader.reads == 2 and not cache.folder.exists()


def test_that_notes_that_were_not_read_to_the_end_are_not_kept(notes: Path, cache: NotesCache) -> None:
    records = cache.records(notes, Lines())
    assert len(list(islice(records, 5))) == 5
    records.close()  # type: ignore[attr-defined]
    assert entries(cache) == []


def test_that_a_cache_that_cannot_be_written_costs_nothing(notes: Path, tmp_path: Path, settled: None) -> None:
    (tmp_path / "file").write_text("")
    cache = NotesCache(tmp_path / "file" / "cache", least_bytes=0)
    assert len(list(cache.records(notes, Lines()))) == 53


def test_that_the_entry_not_used_for_longest_goes_first_and_all_can_be_cleared(
    notes: Path, cache: NotesCache, tmp_path: Path
) -> None:
    for name in "xyz":
        (notes / "a.txt").write_text(f"note {name}")
        list(cache.records(notes, Lines()))
        [newest] = [one for one in entries(cache) if not (one / "seen").exists()]
        os.utime(newest / "whole.json", (ord(name), ord(name)))
        (newest / "seen").write_text(name)
    sizes = sum(file.stat().st_size for file in cache.folder.rglob("*") if file.is_file())
    small = NotesCache(cache.folder, least_bytes=0, most_bytes=int(sizes * 0.7))
    (notes / "a.txt").write_text("note w")
    list(small.records(notes, Lines()))
    assert len(list((cache.folder / "known").iterdir())) == len(entries(cache)), "what leads nowhere is removed"
    assert "x" not in {(one / "seen").read_text() for one in entries(cache) if (one / "seen").exists()}
    assert cache.clear() > 0 and not cache.folder.exists() and cache.clear() == 0


def test_that_the_cache_is_where_the_system_keeps_such_things(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "fedmed-desktop" / "notes"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache/fedmed-desktop/notes"


def test_that_the_whole_file_is_written_last(notes: Path, cache: NotesCache) -> None:
    list(cache.records(notes, Lines()))
    assert json.loads((entries(cache)[0] / "whole.json").read_text())["records"] == 53
