# SPDX-License-Identifier: Apache-2.0
"""Guesses at tokens that an answer copies from its prompt; and answers that are the same with any guesses."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    from transformers import DynamicCache

    from fedmed_desktop.training import generation
    from fedmed_desktop.training.base import BaseModel
    from fedmed_desktop.training.copying import GUESSES, Copier
    from fedmed_desktop.training.device import choose_device
    from fedmed_desktop.training.generation import Request, generate, stream

TASK, OPEN, CLOSE = (90, 91, 92), (80, 81, 82), (83, 84)
NOTE = (1, 2, 3, 4, 5, 6, 7, 8, 9)


def grown(answer: tuple[int, ...], learned: dict[tuple[int, ...], int] | None = None) -> Copier:
    copier = Copier((*TASK, *NOTE, 99), {} if learned is None else learned)
    for token in answer:
        copier.add(token)
    return copier


def test_that_a_copy_goes_on_where_it_is_in_the_prompt() -> None:
    assert grown((1, 2)).guesses(4) == [3, 4, 5, 6]
    assert grown((4, 5)).guesses(2) == [6, 7], "two in a row are found anywhere"
    assert grown((1, 2, 3, 4, 5, 6, 7, 8, 9, 99)).guesses(4) == [], "behind the prompt there is nothing to copy"


def test_that_a_mark_is_expected_to_go_on_as_the_last_one_did_and_the_copy_behind_it() -> None:
    marked = (1, 2, *OPEN, 3, *CLOSE, 4, 5)
    assert grown((*marked, OPEN[0])).guesses(2) == [*OPEN[1:]]
    assert grown((*marked, *OPEN)).guesses(1) == [3], "as behind the last mark"
    assert grown((*marked, *OPEN, 6, *CLOSE[:1])).guesses(1) == [CLOSE[1]]
    assert grown((*marked, *OPEN, 6, *CLOSE)).guesses(1) == [4], "a wrong guess, which costs time alone"
    assert grown((*marked, *OPEN, 6, *CLOSE, 7)).guesses(2) == [8, 9]


def test_that_what_one_answer_taught_is_expected_in_the_next() -> None:
    learned: dict[tuple[int, ...], int] = {}
    grown((1, 2, *OPEN, 3, *CLOSE, 4), learned)
    assert grown((5, 6, OPEN[0]), learned).guesses(2) == [*OPEN[1:]]


def test_that_other_tokens_for_the_same_words_are_stepped_over() -> None:
    assert grown((1, 2, *OPEN, 70, 4)).guesses(3) == [5, 6, 7], "70 stands for what is 3 in the prompt"


@given(st.lists(st.integers(0, 9), max_size=30), st.lists(st.integers(0, 9), max_size=30), st.integers(-2, 12))
def test_that_there_are_never_more_guesses_than_asked_for(prompt: list[int], answer: list[int], most: int) -> None:
    copier = Copier(tuple(prompt), {})
    for token in answer:
        copier.add(token)
    guessed = copier.guesses(most)
    assert len(guessed) <= max(0, most) and guessed == copier.guesses(most), "guessing changes nothing"


@given(st.lists(st.integers(0, 4), max_size=30), st.lists(st.integers(0, 4), max_size=30))
def test_that_two_in_a_row_are_found_at_their_next_place(prompt: list[int], answer: list[int]) -> None:
    pairs = [tuple(prompt[place : place + 2]) for place in range(len(prompt) - 1)]
    copier = Copier(tuple(prompt), {})
    for before, token in pairwise(answer):
        for at in range(len(prompt)):
            if token in prompt[at : at + 6]:
                continue
            found = [place + 2 for place, pair in enumerate(pairs) if place >= at and pair == (before, token)]
            assert copier._follow(at, (before,), token) == ((found[0], True) if found else (at, False))


def test_that_what_answers_taught_is_forgotten_where_it_grows_large(
    base: BaseModel, plain: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    made = Copier.__init__

    def seen(self: Copier, prompt: tuple[int, ...], learned: dict[tuple[int, ...], int]) -> None:
        sizes.append(len(learned))
        made(self, prompt, learned)

    monkeypatch.setattr(Copier, "__init__", seen)
    monkeypatch.setattr(generation, "MOST_LEARNED", 5)
    assert generate(base, requests(), rows=1) == plain
    assert sizes == [0, 4, 0, sizes[3]], "seven, before the third, were too many"


@pytest.fixture(scope="module")
def base(tiny_model: Path) -> BaseModel:
    return BaseModel.load(tiny_model, choose_device(prefer="cpu"), threads=1)


def requests() -> list[Request]:
    rng = np.random.default_rng(3)
    sizes = ((20, 25), (5, 7), (31, 40), (12, 1))
    return [Request(tuple(int(token) for token in rng.integers(1, 60, size)), limit) for size, limit in sizes]


def at_random() -> Callable[[Copier, int], list[int]]:
    rng = np.random.default_rng(8)
    return lambda copier, most: [int(t) for t in rng.integers(0, 60, max(0, int(rng.integers(0, max(1, most + 1)))))]


@pytest.fixture
def plain(base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    with monkeypatch.context() as without:
        without.setattr(Copier, "guesses", lambda copier, most: [])
        return generate(base, requests())


def test_that_wrong_guesses_change_no_answer(
    base: BaseModel, plain: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Copier, "guesses", at_random())
    monkeypatch.setitem(generation._TOKENS_A_STEP, "cpu", 64)
    assert generate(base, requests()) == plain
    assert [tuple(stream(base, request)) for request in requests()] == plain


def test_that_right_guesses_are_read_at_once(
    base: BaseModel, plain: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guesses of somebody who knows the answer, in place of a model that copies."""
    request, answer = requests()[2], plain[2]
    assert len(answer) > 2 * GUESSES
    told = {"at": 0}

    def known(copier: Copier, most: int) -> list[int]:
        return list(answer[told["at"] : told["at"] + max(0, most)])

    def add(copier: Copier, token: int) -> None:
        told["at"] += 1

    calls = []
    read = BaseModel.selected_logits

    def counted(self: BaseModel, *args: Any, **inputs: Any) -> Any:
        calls.append(inputs["input_ids"].shape)
        return read(self, *args, **inputs)

    monkeypatch.setattr(Copier, "guesses", known)
    monkeypatch.setattr(Copier, "add", add)
    monkeypatch.setattr(BaseModel, "selected_logits", counted)
    assert tuple(stream(base, request)) == answer
    assert len(calls) == -(-len(answer) // (GUESSES + 1))


def test_that_a_model_whose_past_cannot_be_taken_back_gets_no_guesses(
    base: BaseModel, plain: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generation, "roomy_cache", lambda config: DynamicCache(config=config))
    monkeypatch.setattr(Copier, "guesses", lambda copier, most: [1] * max(0, most))
    shapes = []
    read = BaseModel.selected_logits

    def seen(self: BaseModel, *args: Any, **inputs: Any) -> Any:
        shapes.append(inputs["input_ids"].shape[1])
        return read(self, *args, **inputs)

    monkeypatch.setattr(BaseModel, "selected_logits", seen)
    assert generate(base, requests()) == plain
    assert set(shapes[1:]) == {1}
