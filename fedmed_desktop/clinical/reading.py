# SPDX-License-Identifier: Apache-2.0
"""A note while a model reads it, as a value: what a screen shows at any moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, Protocol

from .notes import Span

SENTENCE_TOKENS: Final = 48
"""A sentence or two of a note: what a small model that was trained on sentences reads best at a time (the bundled
one; seen on the bundled examples, not measured on a corpus)."""

LEAST_CHARACTERS: Final = 40
"""A window of a few words: less makes no sense."""


class Lengths(Protocol):
    """Limits on a window of a note; a federation's TrainingSettings have them."""

    @property
    def max_tokens(self) -> int:
        """Most tokens of a window's prompt and answer together."""

    @property
    def max_new_tokens(self) -> int:
        """Most tokens of a window's answer."""


@dataclass(frozen=True)
class ReadingSettings:
    """Default lengths, for use without a federation."""

    max_tokens: int = 384
    max_new_tokens: int = 192


@dataclass(frozen=True)
class Reading:
    """A model's progress through a note.

    `spans` are sorted and do not overlap; their offsets and the `characters` read (of `length`) count code points of
    the given note. `tokens`: of the answers so far. `seconds`: since the model was ready. `cut_short`: an answer was
    longer than allowed, so entities may be missing.
    """

    length: int
    spans: tuple[Span, ...] = ()
    characters: int = 0
    window: int = 0
    windows: int = 1
    tokens: int = 0
    seconds: float = 0.0
    first_token_seconds: float | None = None
    cut_short: bool = False
    state: Literal["reading", "finished", "stopped"] = "reading"

    @property
    def tokens_per_second(self) -> float | None:
        """Speed after the first token; the prompts of later windows count in. None before the second token."""
        if self.first_token_seconds is None or self.tokens < 2 or self.seconds <= self.first_token_seconds:
            return None
        return (self.tokens - 1) / (self.seconds - self.first_token_seconds)
