# SPDX-License-Identifier: Apache-2.0
"""Verbatim recall: given the beginning of a training note, how much of the rest does the model write word for word?

Every beginning of PREFIX tokens or more is tried at once, see reader.py. Counted is what comes out beyond what the
model without this round writes after the same beginning; and held-out notes of the site say how much of that is only
their style, learned. (Carlini et al., "Quantifying memorization across neural language models", ICLR 2023, measure the
first of these.)
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from ...clinical import Note
from ...federation.probes import RUN, Recall
from ..batches import Encoder, Example
from .budget import Budget
from .intervals import wilson
from .reader import Read, Reader

PREFIX: Final = 8  # tokens that the attacker knows at least; inferred
LEAST: Final = 10
MOST_TOKENS: Final = 512  # of a note's beginning that is looked at


def recall(
    reader: Reader, plain: Encoder, trained: Sequence[Note], held_out: Sequence[Note], budget: Budget
) -> Recall | Literal["too_few", "no_time"]:
    """Result on as many notes as the budget allows, in the order given; else why there is none."""
    room = min(reader.most_tokens, MOST_TOKENS)
    marked = chain.from_iterable(
        zip_longest(((note, True) for note in trained), ((note, False) for note in held_out[: len(trained)]))
    )
    rows: list[tuple[Example, bool]] = []
    looking = budget.part(0.3)  # the rest is for reading; of long notes there may be thousands
    missing: Literal["too_few", "no_time"] = "too_few"
    for note, mine in filter(None, marked):
        looking.check()
        if not looking.left:
            missing = "no_time"
            break
        if (row := _row(plain, note, room)) is not None:
            rows.append((row, mine))
    found = reader.both([row for row, _ in rows], "all", budget)
    own = [runs(*pair) for pair, (_, mine) in zip(found, rows, strict=False) if mine]
    other = [runs(*pair) for pair, (_, mine) in zip(found, rows, strict=False) if not mine]
    if len(own) < LEAST:
        return "no_time" if len(found) < len(rows) else missing
    hits = sum(beyond >= RUN for beyond, _ in own)
    low, high = wilson(hits, len(own))
    return Recall(
        beyond=max(beyond for beyond, _ in own),
        usual=max((beyond for beyond, _ in other), default=0),
        longest=max(longest for _, longest in own),
        share=hits / len(own),
        low=low,
        high=high,
        trained=len(own),
        held_out=len(other),
    )


def runs(after: Read, before: Read) -> tuple[int, int]:
    """(most tokens beyond the model without this round after the same beginning, longest run) of one text."""
    skip = PREFIX - 1  # the first label stands behind one token
    with_it, without = _lengths(after.right[skip:-1]), _lengths(before.right[skip:-1])  # not the end of text
    return (int((with_it - without).max()), int(with_it.max())) if len(with_it) else (0, 0)


def _lengths(right: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Counts for each place the number of right guesses in a row that begins there."""
    found = np.zeros(len(right) + 1, np.int64)
    for place in range(len(right) - 1, -1, -1):
        found[place] = found[place + 1] + 1 if right[place] else 0
    return np.maximum(found[:-1], 0)


def _row(plain: Encoder, note: Note, room: int) -> Example | None:
    """The note's first window as plain text; None where nothing of it stands behind a beginning."""
    items = plain.encode([note], room).items
    return items[0] if items and len(items[0]) > PREFIX + RUN else None
