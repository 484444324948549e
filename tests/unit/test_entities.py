# SPDX-License-Identifier: Apache-2.0
"""Entities in a text: pieces to show, colours by type, and the same in words."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fedmed_desktop.clinical import Span
from fedmed_desktop.desktop.look.entities import Piece, colors, count_types, in_words, pieces
from fedmed_desktop.desktop.look.tokens import ENTITIES

TEXT = "On warfarin for atrial fibrillation."
SPANS = (Span(3, 11, "drug"), Span(16, 35, "problem"))


def test_that_a_text_is_cut_at_its_entities() -> None:
    assert pieces(TEXT, SPANS) == [
        Piece("On "),
        Piece("warfarin", "drug"),
        Piece(" for "),
        Piece("atrial fibrillation", "problem"),
        Piece("."),
    ]
    assert pieces(TEXT, SPANS, hidden={"drug", "problem"}) == [Piece(TEXT)]


def test_that_of_overlapping_entities_the_longest_is_shown() -> None:
    inner = Span(23, 35, "problem")
    assert pieces(TEXT, (inner, *SPANS)) == pieces(TEXT, SPANS)
    assert Piece("fibrillation", "test") in pieces(TEXT, (*SPANS, Span(23, 35, "test")), hidden={"problem"})


@given(
    st.text(max_size=40),
    st.lists(st.builds(Span, st.integers(-5, 45), st.integers(-5, 45), st.sampled_from(["a", "b"])), max_size=8),
)
def test_that_no_character_is_lost_whatever_the_spans(text: str, spans: list[Span]) -> None:
    assert "".join(piece.text for piece in pieces(text, spans)) == text


def test_that_usual_types_have_the_same_colour_everywhere_and_known_ones_keep_theirs() -> None:
    assert colors(["problem"])["problem"] == colors(["drug", "problem", "dose"])["problem"]
    assert colors(["drug", "problem", "test"]) == dict(zip(("drug", "problem", "test"), ENTITIES, strict=False))
    first = colors(["dose"])
    assert colors(["allergy", "dose"], first)["dose"] == first["dose"]


def test_that_six_types_have_six_colours_and_more_begin_anew() -> None:
    assert len(set(colors(list("abcdef")).values())) == len(ENTITIES)
    assert set(colors([f"type{n}" for n in range(20)]).values()) == set(ENTITIES)


def test_that_the_entities_are_told_in_words() -> None:
    assert in_words(TEXT, SPANS) == "2 entities: warfarin, drug; atrial fibrillation, problem"
    assert in_words("a  \n b", [Span(0, 6, "x")]) == "1 entity: a b, x"
    assert in_words(TEXT, ()) == "no entities"
    many = "ab " * 30
    assert in_words(many, [Span(3 * n, 3 * n + 2, "x") for n in range(30)]).endswith("; and 10 more")
    assert count_types(SPANS) == {"drug": 1, "problem": 1}
