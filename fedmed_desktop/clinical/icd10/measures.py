# SPDX-License-Identifier: Apache-2.0
"""Measures of ranked codes against a note's own: counts, recall at k and average precision, at three levels.

At the level of categories and chapters, a ranking is that of the codes with each name where it first stands.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

from ...scores import Counts, Mean, TaskScores
from .chapters import chapter
from .table import category, dotted

CUTS: Final = (1, 5, 10, 20)
LEVELS: Final[tuple[tuple[str, Callable[[str], str | None]], ...]] = (
    ("code", dotted),
    ("category", category),
    ("chapter", chapter),
)


def recall_at(ranked: Sequence[str], gold: Collection[str], k: int) -> float:
    """The share of `gold` (not empty) among the first k of a ranking without repetitions."""
    return len(set(ranked[:k]) & set(gold)) / len(set(gold))


def average_precision(ranked: Sequence[str], gold: Collection[str]) -> float:
    """The mean over `gold` (not empty) of the precision down to the place of each; 0 for what is not ranked."""
    true, found, total = set(gold), 0, 0.0
    for place, name in enumerate(ranked, start=1):
        if name in true:
            found += 1
            total += found / place
    return total / len(true)


def score_codes(ranked: Sequence[str], chosen: int, gold: Iterable[str]) -> TaskScores:
    """Scores of one note: counts for the first `chosen` codes, means for the whole ranking.

    strict: the code; lenient: its category; unified: its chapter. Means are macro-averages over notes that have codes.
    """
    true = tuple(gold)
    counts: list[Counts] = []
    means: dict[str, Mean] = {}
    for level, name_of in LEVELS:
        expected, predicted = _names(true, name_of), _names(ranked[:chosen], name_of)
        tp = len(set(expected) & set(predicted))
        counts.append(Counts(tp=tp, fp=len(predicted) - tp, fn=len(expected) - tp))
        if expected:
            order = _names(ranked, name_of)
            means |= {f"recall@{k} {level}": Mean(sum=recall_at(order, expected, k), of=1) for k in CUTS}
            means[f"MAP {level}"] = Mean(sum=average_precision(order, expected), of=1)
    code, of_category, of_chapter = counts
    return TaskScores(strict={"code": code}, lenient={"code": of_category}, unified=of_chapter, means=means)


def _names(codes: Iterable[str], name_of: Callable[[str], str | None]) -> list[str]:
    """Names of the codes, each once, in the order of their first places; codes without one are left out."""
    return list(dict.fromkeys(name for code in codes if (name := name_of(code)) is not None))
