# SPDX-License-Identifier: Apache-2.0
"""Near-duplicates are found whatever separates them, and are one group."""

from __future__ import annotations

import random

from fedmed_desktop.clinical.duplicates import joined, near_duplicates

RANDOM = random.Random(1)
WORDS = [f"word{number}" for number in range(4000)]
TEXT = " ".join(RANDOM.choices(WORDS, k=60))


def other(words: int = 60) -> str:
    return " ".join(RANDOM.choices(WORDS, k=words))


def pairs(*texts: str) -> set[frozenset[int]]:
    return {frozenset(pair) for pair in near_duplicates(texts)}


def test_that_a_copy_with_other_marks_capitals_and_a_few_other_words_is_found() -> None:
    words = TEXT.split()
    words[10] = words[40] = "changed"
    assert pairs(TEXT, other(), "; ".join(words).upper()) == {frozenset({0, 2})}


def test_that_a_short_note_inside_a_long_one_is_found() -> None:
    short = " ".join(TEXT.split()[20:45])
    assert pairs(f"{other()} {TEXT} {other()}", short) == {frozenset({0, 1})}


def test_that_common_words_and_a_common_phrase_are_no_copy() -> None:
    shuffled = TEXT.split()
    RANDOM.shuffle(shuffled)
    phrase = " ".join(TEXT.split()[:12])
    assert pairs(TEXT, " ".join(shuffled), f"{phrase} {other(30)}", phrase, "", "NA", "NA") == set()


def test_that_a_forms_words_link_nobody_but_what_is_written_into_it_does() -> None:
    form = other(200)
    filled = [f"{form} {other(60)}" for _ in range(60)]
    assert pairs(*filled) == set()
    assert pairs(*filled, filled[7] + " end") == {frozenset({7, 60})}


def test_that_the_same_words_are_found_however_often_where_they_are_more_than_a_phrase() -> None:
    note, phrase = other(17), other(16)
    copies = [note, note.upper(), phrase] * 30
    assert {place for pair in pairs(*copies) for place in pair} == {at for at in range(90) if at % 3 < 2}


def test_that_a_copy_of_a_copy_is_in_the_same_group_under_the_first_name() -> None:
    words = other(90).split()
    chain = [" ".join(words[at : at + 50]) for at in (0, 20, 40)]
    assert joined(["z", "y", "x", "w"], [chain[2], other(), chain[0], chain[1]]) == ["z", "y", "z", "z"]
    assert joined(["a", "b", "a", "c"], [TEXT, other(), other(), TEXT]) == ["a", "b", "a", "a"]
    assert joined([], []) == []
