# SPDX-License-Identifier: Apache-2.0
"""What one side found that the other did not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fedmed_desktop.clinical import Span
from fedmed_desktop.desktop.trial.unmatched import differences, marked_type, told

TEXT = "Warfarin and ciprofloxacin caused melena; warfarin was stopped."
WARFARIN = Span(0, 8, "drug")
CIPRO = Span(13, 26, "drug")
MELENA = Span(34, 40, "problem")
AGAIN = Span(42, 50, "drug")
END = len(TEXT)

spans = st.builds(
    lambda start, length, kind: Span(start, start + length, kind),
    st.integers(0, 50), st.integers(1, 10), st.sampled_from(("drug", "problem")),
)  # fmt: skip


def test_that_what_both_found_is_no_difference() -> None:
    assert differences([WARFARIN, MELENA], [MELENA, WARFARIN], END) == {}


def test_that_what_only_one_found_is_only_here() -> None:
    assert differences([WARFARIN, CIPRO], [WARFARIN], END) == {CIPRO: "only"}
    assert differences([WARFARIN], [WARFARIN, CIPRO], END) == {}


def test_that_the_same_words_under_another_type_differ_on_both_sides() -> None:
    other = MELENA._replace(type="drug")
    assert differences([MELENA], [other], END) == {MELENA: "type"}
    assert differences([other], [MELENA], END) == {other: "type"}


def test_that_a_shorter_span_is_another_one() -> None:
    part = MELENA._replace(end=MELENA.end - 1)
    assert differences([MELENA], [part], END) == {MELENA: "only"}


def test_that_what_the_other_side_has_not_come_to_yet_is_no_difference() -> None:
    assert differences([WARFARIN, CIPRO, MELENA], [], CIPRO.end) == {WARFARIN: "only", CIPRO: "only"}
    assert differences([WARFARIN], [], 0) == {}


@given(st.lists(spans), st.lists(spans))
def test_that_the_sides_together_tell_the_symmetric_difference(here: list[Span], there: list[Span]) -> None:
    found = differences(here, there, 100).keys() | differences(there, here, 100).keys()
    assert found == set(here) ^ set(there)


def test_that_a_difference_is_told_by_mark_and_word() -> None:
    assert marked_type("drug", None) == "drug"
    assert marked_type("drug", "only") == "drug\u00a0+"
    other = MELENA._replace(type="drug")
    assert told(TEXT, differences([other, CIPRO], [MELENA], END)) == [
        "+ Only here: ciprofloxacin (drug)",
        "≠ Another type on the other side: melena (drug)",
    ]


def test_that_a_repeated_mention_is_named_once_and_long_lists_are_cut() -> None:
    assert told(TEXT, {WARFARIN: "only", AGAIN: "only"}) == ["+ Only here: Warfarin (drug)"]
    many = {Span(at, at + 3, "drug"): "only" for at in range(10)}
    (line,) = told("abcdefghijklmnop", many)  # type: ignore[arg-type]
    assert line.count("(drug)") == 8 and line.endswith("and 2 more")


def test_that_nothing_is_told_of_nothing() -> None:
    assert told(TEXT, {}) == []
