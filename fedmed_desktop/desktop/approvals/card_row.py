# SPDX-License-Identifier: Apache-2.0
"""One row of a card on the Approvals page, as a value. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
    def spoken(self) -> str:
        """The row as one phrase, for whoever does not see it."""
        change = f"{self.before}, now {self.value}, {self.word}" if self.before else self.full or self.value
        return f"{self.name}: {change}"
