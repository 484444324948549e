# SPDX-License-Identifier: Apache-2.0
"""Preferences of a person who compared two models blind: which answer was better, without a word of the note. No Qt."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final, NamedTuple

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from ...scores import TaskName
from ...wording import tr

SURE: Final = 0.05  # a preference that chance makes less often than that is called one


class Preference(BaseModel):
    """One comparison: `first` and `second` name the models, as Try it names them; `better` is one of the two, "" for no
    difference. Nothing of the note.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    time: AwareDatetime
    task: TaskName
    first: str = Field(max_length=200)
    second: str = Field(max_length=200)
    better: str = Field("", max_length=200)


class Tally(NamedTuple):
    """Counts of how often each of two models was better, and neither."""

    first: int
    second: int
    neither: int

    @property
    def is_sure(self) -> bool:
        """Tells whether chance alone would less often make as much: two-sided sign test over what made a difference."""
        number, fewer = self.first + self.second, min(self.first, self.second)
        tail = sum(math.comb(number, count) for count in range(fewer + 1)) / 2**number
        return number > 0 and 2 * tail < SURE


def tally(known: Iterable[Preference], first: str, second: str, task: TaskName) -> Tally:
    """Tally over comparisons of these two models in this task, whichever stood first."""
    better = [one.better for one in known if one.task == task and {one.first, one.second} == {first, second}]
    return Tally(better.count(first), better.count(second), better.count(""))


def tally_words(found: Tally, first: str, second: str) -> str:
    """Verdict of all comparisons so far, in plain words before the numbers."""
    ahead, behind, more, less = first, second, found.first, found.second
    if less > more:
        ahead, behind, more, less = second, first, less, more
    if more == less:
        verdict = tr("So far neither is ahead.")
    elif found.is_sure:
        verdict = tr("So far {ahead} is better, fairly sure.").format(ahead=ahead)
    else:
        verdict = tr("So far {ahead} is ahead; too few comparisons to tell.").format(ahead=ahead)
    counts = tr("{ahead} was better in {more} of {all}, {behind} in {less}; no difference in {neither}.")
    counts = counts.format(ahead=ahead, more=more, all=sum(found), behind=behind, less=less, neither=found.neither)
    return f"{verdict} {counts}"
