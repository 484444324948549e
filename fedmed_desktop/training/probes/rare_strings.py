# SPDX-License-Identifier: Apache-2.0
"""Rare strings: has this round made the numbers, names and addresses in its notes likelier at their places?

They are those that the check of notes finds. A string of the same form is invented for each: what such strings gain in
general is no leak.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal

import numpy as np

from ...clinical import Note
from ...clinical.checking.identifiers import identifier_spans
from ...clinical.tasks import Asked
from ...federation.probes import RareStrings
from ..batches import Encoder, Example
from ..plain_text import text_tokens
from .budget import Budget
from .intervals import mean_interval
from .reader import Reader
from .sample import group_of

MOST: Final = 200  # strings that are looked at
_BEFORE: Final = 200  # characters before one
_MOST_LOG: Final = 60.0  # of a ratio, so that it stays a number that a record can hold
_VOWELS, _CONSONANTS = "aeiou", "bcdfghjklmnprstvw"


def rare_strings(
    reader: Reader, plain: Encoder, trained: Sequence[Note], seed: int, budget: Budget
) -> RareStrings | Literal["none_found", "no_time"]:
    """Result on the strings in these notes, as many as the budget allows; else why there is none."""
    rng = np.random.Generator(np.random.PCG64(seed))
    rows: list[Example] = []
    groups: list[str] = []
    missing: Literal["none_found", "no_time"] = "none_found"
    looking = budget.part(0.5)  # the rest is for reading; of long notes there may be thousands
    for note in trained:
        looking.check()
        if len(groups) >= MOST:
            break
        if not looking.left:
            missing = "no_time"
            break
        for start, end in identifier_spans(note.text):
            pair = _pair(reader, plain, note, start, end, rng)
            if len(groups) < MOST and max(map(len, pair)) <= reader.most_tokens:
                rows += pair
                groups.append(group_of(note))
    found = reader.both(rows, "answer", budget)
    # Of the whole string, not of each token: that is how much likelier somebody is to guess it.
    gains = np.array([before.losses.sum() - after.losses.sum() for after, before in found[: len(found) // 2 * 2]])
    if not len(gains):
        return "no_time" if groups else missing
    own, invented = gains[0::2], gains[1::2]
    low, high = mean_interval(own - invented, groups[: len(own)], seed)
    return RareStrings(
        strings=len(own),
        ratio=_ratio(own.mean()),
        made_up=_ratio(invented.mean()),
        relative=_ratio((own - invented).mean()),
        low=_ratio(low),
        high=_ratio(high),
        largest=_ratio(own.max()),
    )


def invented_like(text: str, rng: np.random.Generator) -> str:
    """A string of the same form: other digits, other letters (vowels for vowels), all else as it is."""
    return "".join(_other(sign, rng) for sign in text)


def _other(sign: str, rng: np.random.Generator) -> str:
    if sign.isdecimal():
        return str(rng.integers(10))
    for letters in (_VOWELS, _CONSONANTS):
        if sign.lower() in letters:
            drawn = letters[rng.integers(len(letters))]
            return drawn.upper() if sign.isupper() else drawn
    return sign


def _pair(reader: Reader, plain: Encoder, note: Note, start: int, end: int, rng: np.random.Generator) -> list[Example]:
    """The string behind what stands before it, and an invented one there. The blank before it is part of both."""
    before = note.text[max(0, start - _BEFORE) : start]
    context = before.rstrip()
    blank = before[len(context) :]
    prompt = plain.prompt(context)
    strings = (note.text[start:end], invented_like(note.text[start:end], rng))
    return [Example(Asked(note, ""), prompt, tuple(text_tokens(reader.tokenizer, blank + one))) for one in strings]


def _ratio(log: float) -> float:
    return math.exp(max(-_MOST_LOG, min(_MOST_LOG, float(log))))
