# SPDX-License-Identifier: Apache-2.0
"""Text from bytes: the encoding is found and said, and no character is changed."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmed_desktop.clinical.readers.text import decoded

GERMAN = "Der Patient hört schlecht; Größe 1,80 m. Übelkeit seit März, kein Fieber über 38 °C. Ärztin: Frau Müller."
POLISH = "Pacjent zgłasza ból głowy i zawroty. Źle śpi, łaknienie osłabione; ciśnienie krwi w normie, gorączki brak."
RUSSIAN = "Пациент жалуется на головную боль и тошноту. Температура нормальная, кашля нет; назначен аспирин."


@given(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])).filter(lambda t: t[:1] != "\ufeff"))
def test_that_unicode_is_read_as_it_is(text: str) -> None:
    assert decoded(text.encode()) == (text, [])
    assert decoded(text.encode("utf-8-sig")) == (text, [])
    assert decoded(b"\xff\xfe" + text.encode("utf-16-le")) == (text, [])
    assert decoded(b"\xfe\xff" + text.encode("utf-16-be")) == (text, [])


@pytest.mark.parametrize(
    ("text", "codec", "named"),
    [
        (GERMAN + "\r\n", "cp1252", "cp1252"),
        ("Fieber über 38 °C, „hoch“ – 5 €", "cp1252", "cp1252"),
        (GERMAN, "utf-16-le", "UTF-16-LE"),
        (GERMAN, "utf-16-be", "UTF-16-BE"),
        (POLISH, "cp1250", "cp1250"),
        (RUSSIAN, "cp1251", "cp1251"),
    ],
)
def test_that_an_unmarked_encoding_is_guessed_and_said(text: str, codec: str, named: str) -> None:
    found, (remark,) = decoded(text.encode(codec))
    assert (found, remark.code, remark.what) == (text, "encoding_guessed", named)


def test_that_a_few_accents_far_down_in_a_long_text_are_enough() -> None:
    text = "Blood pressure normal. " * 100_000 + "Café."
    found, (remark,) = decoded(text.encode("cp1252"))
    assert (found == text, remark.what) == (True, "cp1252")


def test_that_an_accent_at_the_very_end_of_a_long_text_is_no_cut_off_character() -> None:
    text = "Blood pressure normal.\n" * 1000 + "Herzlicher Gruß"
    found, (remark,) = decoded(text.encode("cp1252"))
    assert (found == text, remark.what) == (True, "cp1252")
    with pytest.raises(ValueError, match="is not UTF-8"):
        decoded(f"Größe {text}".encode()[:-1])


def test_that_a_long_line_before_the_first_accents_takes_no_time() -> None:
    """The time was the square of the line's length: hours for a megabyte."""
    text = "Blood pressure normal. " * 100_000 + "\n" + GERMAN * 4
    found, (remark,) = decoded(text.encode("cp1252"))
    assert (found == text, remark.what) == (True, "cp1252")


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(b"text" * 100, mtime=0),
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
        zlib.compress(bytes(range(1, 256)) * 4),
        b"\xff\xfea",
        b"text\x00text",
        bytes(range(128, 256)) + b"\x01\x02",
    ],
)
def test_that_bytes_that_are_no_text_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a text file|is not UTF-16|encoding is not known"):
        decoded(data)
