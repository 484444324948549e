# SPDX-License-Identifier: Apache-2.0
"""Prompts, and answers back to spans: exact for a right answer, near for one with slips, never an exception."""

from __future__ import annotations

import json
import re
import time
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmed_desktop.clinical import Note, Span, build_answer, build_prompt, parse_answer, split_note
from fedmed_desktop.clinical.prompts import AnswerForm, shown

TYPES = ("drug", "problem")
TEXT = "The patient took aspirin and ibuprofen for severe back pain, then aspirin again."
FORMS: list[AnswerForm] = ["html", "json"]


def note(text: str, *spans: tuple[int, int, str]) -> Note:
    entities = [
        {"id": f"T{i}", "start": start, "end": end, "type": type_, "text": text[start:end]}
        for i, (start, end, type_) in enumerate(spans)
    ]
    return Note.model_validate({"id": "n", "text": text, "entities": entities})


def marked(text: str) -> Note:
    """A note from a text with [drug|mention] marks."""
    plain, spans = "", []
    for piece in text.split("["):
        head, _, tail = piece.partition("]")
        if "|" in head:
            type_, words = head.split("|")
            spans.append((len(plain), len(plain) + len(words), type_))
            plain += words + tail
        else:
            plain += piece
    return note(plain, *spans)


GOLD = marked(
    "The patient took [drug|aspirin] and [drug|ibuprofen] for [problem|severe back pain], then [drug|aspirin] again."
)


def found(answer: str, text: str = TEXT, form: AnswerForm = "html") -> list[tuple[str, str]]:
    return [(text[s.start : s.end], s.type) for s in parse_answer(answer, text, TYPES, form)]


def test_that_the_prompt_is_the_one_the_base_model_was_trained_with() -> None:
    expected = "### Task: markup\n### Classes: drug, problem\n### Input: Pain & <5 mg\n### Output: "
    assert build_prompt("Pain & <5 mg", ["problem", "drug"], "html") == expected
    assert build_prompt("a", ["drug"], "json") == "### Task: json\n### Classes: drug\n### Input: a\n### Output: "


def test_that_a_form_s_empty_field_in_pointed_brackets_is_shown_at_once() -> None:
    """The time was the square of the blanks: half an hour for these."""
    text = f"Weight: <{' ' * 200_000}> kg < / span>"
    assert shown(text) == text.replace("< / span", "‹ / span")


def test_that_answers_are_markup_or_a_json_list() -> None:
    small = marked("[drug|Aspirin] for [problem|pain].")
    assert build_answer(small, TYPES, "html") == (
        '<span class="drug">Aspirin</span> for <span class="problem">pain</span>.'
    )
    assert build_answer(small, ["drug"], "json") == '[{"entity": "drug", "text": "Aspirin"}]'
    assert build_answer(small, ["test"], "json") == "[]"
    assert build_answer(small, ["test"], "html") == "Aspirin for pain."


def test_that_overlapping_entities_have_no_answer() -> None:
    with pytest.raises(ValueError, match="overlap at offset 2"):
        build_answer(note("abcd", (0, 3, "drug"), (2, 4, "drug")), TYPES, "html")


def test_that_line_breaks_and_a_note_s_own_markup_stay_on_one_line_at_the_same_offsets() -> None:
    text = 'BP < 90\r\n<span class="drug">pain</span>\u2028### Output: x'
    prompt = build_prompt(text, TYPES, "html")
    line = prompt.splitlines()[2].removeprefix("### Input: ")
    assert len(prompt.splitlines()) == 4
    assert len(line) == len(text)
    assert "BP < 90" in line
    assert "<span" not in line
    gold = note(text, (text.index("pain"), text.index("pain") + 4, "problem"))
    answer = build_answer(gold, TYPES, "html")
    assert parse_answer(answer, text, TYPES, "html") == [e.span for e in gold.entities]


@pytest.mark.parametrize("form", FORMS)
def test_that_a_right_answer_gives_back_the_entities(form: AnswerForm) -> None:
    assert parse_answer(build_answer(GOLD, TYPES, form), GOLD.text, TYPES, form) == [e.span for e in GOLD.entities]


# Short words and odd signs, so that mentions repeat, touch each other and look like mark-up.
# fmt: off
_PIECES = st.sampled_from([
    "a", "b", "pain", "Pain", "span", "<", ">", "</", "/span>", '"', "&amp;", "\n", "\r\n",
    "é", "ß", "İ", "😀", "-", ".",
    "{", "}", "\\", "'", "\u2028", "1.5", " ", "  ", 'class="drug"', "<span class='drug'>", "e\u0301",
])
# fmt: on


@st.composite
def notes(draw: st.DrawFn) -> Note:
    text = "".join(draw(st.lists(_PIECES, min_size=1, max_size=30)))
    if not text.strip():
        text += "x"
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=12)))
    spans = []
    for start, end in zip(cuts[::2], cuts[1::2], strict=False):
        inside = text[start:end].strip()
        start += len(text[start:end]) - len(text[start:end].lstrip())
        if inside:
            spans.append((start, start + len(inside), draw(st.sampled_from(TYPES))))
    return note(text, *spans)


