# SPDX-License-Identifier: Apache-2.0
"""Counts behind F1 scores. Counts add up over notes and over sites; F1 scores do not."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict

from .bounds import LARGEST_COUNT, Count


class Counts(BaseModel):
    """Entities found, invented and missed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tp: Count = 0
    fp: Count = 0
    fn: Count = 0

    def __add__(self, other: Counts) -> Counts:
        """The sums; where sites give absurd counts, the largest that may be told on."""
        return Counts(
            tp=min(self.tp + other.tp, LARGEST_COUNT),
            fp=min(self.fp + other.fp, LARGEST_COUNT),
            fn=min(self.fn + other.fn, LARGEST_COUNT),
        )

    @property
    def f1(self) -> float:
        """F1 in [0, 1]; 0 where nothing was expected and nothing found."""
        total = 2 * self.tp + self.fp + self.fn
        return 2 * self.tp / total if total else 0.0


class Scores(BaseModel):
    """Counts of one evaluation: per type (strict, lenient) and regardless of type (unified, strict spans)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    strict: dict[str, Counts] = {}
    lenient: dict[str, Counts] = {}
    unified: Counts = Counts()

    def __add__(self, other: Scores) -> Scores:
        return Scores(
            strict=_add_by_type(self.strict, other.strict),
            lenient=_add_by_type(self.lenient, other.lenient),
            unified=self.unified + other.unified,
        )

    @property
    def f1_strict(self) -> float:
        """Headline: strict typed micro-F1 over pooled counts."""
        return total(self.strict.values()).f1

    @property
    def f1_lenient(self) -> float:
        return total(self.lenient.values()).f1

    @property
    def f1_unified(self) -> float:
        return self.unified.f1

    def summary(self) -> dict[str, object]:
        """The score as reports print it: four decimals, strict F1 by type."""
        return {
            "f1_strict": round(self.f1_strict, 4),
            "f1_lenient": round(self.f1_lenient, 4),
            "f1_unified": round(self.f1_unified, 4),
            "by_type": {name: round(c.f1, 4) for name, c in sorted(self.strict.items())},
        }


def total(counts: Iterable[Counts]) -> Counts:
    return sum(counts, Counts())


def pool(scores: Iterable[Scores]) -> Scores:
    return sum(scores, Scores())


def _add_by_type(left: dict[str, Counts], right: dict[str, Counts]) -> dict[str, Counts]:
    names = sorted(left.keys() | right.keys())
    return {name: left.get(name, Counts()) + right.get(name, Counts()) for name in names}
