# SPDX-License-Identifier: Apache-2.0
"""Speculative next tokens of an answer that mostly repeats its prompt (prompt lookup), such as a note with marks.

Prompt-lookup decoding (A. Saxena, 2023) for such answers: what was copied so far says where to go on in the prompt, and
what once stood behind a mark is expected behind the next one. The model reads all guesses at once and keeps those that
it would have written, so answers stay the same; a wrong guess costs time alone.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

Tokens = tuple[int, ...]

GUESSES: Final = 8
"""Tokens guessed at once, at most. Of answers in the bundled notes as they should be, 3.8 tokens come of a step with 8
guesses, 3.1 with 4 and 4.1 with 16, for 2.4, 1.6 and 4.1 tokens read (training notes' tokenizer alone, no model)."""

MOST_LEARNED: Final = 200_000
"""Entries of what answers taught, beyond which it is forgotten: some 40 MB, and the guesses of thousands of notes."""

_NEAR: Final = 6
_ORDERS: Final = (3, 2, 1)


class Copier:
    """One answer as it grows. `learned`: the token last seen behind the last ones; answers that are alike share it."""

    def __init__(self, prompt: Tokens, learned: dict[Tokens, int]) -> None:
        self._prompt, self._learned = prompt, learned
        self._pairs: dict[Tokens, list[int]] = {}
        for place in range(len(prompt) - 1):
            self._pairs.setdefault(prompt[place : place + 2], []).append(place)
        self._at = 0
        self._copying = False
        self._last: Tokens = ()

    def add(self, token: int) -> None:
        """Takes a token of the answer."""
        for order in _ORDERS:
            self._learned[self._last[-order:]] = token
        self._at, self._copying = self._follow(self._at, self._last, token)
        self._last = (*self._last, token)[-_ORDERS[0] :]

    def guesses(self, count: int) -> list[int]:
        """Returns at most this many likely next tokens; none before the first token, whose place nothing tells."""
        if not self._last:
            return []
        at, copying, last = self._at, self._copying, self._last
        guessed: list[int] = []
        while len(guessed) < count:
            token = self._next(at, copying, last)
            if token is None:
                break
            guessed.append(token)
            at, copying = self._follow(at, last, token)
            last = (*last, token)[-_ORDERS[0] :]
        return guessed

    def _next(self, at: int, copying: bool, last: Tokens) -> int | None:
        from_prompt = self._prompt[at] if at < len(self._prompt) else None
        if copying and from_prompt is not None:
            return from_prompt
        for order in _ORDERS:
            if (token := self._learned.get(last[-order:])) is not None:
                return token
        return from_prompt

    def _follow(self, at: int, last: Tokens, token: int) -> tuple[int, bool]:
        """The place in the prompt behind this token, and whether the token was copied from there.

        Behind a mark the same words may be other tokens: copying begins again where one of them is found near, or
        where two in a row are found at all.
        """
        prompt = self._prompt
        if at < len(prompt) and prompt[at] == token:
            return at + 1, True
        near = prompt[at : at + _NEAR]
        if token in near:
            return at + near.index(token) + 1, True
        places = self._pairs.get((*last[-1:], token), [])
        if (behind := bisect_left(places, at)) < len(places):
            return places[behind] + 2, True
        return at, False
