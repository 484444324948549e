# SPDX-License-Identifier: Apache-2.0
"""Parts of the window that are made at their first need, and what others want of them then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

P = TypeVar("P")


class Late(Generic[P]):
    """A part that is made when it is first called for. `made`: the part, None before that."""

    def __init__(self, make: Callable[[], P]) -> None:
        self._make = make
        self._wanted: list[Callable[[P], object]] = []
        self.made: P | None = None

    def __call__(self) -> P:
        if self.made is None:
            self.made = self._make()
            for act in self._wanted:
                act(self.made)
        return self.made

    def then(self, act: Callable[[P], object]) -> None:
        """Does this with the part as soon as it is made, before anybody sees it: who connects its signals, or has
        something to give to it, does not make it for that.
        """
        if self.made is None:
            self._wanted.append(act)
        else:
            act(self.made)
