# SPDX-License-Identifier: Apache-2.0
"""A plain verdict on scores before and after, as every page says it, with how sure it is. No Qt."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

from ...scores import Scores
from ...wording import later, tr

Way = Literal["better", "same", "worse", "nothing", "unknown"]

# Scores are compared as they are shown: what differs in a later digit is no difference to a person; inferred.
DIGITS: Final = 2
# Scores on fewer notes are too uncertain to call a change one; inferred (as for a mean: about 30).
ENOUGH_NOTES: Final = 30
# A change of so many standard errors is called one: about 95 % of a normal distribution lies within two.
SURE_ERRORS: Final = 2.0

_WORDS: Final[dict[Way, tuple[str, str]]] = {  # sure, not sure
    "better": (later("Better on your notes, fairly sure"), later("Perhaps better on your notes, not sure")),
    "worse": (later("Worse on your notes, fairly sure"), later("Perhaps worse on your notes, not sure")),
    "same": (later("No better on your notes"), later("No better on your notes")),
    "nothing": (later("It finds nothing on your notes yet"), later("It finds nothing on your notes yet")),
    "unknown": (later("Not scored on your notes"), later("Not scored on your notes")),
}


@dataclass(frozen=True)
class Judgement:
    """`before` is None where only one moment was scored. `notes`: on how many; None where nobody knows."""

    way: Way
    is_sure: bool
    before: float | None
    after: float | None
    notes: int | None

    @property
    def words(self) -> str:
        """Such as "Better on your notes, fairly sure"; without a comparison, how much is found."""
        if self.before is None and self.after is not None and self.way != "nothing":
            return tr("{found} on your notes").format(found=of_hundred(self.after))
        return tr(_WORDS[self.way][not self.is_sure])

    @property
    def tone(self) -> Literal["ok", "warn", "dim"]:
        if self.way == "better":
            return "ok" if self.is_sure else "dim"
        return "dim" if self.way == "unknown" or (self.before is None and self.way != "nothing") else "warn"

    @property
    def advice(self) -> str:
        """The same for who decides whether it leaves."""
        if self.way == "nothing" or (self.before is not None and self.way in ("same", "worse")):
            return tr("{verdict}: consider keeping it").format(verdict=self.words)
        return self.words


def judged(before: Scores, after: Scores, notes: int | None) -> Judgement:
    """The headline of all tasks, before and after, on `notes` notes."""
    first = round(before.headline, DIGITS) if before else None
    last = round(after.headline, DIGITS) if after else None
    if last is None:
        return Judgement("unknown", False, first, last, notes)
    if last == 0:
        return Judgement("nothing", True, first, last, notes)
    if first is None or first == last:
        return Judgement("same", True, first, last, notes)
    return Judgement("better" if last > first else "worse", _is_sure(first, last, notes), first, last, notes)


def _is_sure(before: float, after: float, notes: int | None) -> bool:
    """Whether the change is larger than chance would often make it: two shares of as many notes, as if each note were
    found or not, and as if the two were of different notes. Both are careful; inferred.
    """
    if notes is None or notes < ENOUGH_NOTES:
        return False
    error = math.sqrt((before * (1 - before) + after * (1 - after)) / notes)
    return abs(after - before) >= SURE_ERRORS * error


def of_hundred(score: float) -> str:
    """A score as people say it: "43 of 100 found correctly"."""
    return tr("{n} of 100 found correctly").format(n=round(100 * score))
