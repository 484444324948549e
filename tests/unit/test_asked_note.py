# SPDX-License-Identifier: Apache-2.0
"""The note as it is given, and the types as they are typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedmed_desktop.desktop.trial.asked_note import MOST_BYTES, MOST_CHARACTERS, MOST_TYPES, asked_types, check_note
from fedmed_desktop.desktop.trial.files import note_of_file
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.wording import told
from tests.parts.told import told_as


def code_of(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(UserFacingError) as caught:
        note_of_file(path)
    assert told(caught.value)
    return caught.value.code


def test_that_a_text_file_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_bytes("\ufeffGiven 5\u202fmg.\r\nThen naïve 😀.\r".encode())
    assert note_of_file(path) == "Given 5\u202fmg.\nThen naïve 😀.\n"


def test_that_the_longest_note_is_read_and_one_more_character_is_not(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_text("😀" * MOST_CHARACTERS, "utf-8")
    assert len(note_of_file(path)) == MOST_CHARACTERS
    assert code_of(path, b"a" * (MOST_CHARACTERS + 1)) == "desktop.note_too_long"
    assert code_of(path, b"a" * (2 * MOST_BYTES)) == "desktop.note_too_long"


def test_that_what_is_no_text_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    assert code_of(path, b"%PDF-1.7\x00\x01") == "desktop.note_binary"
    assert code_of(path, b"\x00" * (2 * MOST_BYTES)) == "desktop.note_binary"
    assert code_of(path, "naïve".encode("latin-1")) == "desktop.note_encoding"


def test_that_a_file_that_is_gone_is_a_sentence(tmp_path: Path) -> None:
    with told_as("cannot be used"):
        note_of_file(tmp_path / "none.txt")
    with told_as("cannot be used"):
        note_of_file(tmp_path)


@pytest.mark.parametrize(
    ("text", "code"), [(" \n\t", "clinical.note_empty"), ("a" * (MOST_CHARACTERS + 1), "desktop.note_too_long")]
)
def test_that_a_note_without_words_or_end_is_refused(text: str, code: str) -> None:
    with pytest.raises(UserFacingError) as caught:
        check_note(text)
    assert caught.value.code == code


def test_that_a_note_is_right() -> None:
    check_note("Lithium caused tremor.")


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("drug, problem", ("drug", "problem")),
        (" Drug ;side effect,, drug ", ("drug", "side_effect")),
    ],
)
def test_that_types_are_plain_words(typed: str, found: tuple[str, ...]) -> None:
    assert asked_types(typed) == found


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        (" , ", "clinical.no_types_asked"),
        ("drug, 5-HT", "desktop.type_word"),
        ('drug"><b>', "desktop.type_word"),
        (", ".join(f"t{n}" for n in range(MOST_TYPES + 1)), "desktop.types_many"),
    ],
)
def test_that_other_types_are_refused(typed: str, code: str) -> None:
    with pytest.raises(UserFacingError) as caught:
        asked_types(typed)
    assert caught.value.code == code
