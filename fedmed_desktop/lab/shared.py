# SPDX-License-Identifier: Apache-2.0
"""Shared notes that are worse than the sites' validation notes: with wrong labels, or of a corpus that no site has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numpy as np

from ..errors import UserFacingError
from ..federation.spec import SharedNote, shared_note
from .choices import SharedSettings
from .corpora import LabNote
from .partition import typed_in

_WORD: Final = re.compile(r"\w+")
_USES: Final = {"elsewhere": 7, "wrong": 8}  # draws for one thing are no draws for another


def shared_as(
    settings: SharedSettings, usual: Sequence[SharedNote], elsewhere: Sequence[LabNote], seed: int
) -> tuple[SharedNote, ...]:
    """Returns as many notes as the usual ones, as the settings ask for. Raises UserFacingError `lab.few_elsewhere`."""
    notes = drawn(elsewhere, len(usual), seed) if settings.elsewhere else usual
    return with_wrong_labels(notes, settings.wrong, seed)


def drawn(notes: Sequence[LabNote], count: int, seed: int) -> tuple[SharedNote, ...]:
    """Draws so many notes at random, in the types that all of them annotate; fewer are the first ones of more.

    Raises UserFacingError `lab.few_elsewhere`.
    """
    if len(notes) < count:
        raise UserFacingError(
            "lab.few_elsewhere", corpus=notes[0].corpus if notes else "shared_corpus", found=len(notes)
        )
    types = set.intersection(*(set(one.types) for one in notes)) if notes else set[str]()
    order = _generator("elsewhere", seed).permutation(len(notes))[:count]
    return tuple(map(shared_note, typed_in([notes[at] for at in order], types, ())[0]))


def with_wrong_labels(notes: Sequence[SharedNote], share: float, seed: int) -> tuple[SharedNote, ...]:
    """The notes with each mention wrong by this chance: as often dropped as moved to a word that is in none."""
    rng = _generator("wrong", seed)
    return tuple(_spoilt(note, share, rng) for note in notes)


def _spoilt(note: SharedNote, share: float, rng: np.random.Generator) -> SharedNote:
    words = [found.span() for found in _WORD.finditer(note.text)]
    free = [(start, end) for start, end in words if all(end <= one.start or one.end <= start for one in note.entities)]
    kept = []
    for one in note.entities:
        wrong, moved = rng.random(2) < (share, 0.5)
        if not wrong:
            kept.append(one)
        elif moved and free:
            start, end = free.pop(int(rng.integers(len(free))))
            kept.append(one.model_copy(update={"start": start, "end": end}))
    return note.model_copy(update={"entities": tuple(kept)})


def _generator(use: str, seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([seed, _USES[use]]))
