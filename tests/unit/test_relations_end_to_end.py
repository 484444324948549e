# SPDX-License-Identifier: Apache-2.0
"""Modifiers of the mentions that the model itself found, with answers put in its mouth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest

from fedmed_desktop.clinical import Note, Span
from fedmed_desktop.clinical.link_scoring import Link
from fedmed_desktop.clinical.tasks import Entities, Prediction, Relations, with_heads
from fedmed_desktop.scores import Counts
from tests.parts.training import note as labelled

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    from fedmed_desktop.evaluation import EvaluationRequest, evaluate
    from fedmed_desktop.training import evaluation
    from fedmed_desktop.training.end_to_end import end_to_end
    from fedmed_desktop.training.preparation import LoadedBase

TEXT = "Aspirin 5 mg for pain."
ANSWERS = {
    "drug, problem": '<span class="drug">Aspirin</span> 5 mg for pain.',
    "dosage": 'Aspirin <span class="dosage" of="1">5 mg</span> for pain.',
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, loaded: LoadedBase) -> list[str]:
    """The prompts that the model gets; it answers as in ANSWERS, and marks nothing in other texts."""
    seen: list[str] = []
    tokenizer = loaded.get().tokenizer

    def answer(base: Any, requests: Sequence[Any], **told: Any) -> list[tuple[int, ...]]:
        prompts = [tokenizer.decode(request.prompt) for request in requests]
        seen.extend(prompts)
        for done, _ in enumerate(requests, start=1):
            told["progress"](done)
        said = [ANSWERS[prompt.split(": ")[2].split("\n")[0]] if "Aspirin" in prompt else "" for prompt in prompts]
        return [tuple(tokenizer(one)["input_ids"]) for one in said]

    monkeypatch.setattr(evaluation, "generate", answer)
    return seen


def test_that_modifiers_are_asked_of_what_was_found_and_of_no_label(asked: list[str], loaded: LoadedBase) -> None:
    notes = [Note(id="a", text=TEXT), labelled(3)]
    done: list[int] = []
    tasks = Entities(("drug", "problem")), Relations(("drug", "problem"), ("dosage",))
    found = list(end_to_end(loaded.get(), notes, *tasks, 200, 100, done.append))
    aspirin, dose = Span(0, 7, "drug"), Span(8, 12, "dosage")
    assert found == [
        (notes[0], Prediction(spans=(aspirin,), links=(Link(aspirin, dose),))),
        (notes[1], Prediction()),
    ]
    # The second note's own mentions are not told, and where none was found there is nothing to ask.
    assert len(asked) == 3 and '<span class="drug" id="1">Aspirin</span> 5 mg for pain.' in asked[2]
    assert done == [1, 2, 3]


def test_that_an_evaluation_may_take_the_mentions_that_the_model_found(asked: list[str], loaded: LoadedBase) -> None:
    spans = {"T0": Span(0, 7, "drug"), "T1": Span(8, 12, "dosage"), "T2": Span(17, 21, "problem")}
    entities = [
        {"id": name, "start": span.start, "end": span.end, "type": span.type, "text": TEXT[span.start : span.end]}
        for name, span in spans.items()
    ]
    relations = [{"head": "T0", "tail": "T1", "type": "dosage"}]
    whole = Note.model_validate({"id": "a", "text": TEXT, "entities": entities, "relations": relations})
    tasks = Entities(("drug", "problem")), Relations(("drug", "problem"), ("dosage",))
    steps: list[tuple[int, int]] = []
    request = EvaluationRequest([whole], tasks, end_to_end=True)
    results = evaluate(loaded, request, lambda done, total: steps.append((done, total)))
    assert [one.task for one in results] == ["entities", "relations"]
    assert results[0].scores.strict["problem"] == Counts(fn=1)
    assert results[1].scores.strict == {"dosage": Counts(tp=1)}
    # The pain, which the model did not find, is not marked in what it is asked.
    assert '<span class="drug" id="1">Aspirin</span> 5 mg for pain.' in asked[1]
    assert steps == [(1, 1), (2, 2)]
    evaluate(loaded, EvaluationRequest([whole], tasks))
    assert '<span class="problem" id="2">pain</span>' in asked[3], "without, mentions are given"


def test_that_modifiers_can_be_asked_for_a_sentence_at_a_time(asked: list[str], loaded: LoadedBase) -> None:
    from fedmed_desktop.clinical.reading import ReadingSettings
    from fedmed_desktop.federation.work import Control
    from fedmed_desktop.training.asking import Sides, ask_note

    two = with_heads(Note(id="n", text=f"{TEXT} {TEXT}"), (Span(0, 7, "drug"), Span(23, 30, "drug")))
    task = Relations(["drug"], ["dosage"])
    whole, apart = (
        ask_note(loaded, task, two, Sides(), ReadingSettings(), Control(), text_tokens=most)[0] for most in (None, 1)
    )
    first = Link(Span(0, 7, "drug"), Span(8, 12, "dosage"))
    assert whole.links == (first,) and apart.links == (first, Link(Span(23, 30, "drug"), Span(31, 35, "dosage")))
    assert len(asked) == 3  # of the whole note, then of each sentence