@settings(max_examples=150)
@given(notes())
def test_that_markup_gives_back_every_note_exactly(gold: Note) -> None:
    answer = build_answer(gold, TYPES, "html")
    assert parse_answer(answer, gold.text, TYPES, "html") == [e.span for e in gold.entities]


@settings(max_examples=150)
@given(notes())
def test_that_json_gives_back_every_note_whose_mentions_stand_in_one_place_only(gold: Note) -> None:
    # As the model sees it, and with places that overlap: ">>" stands in ">>>" twice.
    alone = [e for e in gold.entities if len(re.findall(f"(?={re.escape(shown(e.text))})", shown(gold.text))) == 1]
    gold = gold.model_copy(update={"entities": tuple(alone)})
    answer = build_answer(gold, TYPES, "json")
    assert parse_answer(answer, gold.text, TYPES, "json") == [e.span for e in gold.entities]


@settings(max_examples=150)
@given(notes(), st.sampled_from(FORMS), st.data())
def test_that_no_mutation_of_an_answer_raises_or_leaves_the_text(gold: Note, form: AnswerForm, data: Any) -> None:
    answer = build_answer(gold, TYPES, form)
    for _ in range(data.draw(st.integers(1, 4))):
        start, end = sorted(data.draw(st.integers(0, len(answer))) for _ in range(2))
        what = data.draw(st.sampled_from(["cut", "double", "drop", "insert", "swap case"]))
        middle = answer[start:end]
        new = {"cut": "", "double": middle * 3, "drop": "", "insert": middle + data.draw(_PIECES)}
        answer = answer[:start] + new.get(what, middle.swapcase()) + ("" if what == "cut" else answer[end:])
    spans = parse_answer(answer, gold.text, TYPES, form)
    assert spans == sorted(spans)
    assert all(left.end <= right.start for left, right in pairwise(spans))
    assert all(0 <= s.start < s.end <= len(gold.text) and s.type in TYPES for s in spans)
    words = [gold.text[s.start : s.end] for s in spans]
    assert words == [w.strip() for w in words]


@settings(max_examples=150)
@given(st.text(max_size=80), st.text(max_size=80), st.sampled_from(FORMS))
def test_that_any_answer_to_any_text_is_parsed(answer: str, text: str, form: AnswerForm) -> None:
    parse_answer(answer, text, TYPES, form)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("", []),
        ("nonsense <b>bold</b> {} [] </span></span>", []),
        # Class names in any case, other quotes, other blanks.
        ("took < SPAN CLASS = 'Drug' >aspirin</ span> and", [("aspirin", "drug")]),
        ("took <span class=drug>aspirin</span> and", [("aspirin", "drug")]),
        # Unknown, missing and misspelt classes and tags mark nothing; what they surround still counts.
        ('took <span class="dose">aspirin</span> and <span class="drug">ibuprofen</span>', [("ibuprofen", "drug")]),
        ('took <span>aspirin</span> and <span class="drug">ibuprofen</span>', [("ibuprofen", "drug")]),
        ('took <spam class="drug">aspirin</spam> and <span class="drug">ibuprofen</span>', [("ibuprofen", "drug")]),
        ('<span class="x">took <span class="drug">aspirin</span></span>', [("aspirin", "drug")]),
        # Of nested ones the outermost.
        ('for severe <span class="problem">back <span class="drug">pain</span></span>', [("back pain", "problem")]),
        # Cut off: in a mention, in a tag.
        ('took <span class="drug">aspirin</span> and <span class="drug">ibup', [("aspirin", "drug")]),
        ('took <span class="drug">aspirin</span> and <span class="dr', [("aspirin", "drug")]),
        # Slips: a word left out, doubled, put in, misspelt; blanks and line ends changed.
        ('patient <span class="drug">aspirin</span> and', [("aspirin", "drug")]),
        ('The patient took took <span class="drug">aspirin</span> and', [("aspirin", "drug")]),
        ('The very ill old patient took <span class="drug">aspirin</span> and', [("aspirin", "drug")]),
        ('took <span class="drug">asprin</span> and ibuprofene for', [("aspirin", "drug")]),
        ('took asprin and <span class="drug">ibuprofene</span> for', [("ibuprofen", "drug")]),
        ('for\n<span class="problem"> severe  back-pain </span>, then', [("severe back pain", "problem")]),
        # A drug that is not in the text is not the drug that is.
        ('took <span class="drug">morphine</span> and', []),
        # A jump far ahead is followed.
        ('The patient then <span class="drug">aspirin</span> again.', [("aspirin", "drug")]),
    ],
)  # fmt: skip
def test_that_a_marked_up_answer_with_slips_still_counts(answer: str, expected: list[tuple[str, str]]) -> None:
    assert found(answer) == expected


def test_that_a_repeated_word_is_told_apart_by_its_place() -> None:
    [span] = parse_answer('for severe back pain, then <span class="drug">aspirin</span> again.', TEXT, TYPES, "html")
    assert span == Span(TEXT.rindex("aspirin"), TEXT.rindex("aspirin") + 7, "drug")


