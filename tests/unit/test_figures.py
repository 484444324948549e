# SPDX-License-Identifier: Apache-2.0
"""Numbers, moments and texts as the reader's language has them, and files that stay English."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fedmed_desktop.wording import in_english, install, tr, written
from fedmed_desktop.wording.catalogue import Catalogue, catalogue_of, languages, read_catalogue
from fedmed_desktop.wording.figures import Customs, clock
from tests.parts.translations import script

KEY, PLURAL = ("", "{done:,} of {total:.1f}", ""), ("", "%n token(s)", "")
TEXTS = {KEY: ("{total:.1f}, davon {done:,}",), PLURAL: ("%n Token", "%n Tokens")}


@pytest.fixture
def german() -> Iterator[Customs]:
    customs = Customs(".", ",", "\xa0%", moment=lambda time, kind: f"{time:%d.%m.} {kind}")
    install(Catalogue("de", TEXTS), customs)
    yield customs
    install(None)


def test_that_numbers_have_the_signs_of_the_language(german: Customs) -> None:
    assert [written(n) for n in (0, 999, -1234, 1234567)] == ["0", "999", "-1.234", "1.234.567"]
    assert (written(1234.56, ",.1f"), written(0.5, ".2f"), written(0.25, ".0%")) == ("1.234,6", "0,50", "25\xa0%")
    with in_english():
        assert written(1234.56, ",.1f") == "1,234.6"


def test_that_spanish_has_no_sign_in_numbers_of_four_digits() -> None:
    install(Catalogue("es", {}), Customs(".", ",", "\xa0%", whole_thousands=True))
    try:
        assert [written(n, ",.1f") for n in (1234, 12345, 1234567)] == ["1234,0", "12.345,0", "1.234.567,0"]
    finally:
        install(None)


def test_that_the_fields_of_a_translated_text_are_written_in_the_language(german: Customs) -> None:
    said = tr("{done:,} of {total:.1f}")
    assert said.format(done=1234, total=5678.9) == "5678,9, davon 1.234"
    assert said.format_map({"done": 1, "total": 2}) == "2,0, davon 1"
    assert tr("not translated, {n:,}").format(n=1234) == "not translated, 1.234"


def test_that_a_moment_has_its_day_unless_that_is_today(german: Customs) -> None:
    now = datetime(2026, 6, 3, 12, tzinfo=UTC)
    assert clock(now, now) == f"{now.astimezone():%d.%m.} clock"
    assert clock(now) == f"{now.astimezone():%d.%m.} near"
    with in_english():
        assert clock(now) == now.astimezone().strftime("%a %d %b, %H:%M")


@pytest.mark.parametrize(
    ("language", "ones"), [("de", {1}), ("es", {1}), ("fr", {0, 1})], ids=["German", "Spanish", "French"]
)
def test_that_a_number_decides_by_the_rule_of_the_language(language: str, ones: set[int]) -> None:
    found = Catalogue(language, TEXTS)
    forms = {n: found.find(*PLURAL, n) for n in (0, 1, 2, 10, 1000)}
    assert forms == {n: TEXTS[PLURAL][n not in ones] for n in forms}


def test_that_english_has_its_own_two_forms_and_stands_in_where_a_text_is_missing(german: Customs) -> None:
    assert [tr("%n token(s)", "", n) for n in (1, 1234)] == ["1 Token", "1.234 Tokens"]
    assert tr("%n byte(s)", "", 1234) == "1.234 bytes"
    install(None)
    assert [tr("%n token(s)", "", n) for n in (0, 1, 2, 1234)] == ["0 tokens", "1 token", "2 tokens", "1,234 tokens"]


def test_that_only_the_thread_that_writes_a_file_is_answered_in_english(german: Customs) -> None:
    said: list[str] = []
    with in_english():
        other = threading.Thread(target=lambda: said.append(tr("%n token(s)", "", 2)))
        other.start()
        other.join()
        assert tr("%n token(s)", "", 2) == "2 tokens"
    assert said == ["2 Tokens"]


def test_that_what_is_unfinished_is_not_said(tmp_path: Path) -> None:
    ts = tmp_path / "fedmed_de.ts"
    ts.write_text(
        """<?xml version="1.0" encoding="utf-8"?><!DOCTYPE TS><TS version="2.1" language="de"><context><name>A</name>
        <message><source>One &amp; &quot;two&quot;</source><translation>Eins &lt;b&gt;</translation></message>
        <message><source>Old</source><translation type="unfinished">Vielleicht</translation></message>
        <message><source>New</source><comment>which</comment><translation>Neu</translation></message>
        </context></TS>""",
        "utf-8",
    )
    found = read_catalogue(ts, "de")
    assert found.find("A", 'One & "two"') == "Eins <b>" and found.find("A", "New", "which") == "Neu"
    assert found.find("A", "Old") is None and found.find("B", "New", "which") is None


@pytest.mark.parametrize("language", [one for one in languages() if one != "en"])
def test_that_a_file_is_read_as_an_xml_parser_reads_it(language: str) -> None:
    found = catalogue_of(language)
    assert found is not None
    messages = script().messages(script().FOLDER / f"fedmed_{language}.ts")
    assert found.texts == {one.key: one.forms for one in messages if one.is_finished}
