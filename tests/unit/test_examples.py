# SPDX-License-Identifier: Apache-2.0
"""The bundled example notes are whole, and none is forgotten."""

from __future__ import annotations

import time
from itertools import pairwise

from fedmed_desktop.clinical import examples
from fedmed_desktop.clinical.sentences import sentence_ends
from fedmed_desktop.resources import resource


def test_that_every_bundled_note_is_offered_under_a_title_of_its_own() -> None:
    offered = examples()
    files = sorted(path.read_text("utf-8").strip() for path in resource("examples").glob("*.txt"))
    assert 4 <= len(offered) <= 6
    assert sorted(example.text for example in offered) == files
    assert len({example.title for example in offered}) == len(offered)


def test_that_a_note_is_some_sentences_long_and_does_not_begin_with_its_title() -> None:
    for example in examples():
        ends = [0, *sentence_ends(example.text), len(example.text)]
        sentences = [example.text[start:end] for start, end in pairwise(ends) if example.text[start:end].strip()]
        assert 2 <= len(sentences) <= 6
        assert example.title not in example.text and "\n" not in example.title


def test_that_a_row_of_dots_costs_no_time() -> None:
    began = time.process_time()
    text = "Pain" + "." * 50_000 + " No. " + "!?" * 50_000 + " Yes"
    assert sentence_ends(text) == [50_004, 150_009]
    assert time.process_time() - began < 2
