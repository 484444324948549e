# SPDX-License-Identifier: Apache-2.0
"""Long notes as the task of entities asks about them: in windows that overlap, cut without a look at the labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from fedmed_desktop.clinical import Note, Span, build_answer
from fedmed_desktop.clinical.tasks import Entities

if TYPE_CHECKING:
    from transformers import AutoTokenizer

    from fedmed_desktop.training.batches import Encoder

TASK = Entities(("drug", "problem"))
SENTENCE = "She took aspirin daily because of chest pain. "
LONG = (SENTENCE * 12).strip()


def note(text: str, places: list[tuple[str, str]]) -> Note:
    """Every occurrence of each of these words is an entity of its type."""
    found = [
        {"start": at, "end": at + len(words), "type": kind, "text": words}
        for words, kind in places
        for at in range(len(text))
        if text.startswith(words, at)
    ]
    return Note.model_validate(
        {"id": "n", "text": text, "entities": [one | {"id": f"T{n}"} for n, one in enumerate(found)]}
    )


LABELLED = note(LONG, [("aspirin", "drug"), ("chest pain", "problem")])


def right_answer(of: Note, part: Note, offset: int) -> str:
    """What a perfect model answers about a part: every mention that the part has whole."""
    there = [e for e in of.entities if offset <= e.start and e.end <= offset + len(part.text)]
    moved = [e.model_copy(update={"start": e.start - offset, "end": e.end - offset}) for e in there]
    return build_answer(part.model_copy(update={"entities": tuple(moved)}), TASK.types, TASK.form)


@given(st.integers(60, 600))
def test_that_a_perfect_model_finds_every_mention_of_a_long_note_once(room: int) -> None:
    asked = TASK.ask(LABELLED, room)
    answers = [right_answer(LABELLED, one.note, one.offset) for one in asked]
    prediction = TASK.predict(LABELLED, asked, answers)
    assert list(prediction.spans) == sorted(entity.span for entity in LABELLED.entities)
    counts = TASK.score(LABELLED, prediction)
    assert counts.f1_strict == 1.0


def test_that_windows_overlap_when_a_note_is_read_and_not_when_it_is_taught() -> None:
    room = 8 * len(SENTENCE)
    asked, taught = TASK.ask(LABELLED, room), TASK.teach(LABELLED, room)
    assert asked[1].offset < asked[0].window.end
    assert taught[1].offset >= taught[0].window.end


def test_that_labels_do_not_decide_where_a_note_is_cut() -> None:
    """A mention as long as the note would otherwise make one window of it, which tells where the mention is."""
    text = "word " * 60
    whole = Note.model_validate(
        {
            "id": "n",
            "text": text,
            "entities": [{"id": "T1", "start": 0, "end": 299, "type": "drug", "text": text[:299]}],
        }
    )
    bare = whole.model_copy(update={"entities": ()})
    assert [one.prompt for one in TASK.ask(whole, 80)] == [one.prompt for one in TASK.ask(bare, 80)]
    assert len(TASK.ask(whole, 80)) > 3 and len(TASK.teach(whole, 80)) == 1


def test_that_what_did_not_fit_counts_as_missed() -> None:
    asked = TASK.ask(LABELLED, 100)[1:]
    answers = [right_answer(LABELLED, one.note, one.offset) for one in asked]
    counts = TASK.score(LABELLED, TASK.predict(LABELLED, asked, answers))
    assert counts.strict["drug"].fn > 0 and counts.strict["drug"].fp == 0
    assert Span(9, 16, "drug") in {entity.span for entity in LABELLED.entities}


def test_that_the_length_of_the_right_answer_does_not_decide_how_a_note_is_read(tiny_model: Path) -> None:
    encoder = Encoder(AutoTokenizer.from_pretrained(tiny_model), [TASK])
    bare = LABELLED.model_copy(update={"entities": ()})
    for most in (80, 160, 320, 640):
        marked, unmarked = (encoder.encode([one], most, reading=True).items for one in (LABELLED, bare))
        assert [item.prompt for item in marked] == [item.prompt for item in unmarked]
