# SPDX-License-Identifier: Apache-2.0
"""Counts by hand, and against nervaluate where the two mean the same."""

from __future__ import annotations

import random
from typing import Any

import pytest
from nervaluate import Evaluator
from nervaluate.entities import EvaluationResult

from fedmed_desktop.clinical import Span, score
from fedmed_desktop.scores import Counts, total

TYPES = ["drug", "problem"]


def S(start: int, end: int, type_: str = "drug") -> Span:
    return Span(start, end, type_)


@pytest.mark.parametrize(
    ("gold", "predicted", "strict", "lenient", "unified"),
    [
        ([], [], (0, 0, 0), (0, 0, 0), (0, 0, 0)),
        ([S(0, 5)], [S(0, 5)], (1, 0, 0), (1, 0, 0), (1, 0, 0)),
        ([S(0, 5)], [], (0, 0, 1), (0, 0, 1), (0, 0, 1)),
        ([], [S(0, 5)], (0, 1, 0), (0, 1, 0), (0, 1, 0)),
        # Right place, wrong type: found only if the type is not asked.
        ([S(0, 5)], [S(0, 5, "problem")], (0, 1, 1), (0, 1, 1), (1, 0, 0)),
        # A part of it: lenient only. Touching is not overlapping.
        ([S(0, 5)], [S(4, 9)], (0, 1, 1), (1, 0, 0), (0, 1, 1)),
        ([S(0, 5)], [S(5, 9)], (0, 1, 1), (0, 1, 1), (0, 1, 1)),
        # One prediction over two mentions finds one; two predictions in one mention find it once.
        ([S(0, 4), S(5, 9)], [S(0, 9)], (0, 1, 2), (1, 0, 1), (0, 1, 2)),
        ([S(0, 9)], [S(0, 4), S(5, 9)], (0, 2, 1), (1, 1, 0), (0, 2, 1)),
        # Shifted chain: each prediction takes the next mention.
        ([S(0, 4), S(5, 9)], [S(3, 6), S(8, 12)], (0, 2, 2), (2, 0, 0), (0, 2, 2)),
        # A model that repeats itself is counted once.
        ([S(0, 5)], [S(0, 5), S(0, 5)], (1, 0, 0), (1, 0, 0), (1, 0, 0)),
        # Types that are not asked are neither missed nor invented.
        ([S(0, 5, "test")], [S(0, 5, "dose")], (0, 0, 0), (0, 0, 0), (0, 0, 0)),
    ],
)
def test_that_counts_are_those_worked_out_by_hand(
    gold: list[Span], predicted: list[Span], strict: Any, lenient: Any, unified: Any
) -> None:
    scores = score(gold, predicted, TYPES)
    for counts, expected in (
        (total(scores.strict.values()), strict),
        (total(scores.lenient.values()), lenient),
        (scores.unified, unified),
    ):
        assert (counts.tp, counts.fp, counts.fn) == expected


def test_that_each_asked_type_is_counted_apart_and_present() -> None:
    scores = score([S(0, 5), S(6, 9, "problem")], [S(6, 9, "problem")], ["problem", "drug", "test"])
    zero = Counts()
    assert scores.strict == {"drug": Counts(fn=1), "problem": Counts(tp=1), "test": zero}
    assert set(scores.lenient) == {"drug", "problem", "test"}


def _spans(rng: random.Random) -> list[Span]:
    """Spans that do not overlap each other, as gold and predictions never do."""
    cuts = sorted(rng.sample(range(40), 2 * rng.randint(0, 6)))
    return [Span(a, b, rng.choice(TYPES)) for a, b in zip(cuts[::2], cuts[1::2], strict=True)]


def _measured(documents: list[tuple[list[Span], list[Span]]], types: list[str], measure: str) -> EvaluationResult:
    """nervaluate's measure over documents of gold and predicted spans."""
    gold, predicted = (
        [[{"label": s.type, "start": s.start, "end": s.end - 1} for s in document[side]] for document in documents]
        for side in (0, 1)
    )
    return Evaluator(gold, predicted, tags=types, loader="dict").evaluate()["overall"][measure]


def test_that_strict_f1_of_500_random_documents_is_nervaluate_s_one_by_one_and_together() -> None:
    """And unified is its "exact". The same counts lie behind each F1: hits, and what was predicted and expected."""
    rng = random.Random(7)
    documents: list[tuple[list[Span], list[Span]]] = []
    for _ in range(500):
        gold = _spans(rng)
        # Near copies, so that every kind of hit and miss occurs.
        predicted = [s if rng.random() < 0.7 else Span(s.start, s.end, rng.choice(TYPES)) for s in gold]
        documents.append((gold, predicted if rng.random() < 0.8 else _spans(rng)))
    ours = [score(gold, predicted, TYPES) for gold, predicted in documents]
    for measure, counts in (
        ("strict", [total(scores.strict.values()) for scores in ours]),
        ("exact", [scores.unified for scores in ours]),
    ):
        pairs = [*((c, [d]) for c, d in zip(counts, documents, strict=True)), (total(counts), documents)]
        for found, compared in pairs:
            theirs = _measured(compared, TYPES, measure)
            hits, predicted, expected = theirs.correct, theirs.actual, theirs.possible
            assert (found.tp, found.tp + found.fp, found.tp + found.fn) == (hits, predicted, expected)
            assert found.f1 == pytest.approx(theirs.f1, abs=1e-12)
        assert 0.5 < total(counts).f1 < 0.9, "hits and misses, or nothing was compared"
        assert len({round(c.f1, 3) for c in counts}) > 3


def test_that_lenient_is_nervaluate_s_type_measure_of_one_type_or_better() -> None:
    """nervaluate gives a prediction the mention with the nearest edges and may leave the next prediction without one;
    and across types it lets a wrong prediction use up a mention. Ours goes from the left, type by type: never fewer
    pairs, and as many wherever no span overlaps two."""
    rng = random.Random(11)
    compared = more = 0
    for _ in range(600):
        gold, predicted = ([s for s in _spans(rng) if s.type == "drug"] for _ in range(2))
        ours = score(gold, predicted, ["drug"]).lenient["drug"].tp
        theirs = _measured([(gold, predicted)], ["drug"], "ent_type").correct
        assert ours >= theirs
        more += ours > theirs
        overlaps = [(g, p) for g in gold for p in predicted if g.start < p.end and p.start < g.end]
        if len({g for g, _ in overlaps}) == len({p for _, p in overlaps}) == len(overlaps):
            assert ours == theirs == len(overlaps)
            compared += bool(overlaps)
    assert compared > 100
