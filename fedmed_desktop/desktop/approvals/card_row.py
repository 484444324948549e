# SPDX-License-Identifier: Apache-2.0
"""One row of a card on the Approvals page, as a value. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...wording import tr

Tone = Literal["", "ok", "warn"]
Word = Literal["", "better", "same", "worse"]


@dataclass(frozen=True)
class Line:
    """`value`, or `before` -> `value` with a word for the change. `full` is the value unabridged."""

    name: str
    value: str
    before: str = ""
    word: Word = ""
    full: str = ""

    @property
    def tone(self) -> Tone:
        tones: dict[Word, Tone] = {"better": "ok", "worse": "warn"}
        return tones.get(self.word, "")

    @property
    def change(self) -> str:
        """The word for a person."""
        match self.word:
            case "better":
                return tr("better")
            case "worse":
                return tr("worse")
            case "same":
                return tr("same")
            case _:
                return ""

    @property
    def spoken(self) -> str:
        """The row as one phrase, for people who do not see it."""
        change = tr("{before}, now {value}, {word}").format(before=self.before, value=self.value, word=self.change)
        return f"{self.name.strip()}: {change if self.before else self.full or self.value}"
