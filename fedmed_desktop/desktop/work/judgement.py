# SPDX-License-Identifier: Apache-2.0
"""A plain verdict on scores before and after, as every page says it, with how sure it is. No Qt."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

from ...scores import Scores
from ...wording import later, tr
from .desk import Desk

Way = Literal["better", "same", "worse", "nothing", "unknown"]

# Scores are compared as they are shown: what differs in a later digit is no difference to a person; inferred.
DIGITS: Final = 2
# Scores on fewer notes are too uncertain to call a change one; inferred (as for a mean: about 30).
ENOUGH_NOTES: Final = 30
# A change of so many standard errors is called one: about 95 % of a normal distribution lies within two.
SURE_ERRORS: Final = 2.0

_WORDS: Final[dict[Way, tuple[str, str]]] = {  # sure, not sure
    "better": (later("Better on {notes}, fairly sure"), later("Perhaps better on {notes}, not sure")),
    "worse": (later("Worse on {notes}, fairly sure"), later("Perhaps worse on {notes}, not sure")),
    "same": (later("No better on {notes}"), later("No better on {notes}")),
    "nothing": (later("It finds nothing on {notes} yet"), later("It finds nothing on {notes} yet")),
    "unknown": (later("Not scored on {notes}"), later("Not scored on {notes}")),
}


def notes_of(desk: Desk) -> str:
    """Words for whose notes were scored: a demonstration's are nobody's own."""
    return tr("the example notes") if desk.is_demo else tr("your notes")


@dataclass(frozen=True)
class Judgement:
    """`before` is None where only one moment was scored. `notes`: on how many; None where nobody knows. `on`: which."""

    way: Way
    is_sure: bool
    before: float | None
    after: float | None
    notes: int | None
    on: str

    @property
    def words(self) -> str:
        """Verdict such as "Better on your notes, fairly sure"; without a comparison, how much is found."""
        if self.before is None and self.after is not None and self.way != "nothing":
            return tr("{found} on {notes}").format(found=of_hundred(self.after), notes=self.on)
        return tr(_WORDS[self.way][not self.is_sure]).format(notes=self.on)

    @property
    def tone(self) -> Literal["ok", "warn", "dim"]:
        if self.way == "better":
            return "ok" if self.is_sure else "dim"
        return "dim" if self.way == "unknown" or (self.before is None and self.way != "nothing") else "warn"

    @property
    def advice(self) -> str:
        """The same words for the person who decides whether the update leaves."""
        if self.way == "nothing" or (self.before is not None and self.way in ("same", "worse")):
            return tr("{verdict}: consider keeping it").format(verdict=self.words)
        return self.words


def judged(before: Scores, after: Scores, notes: int | None, on: str) -> Judgement:
    """The headline of all tasks, before and after, on `notes` notes, which `on` names."""
    return judged_values(before.headline if before else None, after.headline if after else None, notes, on)


def judged_values(before: float | None, after: float | None, notes: int | None, on: str) -> Judgement:
    """The same of one score in [0, 1] before and after."""
    first = None if before is None else round(before, DIGITS)
    last = None if after is None else round(after, DIGITS)
    if last is None:
        return Judgement("unknown", False, first, last, notes, on)
    if last == 0:
        return Judgement("nothing", True, first, last, notes, on)
    if first is None or first == last:
        return Judgement("same", True, first, last, notes, on)
    is_sure = _is_sure(first, last, notes)
    return Judgement("better" if last > first else "worse", is_sure, first, last, notes, on)


def _is_sure(before: float, after: float, notes: int | None) -> bool:
    """Tells whether the change is larger than chance would often make it: two shares of as many notes, as if each note
    were found or not, and as if the two were of different notes. Both are careful; inferred.
    """
    if notes is None or notes < ENOUGH_NOTES:
        return False
    error = math.sqrt((before * (1 - before) + after * (1 - after)) / notes)
    return abs(after - before) >= SURE_ERRORS * error


def of_hundred(score: float) -> str:
    """A score as people say it: "43 of 100 found correctly"."""
    return tr("{n} of 100 found correctly").format(n=hundredths(score))


def change_of_hundred(before: float | None, after: float) -> str:
    """Words such as "55 → 66 of 100"; without a score before, "66 of 100"."""
    if before is None:
        return tr("{after} of 100").format(after=hundredths(after))
    return tr("{before} → {after} of 100").format(before=hundredths(before), after=hundredths(after))


def hundredths(score: float) -> int:
    """A score in [0, 1] as so many of 100, which is how every page shows and compares it."""
    return round(100 * score)
