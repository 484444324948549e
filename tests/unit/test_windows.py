# SPDX-License-Identifier: Apache-2.0
"""Windows that overlap, and their spans merged to the note's: each once, and whole where a neighbour has it whole."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fedmed_desktop.clinical import Entity, Note, Span, Window, merged, split_note
from fedmed_desktop.clinical.notes import Relation
from fedmed_desktop.clinical.windows import Parts

TEXT = "Pain began on Monday. Aspirin helped. The pain came back. He took more aspirin. Then it went away."


def bare(text: str) -> Note:
    return Note(id="n", text=text)


def gold_of(windows: list[Window]) -> list[tuple[Window, list[Span]]]:
    return [(window, [entity.span for entity in window.note.entities]) for window in windows]


def clipped(windows: list[Window], spans: list[Span]) -> list[tuple[Window, list[Span]]]:
    """What a perfect reader of each window alone would find: the part of each mention that it sees."""
    return [
        (
            w,
            [
                Span(max(a, w.offset) - w.offset, min(b, w.end) - w.offset, t)
                for a, b, t in spans
                if a < w.end and w.offset < b
            ],
        )
        for w in windows
    ]


@st.composite
def texts(draw: st.DrawFn) -> str:
    words = st.sampled_from(["a", "Pain", "aspirin", "chronic", "é", "🙂", "No", "5", "mg/dl"])
    seams = st.sampled_from([" ", " ", " ", ". ", ".\n", "\n\n", "  ", "? "])
    pieces = draw(st.lists(st.tuples(words, seams), min_size=1, max_size=60))
    return "".join(word + seam for word, seam in pieces)


@st.composite
def annotated(draw: st.DrawFn) -> Note:
    """Mentions of whole stretches without blanks at their edges; they may nest and overlap."""
    text = draw(texts())
    entities = []
    places = st.tuples(st.integers(0, len(text) - 1), st.integers(1, 25))
    for number, (start, length) in enumerate(draw(st.lists(places, max_size=8))):
        words = text[start : start + length]
        start += len(words) - len(words.lstrip())
        if words := words.strip():
            kind = draw(st.sampled_from(["drug", "problem"]))
            place = {"start": start, "end": start + len(words)}
            entities.append({"id": f"T{number}", "type": kind, "text": words, **place})
    return Note.model_validate({"id": "n", "text": text, "entities": entities})


def test_that_a_window_begins_at_a_sentence_before_the_end_of_the_one_ahead() -> None:
    windows = split_note(bare(TEXT), 60, overlap=25)
    assert [w.note.text for w in windows] == [
        "Pain began on Monday. Aspirin helped. The pain came back.",
        "The pain came back. He took more aspirin. Then it went away.",
    ]
    assert [w.note.text for w in split_note(bare(TEXT), 60, overlap=5)] == [
        "Pain began on Monday. Aspirin helped. The pain came back.",
        "He took more aspirin. Then it went away.",
    ]


def test_that_an_overlap_as_long_as_a_window_is_refused() -> None:
    with pytest.raises(ValueError, match="overlap"):
        split_note(bare(TEXT), 10, overlap=10)


@pytest.mark.parametrize("line", ["\r\n", "\n "])
def test_that_any_number_of_empty_lines_is_passed_over_at_once(line: str) -> None:
    """The time was the square of their number: minutes for these."""
    windows = split_note(Note(id="n", text=f"No pain.{line * 30_000}No cough."), 800, 100)
    assert [window.note.text for window in windows] == ["No pain.", "No cough."]


def test_that_no_window_only_repeats_the_one_ahead() -> None:
    long = "A b. C d. E f. " + "word " * 40
    windows = split_note(bare(long), 50, overlap=49)
    assert all(left.end < right.end for left, right in pairwise(windows))


@settings(max_examples=150)
@given(annotated(), st.integers(1, 40), st.integers(0, 39))
def test_that_merging_the_gold_of_windows_gives_the_note_s_own(note: Note, max_chars: int, overlap: int) -> None:
    windows = split_note(note, max_chars, min(overlap, max_chars - 1))
    assert merged(gold_of(windows)) == sorted({entity.span for entity in note.entities})
    covered = 0
    for window in windows:
        Note.model_validate(window.note.model_dump())
        assert note.text.startswith(window.note.text, window.offset)
        assert not note.text[covered : window.offset].strip()
        covered = window.end
    assert not note.text[covered:].strip()


@settings(max_examples=150)
@given(annotated(), st.integers(5, 40), st.integers(0, 39))
@example(bare(TEXT), 60, 25)
def test_that_a_mention_that_any_window_has_whole_comes_back_whole(note: Note, max_chars: int, overlap: int) -> None:
    apart: list[Span] = []
    for entity in sorted(note.entities, key=lambda e: e.span):
        if not apart or apart[-1].end <= entity.start:
            apart.append(entity.span)
    windows = split_note(bare(note.text), max_chars, min(overlap, max_chars - 1))
    whole = {span for span in apart if any(w.offset <= span.start and span.end <= w.end for w in windows)}
    found = merged(clipped(windows, apart))
    assert whole <= set(found)
    pieces = [span for span in found if span not in whole]
    assert not any(piece.start < span.end and span.start < piece.end for piece in pieces for span in whole)


def test_that_windows_that_disagree_are_settled_by_who_saw_more_around_the_words() -> None:
    first, second = split_note(bare(TEXT), 60, overlap=25)
    at = TEXT.index("pain came")
    here, there = at - first.offset, at - second.offset
    assert there == 4 and len(first.note.text) - (here + 4) > 4
    found = merged([(first, [Span(here, here + 4, "problem")]), (second, [Span(there - 4, there + 4, "problem")])])
    assert found == [Span(at, at + 4, "problem")]


@given(st.lists(st.tuples(st.integers(0, 17), st.integers(1, 4)), max_size=6), st.integers(0, 20), st.integers(1, 20))
def test_that_a_part_has_the_labels_that_lie_inside_in_the_note_s_order(
    places: list[tuple[int, int]], start: int, length: int
) -> None:
    text = "abcdefghijklmnopqrstuvwxyz"
    entities = [
        Entity(id=f"T{at}", start=first, end=first + size, type="t", text=text[first : first + size])
        for at, (first, size) in enumerate(places)
    ]
    relations = [Relation(head=f"T{at}", tail=f"T{at - 1}", type="r") for at in range(len(places) - 1, 0, -1)]
    part = Parts(Note(id="n", text=text, entities=entities, relations=relations)).of(start, start + length)
    inside = [one for one in entities if start <= one.start and one.end <= start + length]
    ids = {one.id for one in inside}
    assert [(one.id, one.start + start) for one in part.entities] == [(one.id, one.start) for one in inside]
    assert list(part.relations) == [one for one in relations if {one.head, one.tail} <= ids]


def test_that_a_part_is_annotated_for_what_the_note_is_but_not_for_what_only_the_whole_has() -> None:
    def tasks(**fields: object) -> list[object]:
        note = Note.model_validate({"id": "n", "text": TEXT, "patient": "p", "document": "d", **fields})
        windows = split_note(note, 60)
        assert len(windows) > 1 and {(w.note.patient, w.note.document) for w in windows} == {("p", "d")}
        return list(dict.fromkeys(window.note.tasks for window in windows))

    pain = {"id": "T1", "start": 0, "end": 4, "type": "problem", "text": "Pain"}
    assert tasks() == [None] == tasks(codes=["R52"], entities=[pain])
    assert tasks(tasks=[]) == [()] == tasks(codes=["R52"]), "no window becomes one in which there is nothing to find"
    assert tasks(tasks=["entities", "codes"], codes=["R52"]) == [("entities",)]


def test_that_nothing_read_is_nothing_found() -> None:
    assert merged([]) == []
