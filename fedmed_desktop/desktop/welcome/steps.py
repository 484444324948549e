# SPDX-License-Identifier: Apache-2.0
"""State of the first run: which page is on, what was chosen, and where each answer leads. A value; no Qt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

Purpose = Literal["join", "try", "demo", "host"]
Step = Literal["purpose", "computer", "join", "notes", "end"]
Outcome = Literal["join", "try", "demo", "host", "nothing"]

STEPS: Final[tuple[Step, ...]] = ("purpose", "computer", "join", "notes")
# What somebody who wants this goes through; a demonstration brings all that it needs, and so does a coordinator.
_PATHS: Final[Mapping[Purpose, tuple[Step, ...]]] = {
    "join": STEPS,
    "try": ("purpose", "computer"),
    "demo": ("purpose",),
    "host": ("purpose",),
}


@dataclass(frozen=True)
class FirstRun:
    """`purpose` None: not chosen, so that all pages are shown and nothing is begun at the end."""

    step: Step = "purpose"
    purpose: Purpose | None = None

    @property
    def path(self) -> tuple[Step, ...]:
        return _PATHS[self.purpose] if self.purpose else STEPS

    @property
    def number(self) -> int:
        """Place of the page, from 0; the number of pages once all are done."""
        return len(self.path) if self.step == "end" else self.path.index(self.step)

    @property
    def is_last(self) -> bool:
        return self.step == self.path[-1]

    @property
    def outcome(self) -> Outcome | None:
        """Thing that is begun at the end; None while pages are left."""
        return (self.purpose or "nothing") if self.step == "end" else None

    def choose(self, purpose: Purpose) -> FirstRun:
        """An answer to the first page, which leads on at once."""
        return replace(self, purpose=purpose, step="purpose").forward()

    def forward(self) -> FirstRun:
        """The next page, whether this one was filled in or skipped."""
        if self.step == "end":
            return self
        return replace(self, step=(*self.path, "end")[self.number + 1])

    def back(self) -> FirstRun:
        """The page before; the first one stays."""
        return replace(self, step=self.path[max(0, self.number - 1)])

    def dismiss(self) -> FirstRun:
        """Ends it where it is, with nothing begun."""
        return FirstRun("end")
