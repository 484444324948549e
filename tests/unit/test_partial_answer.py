# SPDX-License-Identifier: Apache-2.0
"""An answer read while it is written: what is found early is what is found in the end, at a linear price."""

from __future__ import annotations

import json
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmed_desktop.clinical import Span, parse_answer
from fedmed_desktop.clinical.alignment import Alignment, align, tokenise
from fedmed_desktop.clinical.answers import TAG, without_reasoning
from fedmed_desktop.clinical.partial_answer import PartialAnswer
from fedmed_desktop.clinical.prompts import AnswerForm

TYPES = ("drug", "problem")
TEXT = "Aspirin was given for pain.\r\nNaïve β-blockade, then ibuprofen <5 mg/kg, and aspirin for Sjögren's syndrome."
HTML = (
    '<span class="drug">Aspirin</span> was given for <span class="problem">pain</span>.  Naïve '
    '<span class="drug">β-blockade</span>, then <span class="drug">ibuprofen</span> <5 mg/kg, and '
    '<span class="drug">aspirin</span> for <span class="problem">Sjögren\'s syndrome</span>.'
)
JSON = json.dumps(
    [
        {"entity": type_, "text": text}
        for type_, text in [("drug", "Aspirin"), ("problem", "pain"), ("drug", "ibuprofen"), ("drug", "aspirin")]
    ]
)
FORMS: list[tuple[AnswerForm, str]] = [("html", HTML), ("json", JSON)]


def words(spans: list[Span], text: str = TEXT) -> list[str]:
    return [text[span.start : span.end] for span in spans]


def states(pieces: list[str], form: AnswerForm = "html", text: str = TEXT) -> list[tuple[list[Span], int]]:
    answer = PartialAnswer(text, TYPES, form)
    seen = []
    for piece in pieces:
        answer.add(piece)
        seen.append((answer.spans, answer.reached))
    return seen


def test_that_an_entity_counts_once_its_closing_mark_up_has_come() -> None:
    pieces = ["<spa", 'n class="', 'drug">As', "pirin", "</", "span", ">", " was"]
    assert [words(spans) for spans, _ in states(pieces)] == [[]] * 7 + [["Aspirin"]]


def test_that_an_object_counts_once_its_text_is_closed() -> None:
    pieces = ['[{"entity": "dr', 'ug", "text": "Asp', "irin", '"', "}, {"]
    assert [words(spans) for spans, _ in states(pieces, "json")] == [[], [], [], ["Aspirin"], ["Aspirin"]]


@pytest.mark.parametrize(("form", "answer"), FORMS)
def test_that_character_by_character_all_entities_come_in_order_and_the_way_through_the_text_is_known(
    form: AnswerForm, answer: str
) -> None:
    seen = states(list(answer), form)
    assert seen[-1][0] == parse_answer(answer, TEXT, TYPES, form)
    for (before, reached), (after, further) in pairwise(seen):
        assert before == after[: len(before)]
        assert reached <= further
    assert seen[0][1] == 0
    assert seen[-1][1] == (len(TEXT) if form == "html" else TEXT.index("aspirin") + len("aspirin"))


def test_that_a_slip_in_copying_waits_until_the_words_agree_again_and_then_counts() -> None:
    answer = '<span class="drug">Asprin</span> was given for <span class="problem">pain</span>. Naïve β-blockade, then'
    seen = [words(spans) for spans, _ in states(list(answer))]
    assert [] in seen and seen[-1] == ["Aspirin", "pain"]
    assert words(states([answer[: answer.index(" Naïve")]])[-1][0]) == ["Aspirin", "pain"]


def test_that_an_outer_span_takes_the_place_of_those_inside() -> None:
    answer = '<span class="drug">Aspirin <span class="problem">was</span> given</span> for pain'
    seen = [words(spans) for spans, _ in states(list(answer))]
    assert ["was"] in seen and seen[-1] == ["Aspirin was given"]


@pytest.mark.parametrize(
    "answer",
    [
        "",
        " ",
        "<",
        "<span",
        "</span>",
        '<span class="drug">',
        "Once upon a time",
        "\ufffd\x00",
        "<span class=drug></span>",
    ],
)
@pytest.mark.parametrize("form", ["html", "json"])
def test_that_an_answer_without_entities_has_none(form: AnswerForm, answer: str) -> None:
    assert [spans for spans, _ in states(list(answer), form)] == [[]] * len(answer)


