# SPDX-License-Identifier: Apache-2.0
"""Questions with options, and summaries: what is asked, what the answers mean and what they are worth."""

from __future__ import annotations

import builtins
import random
import socket
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmed_desktop.clinical import Note
from fedmed_desktop.clinical.tasks import Prediction, Questions, Summaries
from fedmed_desktop.clinical.tasks.questions import ending, relevant
from fedmed_desktop.clinical.tasks.summaries import common_words, ends, rouge_l

ABOUT = Note(
    id="p",
    text="Aspirin was compared with placebo.\nNobody knew why. Stroke came less often with aspirin.",
    question="Does aspirin prevent stroke?",
    options=("yes", "no", "maybe"),
    answer=0,
)
ALONE = Note(id="m", text="Which drug\nis a diuretic?", options=("Aspirin", "Furosemide "), answer=1)
VISIT = Note(id="v", text="CHIEF COMPLAINT\n\nKnee pain after a fall on the stairs.", summary="PLAN\nRest the knee.\n")


def test_that_a_question_shows_text_question_and_options_and_teaches_the_words_of_the_right_one() -> None:
    (asked,) = Questions().teach(ABOUT, 1000)
    assert asked.prompt == (
        "### Task: question\n"
        "### Input: Aspirin was compared with placebo. Nobody knew why. Stroke came less often with aspirin.\n"
        "### Question: Does aspirin prevent stroke?\n"
        "### Options: yes | no | maybe\n"
        "### Output: "
    )
    assert (asked.answer, asked.options, asked.left_off) == ("yes", ("yes", "no", "maybe"), 0)


def test_that_a_text_without_a_question_is_the_question() -> None:
    (asked,) = Questions().teach(ALONE, 1000)
    assert asked.prompt == (
        "### Task: question\n### Question: Which drug is a diuretic?\n### Options: Aspirin | Furosemide\n### Output: "
    )
    assert asked.answer == "Furosemide"


@pytest.mark.parametrize(("likelihoods", "f1"), [((-1.0, -2.0, -3.0), 1.0), ((-2.0, -1.0, -3.0), 0.0)])
def test_that_the_likeliest_option_is_chosen_and_f1_is_the_share_of_right_answers(
    likelihoods: tuple[float, ...], f1: float
) -> None:
    task = Questions()
    scores = task.score(ABOUT, task.predict(ABOUT, task.ask(ABOUT, 1000), [likelihoods]))
    assert scores.f1_strict == scores.f1_lenient == scores.f1_unified == f1
    wrong = task.score(ABOUT, Prediction())
    assert (scores + wrong).f1_strict == f1 / 2


def test_that_an_option_printed_twice_is_right_both_times() -> None:
    twice = Note(id="m", text="Which?", options=("A", "B", "A "), answer=0)
    assert Questions().score(twice, Prediction(option=2)).f1_strict == 1


def test_that_only_notes_with_a_right_answer_or_a_summary_are_taught() -> None:
    open_question = Note(id="o", text="Which?", options=("A", "B"))
    assert [Questions().labelled(note) for note in (ABOUT, ALONE, open_question, VISIT)] == [True, True, False, False]
    empty = VISIT.model_copy(update={"summary": " \n"})  # nothing to learn from, and nothing that could be found
    assert [Summaries().labelled(note) for note in (ABOUT, VISIT, empty)] == [False, True, False]
    others = ABOUT.model_copy(update={"tasks": ("entities",)})
    assert not Questions().labelled(others)
    assert Questions().taught_by([VISIT, ABOUT]) and not Questions().taught_by([VISIT])


def test_that_a_text_without_room_keeps_the_sentences_that_speak_of_the_question() -> None:
    (asked,) = Questions().ask(ABOUT, 75)
    assert "### Input: Aspirin was compared with placebo. Stroke came less often with aspirin.\n" in asked.prompt
    assert asked.left_off == len("\nNobody knew why.")


@given(st.text("ab. \nC?", max_size=200), st.integers(1, 60))
def test_that_shortened_texts_are_as_short_as_asked(text: str, room: int) -> None:
    for short in (relevant(text, "Cabbage abba?", room), ending(text, room), ends(text, room)):
        assert len(short) <= room or short == text
        assert len(text) > room or short == text


def test_that_a_long_exam_question_keeps_its_end_at_a_word() -> None:
    assert ending("A man of 60 has pain. Which drug is best?", 20) == "Which drug is best?"


def test_that_a_summary_is_taught_as_it_was_written_and_asked_for_without_it() -> None:
    (taught,), (asked,) = Summaries().teach(VISIT, 1000), Summaries().ask(VISIT, 1000)
    assert taught.prompt == asked.prompt
    assert taught.prompt == (
        "### Task: summary\n### Input: CHIEF COMPLAINT  Knee pain after a fall on the stairs.\n### Output: "
    )
    assert (taught.answer, asked.answer) == ("PLAN\nRest the knee.", "")


def test_that_no_summary_is_taught_of_less_text_than_itself() -> None:
    (taught,) = Summaries().teach(VISIT, 1)
    (asked,) = Summaries().ask(VISIT, 30)
    assert len(VISIT.text) - taught.left_off <= len(taught.answer)
    assert "### Input: CHIEF ...\n" in taught.prompt
    assert asked.left_off >= len(VISIT.text) - 30


def test_that_rouge_is_that_of_the_library_and_needs_neither_network_nor_files(monkeypatch: pytest.MonkeyPatch) -> None:
    import rouge_score.rouge_scorer

    from fedmed_desktop.clinical.tasks import summaries

    summaries._library.cache_clear()

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("not here")

    with monkeypatch.context() as patched:
        patched.setattr(socket, "socket", refuse)
        patched.setattr(builtins, "open", refuse)
        scores = Summaries().score(VISIT, Prediction(text="Plan: he is resting his knees."))
    means = {name: mean.value for name, mean in scores.means.items()}
    # Stems: plan rest the knee / plan he is rest his knee. Shared: plan, rest, knee; no pair in a row.
    assert means == {"rouge_1": pytest.approx(2 * 3 / 10), "rouge_2": 0.0, "rouge_l": pytest.approx(2 * 3 / 10)}
    assert scores.headline == pytest.approx(0.4)
    assert rouge_score.rouge_scorer


def test_that_a_missing_summary_is_worth_nothing_and_a_perfect_one_everything() -> None:
    task = Summaries()
    assert {mean.value for mean in task.score(VISIT, Prediction()).means.values()} == {0.0}
    perfect = task.predict(VISIT, task.ask(VISIT, 1000), ["\n\nPLAN Rest the knee."])
    assert {mean.value for mean in task.score(VISIT, perfect).means.values()} == {1.0}


WORDS = st.lists(st.sampled_from(["Knee", "knees", "pain", "of", "the", "rest.", "x-ray", "3"]), max_size=40).map(
    " ".join
)


@given(WORDS, WORDS)
def test_that_rouge_l_is_the_librarys(given_text: str, written: str) -> None:
    from rouge_score.rouge_scorer import RougeScorer

    theirs = RougeScorer(["rougeL"], use_stemmer=True).score(given_text, written)["rougeL"].fmeasure
    assert rouge_l(given_text, written) == pytest.approx(theirs)


def test_that_a_summary_of_twenty_thousand_words_is_scored_in_a_moment() -> None:
    """The library's own table of pairs takes more than a minute, and gigabytes."""
    chance = random.Random(1)
    one, other = ([str(chance.randrange(3000)) for _ in range(20_000)] for _ in range(2))
    began = time.process_time()
    assert 600 < common_words(one, other) < 900
    assert time.process_time() - began < 4
