# SPDX-License-Identifier: Apache-2.0
"""Search in the guide: which pages a word finds, in which order, with which words around it. No Qt."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fedmed_desktop.desktop.guide.files import guide_search, guide_text
from fedmed_desktop.desktop.guide.search import Found, GuideSearch

PAGES = {
    "tea": "# Tea\n\nHot water on leaves. It is poured into *cups*, and [milk](milk.md) is added.\n",
    "milk": "# Milk\n\n## For tea\n\nA little. Milk that was poured first stays white.\n",
    "cake": "# Cake\n\n| what | how much |\n|---|---|\n| flour | `two cups` |\n\nBake an hour. Tea goes with it.\n",
    "jam": "# Jam\n\nBoil fruit with sugar. Long boiling makes it firm.\n",
}


def pages(found: Found) -> list[str]:
    return [hit.page for hit in found.hits]


def snippet(found: Found) -> str:
    return "".join(piece.text for piece in found.hits[0].snippet)


@pytest.fixture(scope="module")
def small() -> GuideSearch:
    return GuideSearch(PAGES)


def test_that_a_title_counts_more_than_a_heading_and_that_more_than_the_text(small: GuideSearch) -> None:
    assert pages(small.find("tea")) == ["tea", "milk", "cake"]


def test_that_other_forms_of_a_word_are_found_and_named_as_they_stand_there(small: GuideSearch) -> None:
    found = small.find("pour boiled ")
    assert not found.all_words and found.words == {"poured", "boil", "boiling"}
    assert set(pages(small.find("cup "))) == {"tea", "cake"}


def test_that_a_word_that_is_being_typed_finds_what_begins_with_it_and_a_finished_one_does_not(
    small: GuideSearch,
) -> None:
    assert pages(small.find("sug")) == ["jam"]
    assert pages(small.find("sug ")) == [] and pages(small.find("s")) == []


def test_that_all_words_must_be_there_and_only_else_some(small: GuideSearch) -> None:
    assert pages(small.find("milk tea")) == ["milk", "tea"]
    some = small.find("sugar flour")
    assert set(pages(some)) == {"jam", "cake"} and not some.all_words


def test_that_a_question_is_about_its_rare_words(small: GuideSearch) -> None:
    assert pages(small.find("how do I make the jam?")) == ["jam"]


def test_that_words_in_their_order_come_first() -> None:
    search = GuideSearch(
        {
            "apart": "# One\n\nSeconds pass. Somebody counts to ten, ten, ten.\n",
            "together": "# Two\n\nAfter ten seconds it is sent, and then nothing more.\n",
        }
    )
    assert pages(search.find("ten seconds")) == ["together", "apart"]


@pytest.mark.parametrize("typed", ["", "   ", "!?", "the "])
def test_that_nothing_to_look_for_finds_nothing_or_what_there_is(small: GuideSearch, typed: str) -> None:
    assert small.find(typed).all_words is bool(small.find(typed).hits)


def test_that_a_mistyped_word_is_told_what_it_may_have_been(small: GuideSearch) -> None:
    assert small.find("suger").instead == "sugar" and small.find("suger").hits == ()
    assert small.find("xylophone") == Found(all_words=False)


def test_that_a_snippet_shows_the_found_words_without_markdown(small: GuideSearch) -> None:
    found = small.find("leaves")
    assert [piece.text for piece in found.hits[0].snippet if piece.found] == ["leaves"]
    assert "poured into cups, and milk is added" in snippet(found)
    assert snippet(small.find("flour")).startswith("what how much flour two cups")


def test_that_a_long_page_is_shown_where_the_words_are() -> None:
    long = GuideSearch({"long": "# Long\n\n" + "Other words stand here. " * 50 + "A needle. " + "More of them. " * 50})
    shown = snippet(long.find("needle"))
    assert "needle" in shown and shown.startswith("… ") and shown.endswith(" …") and len(shown) < 120


@pytest.mark.parametrize(
    ("typed", "page"),
    [
        ("approval", "approvals"), ("approv", "approvals"), ("epsilon", "epsilon"), ("six words", "join"),
        ("ten seconds", "approvals"), ("secure agg", "secure-aggregation"), ("backup", "operations"),
        ("drift", "monitor"), ("language", "settings"), ("how do I delete my notes", "privacy"),
    ],
)  # fmt: skip
def test_that_what_people_look_for_in_the_guide_comes_first(typed: str, page: str) -> None:
    assert pages(guide_search().find(typed))[0] == page


def test_that_every_title_leads_to_its_page() -> None:
    for page in guide_search()._pages:
        title = guide_text(page).partition("\n")[0].removeprefix("# ")
        assert page in pages(guide_search().find(title))[:3], title


def test_that_search_needs_no_qt() -> None:
    ask = "import sys, fedmed_desktop.desktop.guide.search; sys.exit(any(m.startswith('PySide6') for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", ask], timeout=60).returncode == 0
