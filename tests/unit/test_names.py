# SPDX-License-Identifier: Apache-2.0
"""Which names a site may have, and which count as the same."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from fedmed_desktop.federation.names import alike, clean_name
from fedmed_desktop.identity import PrivateKey
from fedmed_desktop.storage.registry import Registry
from tests.parts.told import told_as

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("Köln", "Köln"),
        ("Ko\u0308ln", "Köln"),
        ("St Mary's", "St Mary's"),
        ("St Mary’s", "St Mary’s"),
        (" A \t", "A"),
        ("Mercy   General\n", "Mercy General"),
        ("Universitätsklinikum Köln, Klinik I & II (Süd)", "Universitätsklinikum Köln, Klinik I & II (Süd)"),
        ("東京病院", "東京病院"),
        ("अस्पताल", "अस्पताल"),
        ("site_1-b.2", "site_1-b.2"),
    ],
)
def test_that_a_name_in_any_script_is_taken_and_written_one_way(typed: str, name: str) -> None:
    assert clean_name(typed) == name
    assert clean_name(name) == name


@pytest.mark.parametrize("unseen", "\u034f\u115f\u17b4\u180b\u3164\uffa0\ufe0f\U000e0100")
def test_that_letters_and_marks_that_show_nothing_make_no_other_name(unseen: str) -> None:
    with pytest.raises(ValueError):
        clean_name(f"A{unseen}")


@pytest.mark.parametrize(
    "typed",
    ["", "  ", ".", "-a", "a/b", "a\\b", "a\x00b", "a\u202eb", "a\u200bb", "a:b", "<a>", "a" * 61, "\u0301a", "a🙂"],
)
def test_that_what_could_mislead_or_is_no_name_is_refused(typed: str) -> None:
    with pytest.raises(ValueError):
        clean_name(typed)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Köln", "KÖLN"),
        ("St Mary's", "st mary’s"),
        ("A", "Ａ"),
        ("A ", "A"),
        ("Straße", "STRASSE"),
        ("ﬁ", "fi"),
        ("Mercy", "Меrсу"),
        ("HOTEΛ", "НОТЕΛ"),
        ("ΰ", "Ϋ́"),
    ],
)
def test_that_names_that_look_the_same_belong_to_the_site_that_came_first(one: str, other: str, tmp_path: Path) -> None:
    assert alike(one) == alike(other)
    registry = Registry(tmp_path / "registry.sqlite")
    first, second = PrivateKey.new().public, PrivateKey.new().public
    assert registry.join(first, site=one, now=NOW, open_to_all=True).name == clean_name(one)
    with told_as("already joined"):
        registry.join(second, site=other, now=NOW, open_to_all=True)
    written = registry.join(first, site=other, now=NOW, open_to_all=True).name
    assert written == clean_name(one), "the site itself may write its name otherwise"
    assert registry.join(second, site="Another", now=NOW, open_to_all=True).name == "Another"
    registry.close()
