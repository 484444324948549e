# SPDX-License-Identifier: Apache-2.0
"""Parts for tests of training: small notes with two types, settings for a tiny model, adapters with random factors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fedmed_desktop.clinical import Entity, Note, SiteNotes
from fedmed_desktop.events import Event
from fedmed_desktop.federation.plan import Plan, TrainingSettings
from fedmed_desktop.federation.work import Control, Given, LocalResult
from fedmed_desktop.lora import Adapter, Module

if TYPE_CHECKING:
    from fedmed_desktop.training.trainer import SiteTrainer

TYPES = ("drug", "problem")
DRUGS = ("aspirin", "insulin", "heparin", "warfarin", "digoxin")
PROBLEMS = ("pain", "fever", "rash", "stroke", "anaemia")


def note(number: int, specialty: str | None = None) -> Note:
    drug, problem = DRUGS[number % 5], PROBLEMS[number // 5 % 5]
    text = f"Patient {number} took {drug} and had {problem}" + " again" * (number % 4) + "."
    entities = tuple(
        Entity(id=f"T{i}", start=text.index(word), end=text.index(word) + len(word), type=type_, text=word)
        for i, (word, type_) in enumerate([(drug, "drug"), (problem, "problem")])
    )
    return Note(id=f"n{number}", text=text, entities=entities, specialty=specialty)


NOTES = SiteNotes([note(i) for i in range(12)], [note(i) for i in range(30, 34)], None)
SETTINGS = TrainingSettings(
    steps=6, batch_size=4, micro_batch_size=2, learning_rate=5e-3, max_new_tokens=8, checkpoint_steps=2
)


def plan_of(start: Adapter, settings: TrainingSettings = SETTINGS, **changes: object) -> Plan:
    values: dict[str, object] = {"round": 3, "start": start.sha256, "rank": 4, "training": settings, "seed": 11}
    return Plan.model_validate(values | changes)


def train(
    trainer: SiteTrainer, start: Adapter, folder: Path, plan: Plan | None = None, **beside: object
) -> LocalResult:
    """A round without events; `beside` are further fields of Given."""
    given = Given(start, **beside)  # type: ignore[arg-type]
    return trainer.train_round(plan or plan_of(start), given, folder, silent, Control())


def silent(event: Event) -> None:
    """Nobody listens."""


class StopAtLook(Control):
    """Is told to stop just before its n-th look: there are several in each step."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.looks = looks

    def check(self) -> None:
        self.looks -= 1
        if self.looks == 0:
            self.stop()
        super().check()


def random_adapter(shapes: dict[str, tuple[int, int]], rank: int, seed: int, size: float = 0.1) -> Adapter:
    rng = np.random.Generator(np.random.PCG64(seed))

    def factor(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return (size * rng.standard_normal(shape)).astype(np.float32)

    return Adapter({name: Module(factor(d, rank), factor(rank, k), 1.5) for name, (d, k) in sorted(shapes.items())})