def test_that_a_model_that_loops_keeps_what_it_said_before() -> None:
    loop = 'The patient took <span class="drug">aspirin</span> and ' + '<span class="drug">aspirin</span> and ' * 50
    assert found(loop)[0] == ("aspirin", "drug")
    assert len(found(loop)) <= 2


def test_that_a_loop_does_not_mark_the_same_words_far_away() -> None:
    text = "She took aspirin and left. " + " ".join(f"word{i}" for i in range(30)) + " aspirin and more."
    assert found("She took " + '<span class="drug">aspirin</span> and ' * 9, text) == [("aspirin", "drug")]


def test_that_a_part_of_a_word_may_be_a_mention() -> None:
    text = "clonidine-suppressible and lithiumlike"
    answer = '<span class="drug">clonidine</span>-suppressible and <span class="drug">lithium</span>like'
    assert found(answer, text) == [("clonidine", "drug"), ("lithium", "drug")]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("", []),
        ("[]", []),
        ('[{"entity": "drug", "text": "morphine"}]', []),
        ('[{"entity": "dose", "text": "aspirin"}, {"entity": "Drug", "text": "IBUPROFEN"}]', [("ibuprofen", "drug")]),
        ('[{"text": "aspirin", "entity": "drug"}', [("aspirin", "drug")]),
        ('[{"entity": "drug", "text": "aspirin"}, {"entity": "drug", "text": "ibup', [("aspirin", "drug")]),
        ('Sure! [{"entity":"drug","text":" aspirin "}, oops {"entity": 3}', [("aspirin", "drug")]),
        ('[{"entity": "drug", "text": ""}, {"entity": "", "text": "pain"}]', []),
        # Whole words before parts of words; a mention inside a found one is not found again.
        ('[{"entity": "drug", "text": "a"}]', [("a", "drug")]),
        ('[{"entity": "drug", "text": "back pain"}, {"entity": "problem", "text": "pain"}]', [("back pain", "drug")]),
    ],
)  # fmt: skip
def test_that_a_json_answer_with_faults_still_counts(answer: str, expected: list[tuple[str, str]]) -> None:
    assert found(answer, form="json") == expected


def test_that_a_repeated_mention_in_json_is_its_next_place() -> None:
    item = {"entity": "drug", "text": "aspirin"}
    starts = [s.start for s in parse_answer(json.dumps([item, item, item]), TEXT, TYPES, "json")]
    assert starts == [TEXT.index("aspirin"), TEXT.rindex("aspirin")]


def test_that_whole_words_are_found_before_parts_of_words() -> None:
    text = "MSG and MS"
    assert parse_answer('[{"entity": "problem", "text": "MS"}]', text, TYPES, "json") == [Span(8, 10, "problem")]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "piece",
    [
        "the ",
        "a b ",
        "<",
        "< ",
        "[",
        "\\",
        '<span class="drug">the ',
        '<span class="drug">a</span> ',
        '{"entity": "drug", "text": "the"}, ',
        '{"entity": "drug", "text": "x',
    ],
)
def test_that_endless_answers_take_bounded_time(form: AnswerForm, piece: str) -> None:
    text = "the a b c the d " * 250
    started = time.process_time()
    parse_answer(piece * 40_000, text, TYPES, form)
    assert time.process_time() - started < 5


def test_that_a_note_that_fits_is_one_window() -> None:
    [window] = split_note(GOLD, len(GOLD.text))
    assert (window.note, window.offset) == (GOLD, 0)


def test_that_windows_end_at_sentences_where_they_can() -> None:
    long = marked("No fever. [drug|Aspirin] was given.  Then more.\nThe [problem|pain] went away.")
    windows = split_note(long, 28)
    assert [w.note.text for w in windows] == ["No fever. Aspirin was given.", "Then more.", "The pain went away."]
    assert [[e.text for e in w.note.entities] for w in windows] == [["Aspirin"], [], ["pain"]]


def test_that_a_mention_longer_than_a_window_is_not_cut() -> None:
    [first, second] = split_note(marked("[problem|chronic obstructive lung disease] again"), 10)
    assert (first.note.text, second.note.text) == ("chronic obstructive lung disease", "again")


@settings(max_examples=150)
@given(notes(), st.integers(1, 20))
def test_that_windows_keep_every_entity_and_map_back(gold: Note, max_chars: int) -> None:
    windows = split_note(gold, max_chars)
    back = [span for w in windows for span in w.to_note(e.span for e in w.note.entities)]
    assert back == [e.span for e in gold.entities]
    done = 0
    for window in windows:
        Note.model_validate(window.note.model_dump())
        assert not gold.text[done : window.offset].strip()
        assert gold.text.startswith(window.note.text, window.offset)
        done = window.offset + len(window.note.text)
        longest = max((e.end - e.start for e in window.note.entities), default=0)
        assert len(window.note.text) <= max(max_chars, max_chars - 1 + longest)
    assert not gold.text[done:].strip()
