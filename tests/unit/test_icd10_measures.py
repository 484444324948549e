# SPDX-License-Identifier: Apache-2.0
"""Ranked ICD-10-CM codes against a note's own: worked by hand, and beside formulas over whole matrices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmed_desktop.clinical.icd10 import score_codes
from fedmed_desktop.clinical.icd10.measures import CUTS, average_precision, recall_at
from fedmed_desktop.scores import Counts


def test_that_counts_are_of_the_chosen_codes_at_three_levels() -> None:
    ranked = ["E11.9", "I10", "E11.65", "R50.9"]
    scores = score_codes(ranked, 3, ["E11.9", "E78.5", "R50.9"])
    assert scores.strict == {"code": Counts(tp=1, fp=2, fn=2)}  # E11.9; I10 and E11.65; E78.5 and R50.9
    assert scores.lenient == {"code": Counts(tp=1, fp=1, fn=2)}  # E11; I10; E78 and R50
    assert scores.unified == Counts(tp=1, fp=1, fn=1)  # endocrine; circulatory; symptoms


def test_that_means_are_of_the_whole_ranking() -> None:
    scores = score_codes(["I10", "E11.9", "E11.65", "R50.9"], 1, ["E11.9", "R50.9", "Z99.2"])
    values = {name: mean.value for name, mean in scores.means.items()}
    assert values["recall@1 code"] == 0
    assert values["recall@5 code"] == pytest.approx(2 / 3)
    assert values["MAP code"] == pytest.approx((1 / 2 + 2 / 4) / 3)
    # By category: I10, E11, R50.
    assert values["MAP category"] == pytest.approx((1 / 2 + 2 / 3) / 3)
    assert values["recall@1 chapter"] == 0
    assert values["MAP chapter"] == pytest.approx((1 / 2 + 2 / 3) / 3)
    assert set(values) == {
        *(f"recall@{k} {level}" for k in CUTS for level in ("code", "category", "chapter")),
        *(f"MAP {level}" for level in ("code", "category", "chapter")),
    }


def test_that_codes_compare_in_any_spelling_and_count_once() -> None:
    scores = score_codes(["E119", "e11.9", " I10 "], 3, ["E11.9", "I10", "i10"])
    assert scores.strict["code"] == Counts(tp=2)


def test_that_a_code_of_another_edition_still_counts_by_its_category() -> None:
    scores = score_codes(["T81.4XXA"], 1, ["T81.4XX"])
    assert scores.strict["code"] == Counts(fp=1, fn=1)
    assert scores.lenient["code"] == Counts(tp=1)


def test_that_a_note_without_codes_has_no_means_and_may_have_invented_ones() -> None:
    scores = score_codes(["I10"], 1, [])
    assert scores.strict["code"] == Counts(fp=1)
    assert scores.means == {}


def test_that_an_empty_ranking_misses_all() -> None:
    scores = score_codes([], 5, ["I10"])
    assert scores.strict["code"] == Counts(fn=1)
    assert {mean.value for mean in scores.means.values()} == {0.0}
    assert scores.means["MAP code"].of == 1


def test_that_means_add_up_over_notes() -> None:
    both = score_codes(["I10"], 1, ["I10"]) + score_codes(["I10"], 1, ["E11.9"])
    assert both.means["MAP code"].value == 0.5
    assert both.f1_strict == 0.5


@given(st.permutations(list("abcdefgh")), st.sets(st.sampled_from("abcdefghij"), min_size=1), st.integers(1, 10))
def test_that_the_measures_are_those_of_dense_matrices(ranked: list[str], gold: set[str], k: int) -> None:
    labels = list("abcdefghij")
    relevant = np.array([name in gold for name in labels], float)
    placed = np.array([[name == other for name in labels] for other in ranked], float) @ relevant
    precision = np.cumsum(placed) / np.arange(1, len(ranked) + 1)
    assert average_precision(ranked, gold) == pytest.approx(float(precision @ placed / relevant.sum()))
    assert recall_at(ranked, gold, k) == pytest.approx(float(placed[:k].sum() / relevant.sum()))
