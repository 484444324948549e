# SPDX-License-Identifier: Apache-2.0
"""Results that were computed before: a lab's methods measure the same start model, and many train it alike."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from ..federation.plan import TrainingSettings
from .adapters import LoraSlot
from .batches import Examples

T = TypeVar("T")

MOST: Final = 2000
"""Evaluations kept, some megabytes; those that were longest not asked for go first (inferred)."""


class Remembered(Generic[T]):
    """Results of work with one base model, by all that decides them: `most` in all, by the `size` of each. For one
    thread."""

    def __init__(self, most: int = MOST, size: Callable[[T], int] = lambda one: 1) -> None:
        self._made: dict[str, T] = {}
        self._most, self._size = most, size
        self.found = 0

    def get(self, key: str, make: Callable[[], T]) -> T:
        """The result of this identity; made if it is not known. What `make` raises is not remembered."""
        if key in self._made:
            self.found += 1
            found = self._made.pop(key)
        else:
            found = make()
        self._made[key] = found  # as the newest
        while sum(map(self._size, self._made.values())) > self._most:
            del self._made[next(iter(self._made))]
        return found


def evaluation_key(slot: LoraSlot, examples: Examples, questions: Examples | None, settings: TrainingSettings) -> str:
    """Identity of an evaluation of what is attached to one base: its exact bytes, the tokens, the labels, the settings.

    Only right from an `attach` until the next training step.
    """
    adapters = {name: adapter.sha256 for name, adapter in slot.attached().items()}
    content: list[object] = [adapters, examples.sha256, settings.loss_on]
    if questions is not None:
        content += [settings.max_new_tokens, *what_is_asked(questions)]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def what_is_asked(questions: Examples) -> list[str]:
    """Identity of questions and of what their answers are scored against, which is more than what is taught: options to
    choose from, labels of which nothing is taught."""
    return [questions.sha256, *(one.note.model_dump_json() for one in questions.sources)]
