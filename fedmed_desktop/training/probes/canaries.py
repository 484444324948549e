# SPDX-License-Identifier: Apache-2.0
"""Canaries: invented records that are trained on beside the notes, and how well the model then knows them.

Exposure: log2 of the number of records that it might have been, less log2 of the record's rank among them by its loss
(Carlini et al., "The secret sharer", USENIX Security 2019, section 4). Here the rank is among ALTERNATIVES drawn from
the same form, so that at most log2(ALTERNATIVES + 1) bits can be seen.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from ...clinical import Note
from ...clinical.tasks import Asked
from ...federation.probes import Canary
from ..batches import Encoder, Example, Examples
from ..plain_text import text_tokens
from .budget import Budget
from .intervals import wilson
from .reader import Reader

REPEATS: Final = (1, 4, 16)
RECORDS: Final = 2  # of each number of repeats
ALTERNATIVES: Final = 63
_DIGITS: Final = 6
_FIRST: Final = ("Balun", "Corvid", "Dorsan", "Elmet", "Fenrow", "Galven")
_LAST: Final = ("Ashgrave", "Birling", "Cobwell", "Drumond", "Evergil", "Farsley")


@dataclass(frozen=True)
class Planted:
    """One record: its beginning, its secret number, and its places among the examples that are trained on."""

    beginning: str
    secret: str
    places: tuple[int, ...]


def plant(tokenizer: Any, plain: Encoder, examples: Examples, seed: int) -> tuple[Examples, list[Planted]]:
    """The examples with the records behind them, as plain text. `notes` and counts of labels are not to be taken from
    what this returns: the report is about the site's own notes."""
    rng = np.random.Generator(np.random.PCG64([seed, 1]))
    found: list[Planted] = []
    rows: list[Example] = []
    for repeats in REPEATS:
        for _ in range(RECORDS):
            number = len(found)
            beginning = f"Patient: {_FIRST[number]} {_LAST[number]}. Record number:"
            record = Planted(beginning, _secret(rng), ())
            first = len(examples.items) + len(rows)
            rows += [_example(tokenizer, plain, beginning, record.secret)] * repeats
            found.append(replace(record, places=tuple(range(first, first + repeats))))
    return replace(examples, items=(*examples.items, *rows)), found


def exposures(
    reader: Reader, plain: Encoder, planted: Sequence[Planted], times: Counter[int], seed: int, budget: Budget
) -> tuple[Canary, ...]:
    """Exposure by the number of `times` that a record was really seen in this round; those the budget allows."""
    rng = np.random.Generator(np.random.PCG64([seed, 2]))
    rows = [
        _example(reader.tokenizer, plain, one.beginning, secret)
        for one in planted
        for secret in (one.secret, *(_secret(rng) for _ in range(ALTERNATIVES)))
    ]
    read = reader.after(rows, "answer", budget)
    size = ALTERNATIVES + 1
    better: dict[int, list[int]] = {}
    for number, one in enumerate(planted[: len(read) // size]):
        losses = [float(row.losses.sum()) for row in read[number * size : (number + 1) * size]]
        seen = sum(times[place] for place in one.places)
        better.setdefault(seen, []).append(sum(loss < losses[0] for loss in losses[1:]))
    return tuple(_canary(seen, found) for seen, found in sorted(better.items()))


def _canary(seen: int, better: Iterable[int]) -> Canary:
    """Result of several records: means of their exposures and of the ends of their own intervals.

    Records may be known unequally well, so that one interval of all their alternatives would not be about that mean.
    """
    counts = list(better)
    most = math.log2(ALTERNATIVES + 1)

    def exposure(ranks: Iterable[float]) -> float:
        return sum(most - math.log2(1 + rank) for rank in ranks) / len(counts)

    ends = [wilson(count, ALTERNATIVES) for count in counts]
    return Canary(
        repeats=seen,
        exposure=exposure(counts),
        low=exposure(high * ALTERNATIVES for _, high in ends),
        high=exposure(low * ALTERNATIVES for low, _ in ends),
        most=most,
        records=len(counts),
    )


def _secret(rng: np.random.Generator) -> str:
    return "".join(str(digit) for digit in rng.integers(0, 10, _DIGITS))


def _example(tokenizer: Any, plain: Encoder, beginning: str, secret: str) -> Example:
    note = Note(id="planted", text=f"{beginning} {secret}")
    return Example(Asked(note, ""), plain.prompt(beginning), tuple(text_tokens(tokenizer, f" {secret}")))