@st.composite
def answers(draw: st.DrawFn) -> tuple[AnswerForm, list[str]]:
    """An answer with pieces of it dropped, doubled and put elsewhere, or anything at all; cut anywhere."""
    form, answer = draw(st.sampled_from(FORMS))
    for _ in range(draw(st.integers(0, 5))):
        a, b, c = sorted(draw(st.integers(0, len(answer))) for _ in range(3))
        invented = draw(
            st.sampled_from(["", " ", "<", "<span class=drug>", "</span>", '{"entity": "', '"', "\\", "pain é"])
        )
        answer = answer[:b] + invented + answer[draw(st.sampled_from([a, b, c])) :]
    if draw(st.booleans()):
        answer += draw(st.text(max_size=30))
    cuts = sorted({draw(st.integers(0, len(answer))) for _ in range(draw(st.integers(0, 12)))} | {0, len(answer)})
    return form, [answer[a:b] for a, b in pairwise(cuts)]


def nested(pieces: list[str]) -> bool:
    depth = 0
    for tag in TAG.finditer("".join(pieces)):
        depth = max(0, depth - 1) if tag["close"] else depth + 1
        if depth > 1:
            return True
    return False


@settings(max_examples=150)
@given(answers())
def test_that_what_is_found_early_is_found_in_the_end(drawn: tuple[AnswerForm, list[str]]) -> None:
    form, pieces = drawn
    whole = parse_answer("".join(pieces), TEXT, TYPES, form)
    for spans, reached in states(pieces, form):
        assert 0 <= reached <= len(TEXT)
        assert all(0 <= s.start < s.end <= len(TEXT) and s.type in TYPES for s in spans)
        assert all(left.end <= right.start for left, right in pairwise(spans))
        if not nested(pieces):
            assert set(spans) <= set(whole)


@settings(max_examples=100)
@given(answers())
def test_that_how_an_answer_is_cut_changes_nothing(drawn: tuple[AnswerForm, list[str]]) -> None:
    form, pieces = drawn
    assert states(["", *pieces], form)[-1] == states(["".join(pieces)], form)[-1]


@settings(max_examples=150)
@given(st.lists(st.sampled_from("abcdefg"), max_size=60), st.lists(st.sampled_from("abcdefgx"), max_size=60))
def test_that_an_alignment_that_follows_ends_where_the_whole_one_does(source: list[str], copy: list[str]) -> None:
    here, there = tokenise(" ".join(source)), tokenise(" ".join(copy))
    whole = align(here, there)
    following = Alignment(here)
    for count in range(len(there) + 1):
        following.settle([token.text for token in there[:count]])
        assert following.places == whole[: len(following.places)]
    following.settle([token.text for token in there], whole=True)
    assert following.places == whole


@pytest.mark.parametrize(
    ("form", "piece"),
    [
        ("html", '<span class="drug">aspirin</span> '),
        ("html", "invented words "),
        ("html", "<span class=drug>invented</span> "),
        ("html", "<"),
        ("html", "aaaa"),
        ("html", "<span class=drug>"),
        ("json", '{"entity": "drug", "text": "aspirin"}, '),
        ("json", '"a", '),
        ("json", '{"entity": '),
    ],
)
def test_that_a_model_which_repeats_itself_costs_linear_time(form: AnswerForm, piece: str) -> None:
    text = TEXT * 40
    answer = PartialAnswer(text, TYPES, form)
    started = time.process_time()
    for _ in range(4000):
        answer.add(piece)
        _ = answer.reached
    assert time.process_time() - started < 4


@pytest.mark.parametrize(("form", "answer"), FORMS)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_that_what_is_thought_aloud_is_no_part_of_the_answer(form: AnswerForm, answer: str, size: int) -> None:
    aloud = f"\n<think>Is {HTML} {JSON} right?</think>\n\n{answer}"
    found = parse_answer(without_reasoning(aloud, TEXT), TEXT, TYPES, form)
    assert found == parse_answer(answer, TEXT, TYPES, form) != []
    seen = states([aloud[at : at + size] for at in range(0, len(aloud), size)] + ["\n"], form)
    assert seen[-1][0] == found
    assert size == 1000 or seen[len(aloud) // size // 2][0] == []
    assert without_reasoning(aloud.replace("</think>", ""), TEXT) == ""


def test_that_a_note_which_begins_like_a_thought_is_read_as_it_is() -> None:
    text = "<think> aspirin"
    answer = '<think> <span class="drug">aspirin</span>'
    assert words(parse_answer(without_reasoning(answer, text), text, TYPES, "html"), text) == ["aspirin"]
    assert words(states([*answer, "\n"], text=text)[-1][0], text) == ["aspirin"]
