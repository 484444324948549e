# SPDX-License-Identifier: Apache-2.0
"""The task of ICD-10-CM codes: what it teaches and asks, and what likelihoods make of the candidates."""

from __future__ import annotations

import pytest

from fedmed_desktop.clinical import Note
from fedmed_desktop.clinical.icd10 import CodeIndex, CodeTable
from fedmed_desktop.clinical.icd10.words import Synonyms
from fedmed_desktop.clinical.tasks import Asked, Codes
from fedmed_desktop.scores import Counts

TABLE = CodeTable(
    {
        "I10": "Essential (primary) hypertension",
        "J18.9": "Pneumonia, unspecified organism",
        "R05": "Cough",
        "R50.2": "Drug induced fever",
        "R50.9": "Fever, unspecified",
        "R52": "Pain, unspecified",
    },
    {"R50": "Fever of other and unknown origin"},
)
TEXT = "Fever and cough.\nNo pain anywhere. Essential hypertension is known."
NOTE = Note(id="n1", text=TEXT, codes=("R50.9", "R05", "I10", "R51", "J18.9"))


@pytest.fixture(scope="module")
def task() -> Codes:
    return Codes(CodeIndex(TABLE, Synonyms()))


def even(asked: list[Asked], of: float = -1.0) -> list[tuple[float, ...]]:
    return [(of,) * len(one.options) for one in asked]


def test_that_each_code_is_taught_with_the_passage_that_speaks_for_it(task: Codes) -> None:
    taught = task.teach(NOTE, 1000)
    assert [(one.note.text, one.answer) for one in taught] == [
        ("Fever and cough.", "Fever, unspecified"),
        ("Fever and cough.", "Cough"),
        ("Essential hypertension is known.", "Essential (primary) hypertension"),
    ]  # R51 is not billable here, and nothing speaks for pneumonia
    assert taught[0].prompt == "### Task: code\n### Input: Fever and cough.\n### Output: "
    assert all(TEXT[one.offset :].startswith(one.note.text) for one in taught)


def test_that_a_passage_is_asked_about_once(task: Codes) -> None:
    asked = task.ask(NOTE, 1000)
    assert [one.note.text for one in asked] == [
        "Fever and cough.",
        "No pain anywhere.",
        "Essential hypertension is known.",
    ]
    assert set(asked[0].options) == {"Fever, unspecified", "Cough"}
    assert [one.answer for one in asked][1:] == ["", "Essential (primary) hypertension"]


def test_that_labels_do_not_decide_what_is_asked(task: Codes) -> None:
    bare = task.ask(Note(id="n1", text=TEXT), 1000)
    assert [(one.prompt, one.options) for one in bare] == [(one.prompt, one.options) for one in task.ask(NOTE, 1000)]


def test_that_a_prompt_shows_what_the_model_can_take(task: Codes) -> None:
    assert {len(one.note.text) <= 12 for one in task.ask(NOTE, 12)} == {True}
    assert any(one.left_off for one in task.ask(NOTE, 12)) and not any(one.left_off for one in task.ask(NOTE, 1000))
    assert [one.options for one in task.ask(NOTE, 12)] == [one.options for one in task.ask(NOTE, 1000)]


def test_that_even_likelihoods_leave_the_order_of_bm25(task: Codes) -> None:
    asked = task.ask(NOTE, 1000)
    predicted = task.predict(NOTE, asked, even(asked))
    assert [code for code, _ in predicted.codes] == [c.code for c in task.index.find(TEXT)]
    assert predicted == task.predict(NOTE, asked, even(asked, -7.0))
    assert predicted == task.predict(NOTE, [], [])  # nothing fitted


def test_that_likelihoods_move_a_candidate(task: Codes) -> None:
    asked = task.ask(NOTE, 1000)
    answers = [tuple(0.0 if option == "Pain, unspecified" else -40.0 for option in one.options) for one in asked]
    assert task.predict(NOTE, asked, answers).codes[0][0] == "R52"
    missing = [tuple(float("-inf") for _ in one.options) for one in asked]
    assert task.predict(NOTE, asked, missing) == task.predict(NOTE, asked, even(asked))


def test_that_a_prediction_is_scored_against_the_notes_codes(task: Codes) -> None:
    asked = task.ask(NOTE, 1000)
    predicted = task.predict(NOTE, asked, even(asked))
    scores = task.score(NOTE, predicted)
    assert scores.strict["code"].tp + scores.strict["code"].fn == 5
    assert scores.means["recall@5 category"].value == pytest.approx(3 / 5)
    assert task.score(Note(id="n", text="x", codes=()), task.predict(Note(id="n", text="x"), [], [])).strict == {
        "code": Counts()
    }


def test_that_notes_are_labelled_where_they_have_codes_or_say_so(task: Codes) -> None:
    plain = Note(id="n", text="x")
    assert not task.labelled(plain)
    assert task.labelled(NOTE) and task.labelled(plain.model_copy(update={"codes": ()}))
    assert task.labelled(plain.model_copy(update={"tasks": ("codes",)}))
    assert not task.labelled(NOTE.model_copy(update={"tasks": ("entities",)}))
    assert task.taught_by([plain, NOTE])
    assert not task.taught_by([plain.model_copy(update={"codes": ()})])
