# SPDX-License-Identifier: Apache-2.0
"""The notes that probes look at: those that this round was really trained on, and held-out ones like them."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ...clinical import Note
from ...federation.plan import TrainingSettings
from ..batches import Example, Examples, Schedule


@dataclass(frozen=True)
class Item:
    """One example with its task's name ("text" for plain text). `group`: what belongs together, for intervals."""

    example: Example
    task: str

    @property
    def note(self) -> Note:
        return self.example.asked.note

    @property
    def group(self) -> str:
        return group_of(self.note)


def group_of(note: Note) -> str:
    """The patient, or document, that a note is of."""
    return note.patient or note.document or note.id


def seen(examples: Examples, settings: TrainingSettings, seed: int, steps: int) -> Counter[int]:
    """Counts how often each example was trained on in a round: places in `examples.items`.

    With differential privacy nobody may know which were drawn: each example counts once, drawn or not.
    """
    if settings.privacy is not None:
        return Counter(range(len(examples.items)))
    schedule = Schedule([len(one) for one in examples.items], settings.batch_size, seed)
    return Counter(place for step in range(steps) for place in schedule.batch(step))


def items(examples: Examples, places: Iterable[int] | None = None) -> list[Item]:
    """The examples at these places (all), with the tasks that they are of."""
    tasks = {place: one.task.name for one in examples.sources for place in range(one.start, one.stop)}
    chosen = range(len(examples.items)) if places is None else sorted(places)
    return [Item(examples.items[place], str(tasks.get(place, "text"))) for place in chosen]


def shuffled(found: Sequence[Item], seed: int) -> list[Item]:
    rng = np.random.Generator(np.random.PCG64(seed))
    return [found[place] for place in rng.permutation(len(found))]


def matched(wanted: Sequence[Item], pool: Sequence[Item]) -> list[Item | None]:
    """Finds for each wanted item one of the pool, of its task and nearly its length, taken once; None for none.

    Loss depends on length and task, so a difference in either would look like one in having been trained on. Nearly:
    a fifth more or less (inferred).
    """
    by_task: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for place, item in enumerate(pool):
        insort(by_task[item.task], (len(item.example), place))
    found: list[Item | None] = []
    for item in wanted:
        lengths, own = by_task[item.task], len(item.example)
        at = bisect_left(lengths, (own, -1))
        near = [one for one in (at - 1, at) if 0 <= one < len(lengths)]
        best = min(near, key=lambda one: abs(lengths[one][0] - own), default=None)
        if best is None or abs(lengths[best][0] - own) > 0.2 * own:
            found.append(None)
        else:
            found.append(pool[lengths.pop(best)[1]])
    return found
